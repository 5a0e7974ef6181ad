"""Work on the book's notebooks: `python tools/notebooks.py export | execute [NAME …] | clean | badges OWNER/NAME`."""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from gptlib.exercises.chapter import export_notebook, exported_source, exports_of

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# one thread makes numbers repeat; no bars in the outputs; shapes are checked; the full run is cut short
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "GPTLIB_CHECK_SHAPES": "1",
    "GPTLIB_FULL_RUN_STEPS": "100",
}


def notebooks(names: list[str] | None = None) -> list[Path]:
    """The notebooks of the book in order, or those whose names begin with one of `names`."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in paths if not names or any(path.name.startswith(name) for name in names)]
    if not chosen:
        sys.exit(f"no notebook begins with {' or '.join(names or [])}: there are {', '.join(p.stem for p in paths)}")
    return chosen


def write(notebook, path: Path) -> None:
    """Write a notebook under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


def clean(path: Path) -> None:
    """Leave in a notebook only what a reader sees: no timings, no widget views, no machine's metadata."""
    keep = ["--keep-output", "--keep-id", "--keep-count", "--extra-keys", "metadata.language_info"]
    subprocess.run([sys.executable, "-m", "nbstripout", *keep, str(path)], check=True)
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    write(notebook, path)


def execute(path: Path) -> None:
    """Run a notebook from top to bottom and keep its outputs; it is written also when a cell fails."""
    from nbclient import NotebookClient

    os.environ.update(ENVIRONMENT)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    finally:
        write(notebook, path)
        clean(path)


def badge(repository: str, name: str) -> str:
    """The Markdown of the "Open in Colab" badge of a notebook in `owner/name`."""
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})](https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name})"


def write_badges(repository: str) -> None:
    """Write the repository's address into pyproject.toml, every setup cell and every badge."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        sys.exit(f"{repository!r} is no repository: give it as owner/name")
    address = f"https://github.com/{repository}"
    project = ROOT / "pyproject.toml"
    text = re.sub(r"\n\[project\.urls\]\nRepository = .*\n", "\n", project.read_text())
    section = f'\n[project.urls]\nRepository = "{address}"\n'
    project.write_text(text.replace("\n[project.optional-dependencies]", section + "\n[project.optional-dependencies]").replace("\n\n\n", "\n\n"))
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        title = notebook.cells[0]
        lines = [line for line in title.source.split("\n") if not line.startswith("[![Open in Colab]")]
        while len(lines) > 1 and not lines[1]:
            del lines[1]
        title.source = "\n".join([lines[0], "", badge(repository, path.name), "", *lines[1:]])
        for cell in notebook.cells:
            if "setup" in cell.metadata.get("tags", []):
                cell.source = re.sub(r'^REPOSITORY = ".*"$', f'REPOSITORY = "{address}"', cell.source, flags=re.M)
        write(notebook, path)
    print(f"{len(notebooks())} notebooks point to {address}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write every notebook's module into gptlib")
    export.add_argument("--check", action="store_true", help="change nothing; fail where a module differs")
    commands.add_parser("execute", help="run notebooks in place").add_argument("names", nargs="*")
    commands.add_parser("clean", help="remove what a reader does not see").add_argument("names", nargs="*")
    commands.add_parser("badges", help="point to a GitHub repository").add_argument("repository")
    args = parser.parse_args()

    if args.command == "badges":
        write_badges(args.repository)
        return
    stale = []
    for path in notebooks(getattr(args, "names", None)):
        start = time.perf_counter()
        if args.command == "clean":
            clean(path)
        elif args.command == "execute":
            execute(path)
        elif (module := exports_of(path)) is None:
            continue
        elif args.check:
            target = ROOT / "gptlib" / f"{module}.py"
            if not target.exists() or target.read_text(encoding="utf-8") != exported_source(path):
                stale.append(f"gptlib/{module}.py differs from {path.name}")
            continue
        elif not export_notebook(path):
            continue
        print(f"{args.command} {path.name}: {time.perf_counter() - start:.0f} s")
    if stale:
        sys.exit("\n".join(stale) + "\nrun `make export`")


if __name__ == "__main__":
    main()
