"""Build the web book: `python -m web [FOLDER]`."""

import argparse
import sys
from pathlib import Path

from tools.chapters import ROOT
from web.book import build

parser = argparse.ArgumentParser(prog="python -m web", description="Build the web book from the notebooks.")
parser.add_argument(
    "folder", nargs="?", type=Path, default=ROOT / "web" / "_build", help="where the pages go"
)
parser.add_argument(
    "--work", type=Path, default=ROOT / "build" / "web", help="what the next build reads again"
)
args = parser.parse_args()
code = build(args.folder.resolve(), args.work.resolve())
if code == 0:
    print(f"open {args.folder / 'index.html'}")
sys.exit(code)
