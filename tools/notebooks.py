"""The notebooks: `python -m tools.notebooks export | execute [NAME …] | clean | badges OWNER/NAME`."""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from gptlib.exercises.notebook import exported_sources, read_notebook, write_module
from tools.environment import ENVIRONMENT

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS, PACKAGE = ROOT / "notebooks", ROOT / "gptlib"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = {"tags", "jupyter", "cellView"}  # what collapses a cell in JupyterLab and in Colab
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KEEP = ("--keep-output", "--keep-id", "--keep-count", "--extra-keys", "metadata.language_info")


def notebooks(names: list[str] | None = None) -> list[Path]:
    """The notebooks of the book in order, or those whose names begin with one of `names`."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in paths if not names or any(path.name.startswith(name) for name in names)]
    if not chosen:
        every = ", ".join(path.stem for path in paths)
        sys.exit(f"no notebook begins with {' or '.join(names or [])}: there are {every}")
    return chosen


def write(notebook, path: Path) -> None:
    """Write a notebook under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


def export(path: Path) -> bool:
    """Write the modules of a notebook; True when that changed one."""
    sources = exported_sources(read_notebook(path), path.stem)
    return any([write_module(PACKAGE / f"{module}.py", source) for module, source in sources.items()])


def in_sync(path: Path) -> bool:
    """Whether the modules of a notebook, if it has any, are what its cells say."""
    sources = exported_sources(read_notebook(path), path.stem)
    targets = {PACKAGE / f"{module}.py": source for module, source in sources.items()}
    return all(file.exists() and file.read_text(encoding="utf-8") == targets[file] for file in targets)


def execute(path: Path) -> None:
    """Run a notebook from top to bottom and keep its outputs; it is written also when a cell fails."""
    from nbclient import NotebookClient

    os.environ.update(ENVIRONMENT)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    folder = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    finally:
        write(notebook, path)
        clean(path)


def clean(path: Path) -> None:
    """Leave in a notebook only what a reader sees: no timings, no widget views, no machine's metadata.

    A widget's view needs the kernel that made it, so the output goes; the next cell's figure stands for it.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.metadata = {}
        else:
            cell.metadata = {key: value for key, value in cell.metadata.items() if key in CELL_METADATA}
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
    write(notebook, path)
    subprocess.run([sys.executable, "-m", "nbstripout", *KEEP, str(path)], check=True)


def badge(repository: str, name: str) -> str:
    """The Markdown of the "Open in Colab" badge of notebook NAME in the repository `owner/name`."""
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    page = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open in Colab]({image})]({page})"


def with_badge(title: str, badge: str) -> str:
    """The first cell's text with the badge below its heading, in place of an older badge."""
    heading, *rest = [line for line in title.splitlines() if not line.startswith("[![Open in Colab]")]
    text = "\n".join(rest).strip("\n")
    return f"{heading}\n\n{badge}\n\n{text}".rstrip()


def with_repository(source: str, address: str) -> str:
    """The setup cell's source, or pyproject.toml's text, with another address in its place."""
    return re.sub(r'^(REPOSITORY|Repository) = ".*"$', rf'\1 = "{address}"', source, flags=re.MULTILINE)


def write_badges(repository: str) -> None:
    """Write the repository's address into pyproject.toml, every setup cell and every badge."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        sys.exit(f"{repository!r} is no repository: give it as owner/name")
    address = f"https://github.com/{repository}"
    project = ROOT / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    if "[project.urls]" not in text:
        before = "\n[project.optional-dependencies]"
        text = text.replace(before, f'\n[project.urls]\nRepository = ""\n{before}', 1)
    project.write_text(with_repository(text, address), encoding="utf-8")
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source = with_badge(notebook.cells[0].source, badge(repository, path.stem))
        for cell in notebook.cells:
            if "setup" in cell.metadata.get("tags", []):
                cell.source = with_repository(cell.source, address)
        write(notebook, path)
    print(f"{len(notebooks())} notebooks point to {address}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("export", help="write the notebooks' modules into gptlib")
    command.add_argument("--check", action="store_true", help="change nothing; fail where a module differs")
    commands.add_parser("execute", help="run notebooks in place").add_argument("names", nargs="*")
    commands.add_parser("clean", help="remove what a reader does not see").add_argument("names", nargs="*")
    commands.add_parser("badges", help="point to a GitHub repository").add_argument(
        "repository", metavar="OWNER/NAME"
    )
    args = parser.parse_args()

    if args.command == "badges":
        write_badges(args.repository)
    elif args.command == "export" and args.check:
        stale = [path.stem for path in notebooks() if not in_sync(path)]
        if stale:
            sys.exit(f"the modules of {', '.join(stale)} are not what the notebooks say: run `make export`")
    elif args.command == "export":
        for path in notebooks():
            if export(path):
                print(f"exported {path.stem}")
    else:
        work = {"execute": execute, "clean": clean}[args.command]
        for path in notebooks(args.names):
            start = time.perf_counter()
            work(path)
            print(f"{args.command} {path.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
