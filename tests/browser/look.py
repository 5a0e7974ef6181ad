"""Pictures of a notebook in JupyterLab, to look at: `python tests/browser/look.py NAME FOLDER [--run]`."""

import argparse
import tempfile
from pathlib import Path

from lab import Notebook, headless_chromium, jupyterlab

OVERLAP = 60  # pixels that two pictures share


def photograph(notebook: Notebook, folder: Path) -> int:
    """Scroll through the open notebook and save what is seen as 00.png, 01.png …; returns their number."""
    page = notebook.page
    page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    panel = page.locator(".jp-WindowedPanel-outer").first
    page.wait_for_timeout(2000)  # equations are set and pictures laid out
    height, seen = panel.evaluate("panel => [panel.scrollHeight, panel.clientHeight]")
    tops = range(0, height, seen - OVERLAP)
    folder.mkdir(parents=True, exist_ok=True)
    for number, top in enumerate(tops):
        panel.evaluate("(panel, top) => { panel.scrollTop = top }", top)
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"{number:02}.png")
    return len(tops)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the notebook, without .ipynb")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--run", action="store_true", help="run all cells first")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        jupyterlab(Path(temporary)) as address,
        headless_chromium() as browser,
    ):
        notebook = Notebook(browser.new_page(viewport={"width": 1100, "height": 1600}), address)
        notebook.open(args.name)
        if args.run:
            notebook.run()
        print(f"{photograph(notebook, args.folder)} pictures in {args.folder}")
        for kind in ("failures", "errors", "outgoing"):
            found = getattr(notebook, kind)
            print(f"{kind}:", (found() if callable(found) else found) or "none")


if __name__ == "__main__":
    main()
