"""Workbooks: the reading edition with blanks, `python -m tools.notebooks workbook` or `make workbook`."""

import ast
import copy
import re
import textwrap
from pathlib import Path

import nbformat

from gptlib.exercises.notebook import modules_of, source_of, tags_of, without_marks
from gptlib.files import write_text

BLANK = re.compile(r"^( *)# blank\n(?:.*\n)*?\1# end\n?", re.MULTILINE)
BEGIN = """from gptlib.exercises.workbook import Workbook

workbook = Workbook("{name}", globals())"""
MINE = """
# What you write is exported into mine/gptlib, and used from there by every later chapter.
import os

home = next((f for f in (Path.cwd(), *Path.cwd().parents) if (f / "gptlib" / "__init__.py").exists()), None)
sys.path[:] = [f for f in sys.path if f not in ("", str(Path.cwd()))]  # your gptlib is no package
if home:
    sys.path.insert(0, str(home))
elif "google.colab" in sys.modules and Path("drive/MyDrive").exists():  # a mounted Google Drive keeps it
    home = Path("drive/MyDrive/gpt-book").resolve()
elif "google.colab" in sys.modules:
    print("What you write is lost with this session. To keep it, mount your Drive and restart the kernel")
if "GPTLIB_MINE" not in os.environ:
    os.environ["GPTLIB_MINE"] = str((home or Path.cwd()) / "mine" / "gptlib")
"""
EXPORT = (
    "**Make it yours.** The next cell writes what you have written here, as you last saved it, to "
    "`mine/gptlib`, and runs the checks of the tasks on it. For what is still open it takes the book's "
    "version. A module that passes is used by all later chapters, from the next kernel on."
)


def blanked(source: str) -> str:
    """A cell's text with `raise NotImplementedError` for what stands between `# blank` and `# end`."""
    return BLANK.sub(
        lambda found: f"{found[1]}raise NotImplementedError  # your lines\n", source + "\n"
    ).rstrip("\n")


def template(book: dict, name: str) -> dict:
    """The workbook of the notebook called NAME: without outputs, tasks open, solutions folded."""
    cells, books_version = [], []
    for cell in book["cells"]:
        cells += workbook_cells(copy.deepcopy(cell), name, bool(modules_of(book)))
        if cell["cell_type"] == "code" and "# blank" in source_of(cell):
            books_version = [folded(cell, "The book's version", without_marks(source_of(cell)))]
        elif "check" in tags_of(cell):  # below the check and its hints
            cells += books_version
            books_version = []
    return {**book, "cells": cells}


def workbook_cells(cell: dict, name: str, has_modules: bool) -> list[dict]:
    """What stands in the workbook for one cell of the reading edition."""
    source, tags = source_of(cell), tags_of(cell)
    if cell["cell_type"] == "markdown":
        return [with_source(cell, EXPORT) if source.startswith("**Make it yours.**") else cell]
    cell |= {"outputs": [], "execution_count": None}
    cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k not in ("collapsed",)}
    if "setup" in tags:
        setup = with_source(cell, source.rstrip("\n") + "\n" + MINE.rstrip("\n"))
        begin = {**cell, "id": derived(cell, "w"), "metadata": {}}
        return [setup, with_source(begin, BEGIN.format(name=name))]
    if "check" in tags:
        return check_cells(cell, source)
    if "export-and-prove" in tags:
        return [with_source(cell, "workbook.export()" if has_modules else "workbook.show()")]
    if "solution" in tags:
        return [folded(cell, "Solution", source.removeprefix("# @title Solution\n"))]
    if "# blank" in source:
        return [with_source(cell, blanked(source))]
    return [cell]


def check_cells(cell: dict, source: str) -> list[dict]:
    """Hints of the check's docstring, each folded, and a call of the check."""
    cells = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
            hints = re.findall(
                r"^Hint: (.+?)(?=^Hint: |\Z)", textwrap.dedent(ast.get_docstring(node) or ""), re.M | re.S
            )
            text = "\n".join(
                f"<details><summary>Hint {n}</summary>\n\n{' '.join(hint.split())}\n\n</details>"
                for n, hint in enumerate(hints, start=1)
            )
            if text:
                cells.append(markdown(derived(cell, f"h{len(cells)}"), text))
            call = f'workbook.check("{node.name.removeprefix("check_")}")'
            cells.append({**cell, "id": derived(cell, f"c{len(cells)}"), "source": [call]})
    return cells


def with_source(cell: dict, source: str) -> dict:
    """The cell with another text."""
    return {**cell, "source": source.splitlines(keepends=True)}


def markdown(id: str, text: str) -> dict:
    """A text cell."""
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text.splitlines(keepends=True)}


def folded(cell: dict, title: str, source: str) -> dict:
    """Code in a text cell, folded in every viewer."""
    text = f"<details><summary>{title}</summary>\n\n```python\n{source}\n```\n\n</details>"
    return markdown(derived(cell, "f"), text)


def derived(cell: dict, letter: str) -> str:
    """The name of a cell that is made of another one."""
    return f"{cell['id']}-{letter}"


def write_template(path: Path, target: Path) -> bool:
    """Write the workbook of a notebook into the folder `target`; True when that changed it."""
    target.mkdir(exist_ok=True)
    book = nbformat.read(path, as_version=4)
    text = nbformat.writes(nbformat.from_dict(template(book, path.stem))) + "\n"
    place = target / path.name
    if place.exists() and place.read_text(encoding="utf-8") == text:
        return False
    write_text(place, text)
    return True


def copy_workbooks(templates: Path, folder: Path) -> tuple[int, int]:
    """Copy the workbooks that are not in `folder` yet: how many were copied, how many were there and stay."""
    folder.mkdir(exist_ok=True)
    paths = sorted(templates.glob("*.ipynb"))
    new = [path for path in paths if not (folder / path.name).exists()]
    for path in new:
        write_text(folder / path.name, path.read_text(encoding="utf-8"))
    return len(new), len(paths) - len(new)
