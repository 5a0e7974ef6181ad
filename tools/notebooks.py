"""What is done with the notebooks as files: `python -m tools.notebooks COMMAND`, or `make COMMAND`."""

import argparse
import os
import platform
import re
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import nbformat

from gptlib.exercises.notebook import checks_sources, exported_sources, read_notebook, write_module
from gptlib.files import write_text
from tools import reveals
from tools.captions import describe_figures
from tools.chapters import NOT_CONVERTED, ROOT, chapters, contents, with_contents
from tools.environment import ENVIRONMENT
from tools.folding import fold
from tools.minutes import minutes_of, with_minutes, with_time
from tools.navigation import write_links
from tools.solutions import write_solutions
from tools.workbook import copy_workbooks, write_template

NOTEBOOKS, PACKAGE = ROOT / "notebooks", ROOT / "gptlib"
WORKBOOKS = NOTEBOOKS / "workbook"
# JupyterLab writes this when it opens a notebook; where it is stored already, the notebook stays saved.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
CELL_METADATA = {"tags", "jupyter", "cellView", "collapsed"}  # what folds a cell in JupyterLab and in Colab
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def notebooks(names: list[str] | None = None) -> list[Path]:
    """The notebooks of the book in order, or those whose names begin with one of `names`."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in paths if not names or any(path.name.startswith(name) for name in names)]
    if not chosen:
        every = ", ".join(path.stem for path in paths)
        sys.exit(f"no notebook begins with {' or '.join(names or [])}: there are {every}")
    return chosen


# --- export


def export(path: Path) -> bool:
    """Write the modules of a notebook; True when that changed one."""
    return any([write_module(file, source) for file, source in targets(path).items()])


def in_sync(path: Path) -> bool:
    """Whether the modules of a notebook, if it has any, are what its cells say."""
    wanted = targets(path)
    return all(file.exists() and file.read_text(encoding="utf-8") == wanted[file] for file in wanted)


def targets(path: Path) -> dict[Path, str]:
    """The files that a notebook's cells make: its modules, and the checks of its tasks."""
    notebook = read_notebook(path)
    files = {PACKAGE / f"{module}.py": text for module, text in exported_sources(notebook, path.stem).items()}
    checks = checks_sources(notebook, path.stem)
    return files | {
        PACKAGE / "exercises" / "checks" / f"{module}.py": text for module, text in checks.items()
    }


# --- outputs and metadata


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
        NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources=folder, coalesce_streams=True
        ).execute()
    finally:
        write_text(path, cleaned(notebook))


def clean(path: Path) -> None:
    """Leave in a notebook only what a reader sees and what JupyterLab would write itself."""
    text = cleaned(nbformat.read(path, as_version=4))
    if text != path.read_text(encoding="utf-8"):
        write_text(path, text)


def cleaned(notebook) -> str:
    """The file's text: without timings and views of widgets, with the metadata that JupyterLab wants.

    The caption below a figure becomes its alternative text.

    A widget's view needs the kernel that made it, so the output goes; the next cell's figure stands for it.
    """
    version = notebook.metadata.get("language_info", {}).get("version", platform.python_version())
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE | {"version": version}}
    notebook.metadata = nbformat.from_dict(metadata)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.metadata = {}
        else:
            kept = {
                key: value for key, value in cell.metadata.items() if key in CELL_METADATA - {"collapsed"}
            }
            if kept.get("jupyter", {}).get("outputs_hidden"):
                kept["collapsed"] = True
            cell.metadata = kept
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
    describe_figures(notebook)
    return nbformat.writes(notebook) + "\n"


def changed(path: Path, change: Callable[[nbformat.NotebookNode], None]) -> bool:
    """Change a notebook as a file, without running it; whether there was something to change."""
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    text = cleaned(notebook)
    if text == path.read_text(encoding="utf-8"):
        return False
    write_text(path, text)
    return True


def withhold(path: Path) -> bool:
    """Withhold the truths of a notebook's predictions in what is stored."""
    return changed(path, reveals.convert)


def fold_solutions(path: Path) -> bool:
    """Put the solutions of a chapter below its exercises, folded."""
    return changed(path, lambda notebook: write_solutions(notebook, path.stem[3:]))


def link(path: Path) -> bool:
    """Write a chapter's navigation and its links to other chapters."""
    book = chapters(ROOT / "chapters.toml")
    return changed(path, lambda notebook: write_links(notebook, path.stem, book))


def fold_cells(path: Path) -> bool:
    """Fold imports and what a widget's controls do by program."""
    return changed(path, fold)


def count_minutes(path: Path) -> bool:
    """Count a chapter's minutes and write them into its title and its row in chapters.toml."""
    minutes, rows = minutes_of(read_notebook(path)), ROOT / "chapters.toml"
    old = rows.read_text(encoding="utf-8")
    if (new := with_minutes(old, path.stem, minutes)) != old:
        write_text(rows, new)

    def retitle(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[0].source = with_time(notebook.cells[0].source, minutes)

    return changed(path, retitle) or new != old


GENERATED = {
    "reveals": withhold,
    "solutions": fold_solutions,
    "fold": fold_cells,
    "links": link,
    "minutes": count_minutes,
}


def generated(names: list[str]) -> list[Path]:
    """The notebooks in which text is generated: those named, or all that are not being rewritten."""
    return [path for path in notebooks(names) if names or path.stem not in NOT_CONVERTED]


# --- what stands in every notebook, and the tables of contents


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


def repository() -> str | None:
    """owner/name of `[project.urls] Repository`, if pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository")
    return address and address.removeprefix("https://github.com/")


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
    write_text(project, with_repository(text, address))
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source = with_badge(notebook.cells[0].source, badge(repository, path.stem))
        for cell in notebook.cells:
            if "setup" in cell.metadata.get("tags", []):
                cell.source = with_repository(cell.source, address)
        write_text(path, cleaned(notebook))
    readme = ROOT / "README.md"
    own = r"https://github\.com/[\w.-]+/[\w.-]+(?=/actions/workflows/test\.yml| gpt-book\n)"
    write_text(readme, re.sub(own, address, readme.read_text(encoding="utf-8")))
    print(f"{len(notebooks())} notebooks and the README point to {address}")


def write_contents() -> None:
    """Write the tables of contents in the README and in the first notebook, as chapters.toml has them."""
    book = chapters(ROOT / "chapters.toml")
    readme = ROOT / "README.md"
    write_text(readme, with_contents(readme.read_text(encoding="utf-8"), contents(book, "notebooks/")))
    first = NOTEBOOKS / f"{book[0].stem}.ipynb"
    notebook = nbformat.read(first, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith(contents([]))]
    cell.source = with_contents(cell.source, contents(book))
    write_text(first, cleaned(notebook))


# --- the command line


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("export", help="write the notebooks' modules into gptlib")
    command.add_argument("--check", action="store_true", help="change nothing; fail where a module differs")
    commands.add_parser("execute", help="run notebooks in place").add_argument("names", nargs="*")
    commands.add_parser("clean", help="remove what a reader does not see").add_argument("names", nargs="*")
    commands.add_parser("reveals", help="withhold the truths of predictions").add_argument("names", nargs="*")
    commands.add_parser("solutions", help="fold the solutions into notebooks").add_argument(
        "names", nargs="*"
    )
    commands.add_parser("fold", help="fold imports, and widgets by program").add_argument("names", nargs="*")
    commands.add_parser("links", help="write the links between chapters").add_argument("names", nargs="*")
    commands.add_parser("minutes", help="count how long chapters take").add_argument("names", nargs="*")
    commands.add_parser("contents", help="write README's and 00's tables from chapters.toml")
    commands.add_parser("workbook", help="write the workbooks' templates from the notebooks")
    commands.add_parser("mine", help="copy the workbooks into mine/ for the reader; keep what is there")
    command = commands.add_parser("badges", help="point to a GitHub repository")
    command.add_argument("repository", metavar="OWNER/NAME")
    command = commands.add_parser("chapter", help="begin a chapter: notebook, checkers, answers, tests")
    command.add_argument("name")
    return parser.parse_args()


def check_exports() -> None:
    """Exit with the notebooks whose modules differ, if there are any."""
    stale = [path.stem for path in notebooks() if not in_sync(path)]
    if stale:
        sys.exit(f"the modules of {', '.join(stale)} are not what the notebooks say: run `make export`")


def main() -> None:
    args = arguments()
    if args.command == "badges":
        write_badges(args.repository)
    elif args.command == "contents":
        write_contents()
    elif args.command == "workbook":
        for path in notebooks():
            if write_template(path, WORKBOOKS):
                print(f"wrote the workbook of {path.stem}")
    elif args.command == "mine":
        copied, kept = copy_workbooks(WORKBOOKS, ROOT / "mine")
        print(f"mine/: {copied} workbooks copied, {kept} were there and stay as they are")
    elif args.command == "chapter":
        from tools.skeleton import begin_chapter

        begin_chapter(args.name)
    elif args.command == "export" and args.check:
        check_exports()
    elif args.command == "export":
        for path in notebooks():
            if export(path):
                print(f"exported {path.stem}")
    elif args.command in GENERATED:
        for path in generated(args.names):
            if GENERATED[args.command](path):
                print(f"{args.command}: {path.stem} changed")
        if args.command == "minutes":
            write_contents()
    else:
        for path in notebooks(args.names):
            start = time.perf_counter()
            {"execute": execute, "clean": clean}[args.command](path)
            print(f"{args.command} {path.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
