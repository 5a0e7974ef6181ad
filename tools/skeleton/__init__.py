"""A chapter to begin with: `python -m tools.notebooks chapter NAME` writes its files and runs its notebook.

The templates beside this file make a small chapter in which everything is there that the house rules ask for.
In them NAME, NN and TITLE stand for the chapter's name, number and heading.
"""

import keyword
import re
import sys
from pathlib import Path

import nbformat

from gptlib.files import write_text
from tools import notebooks
from tools.chapters import LIST, ROOT, Chapter, chapters, row_of
from tools.workbook import write_template

TEMPLATES = Path(__file__).parent
FIRST = 18  # the numbers below are the book's own
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
METADATA = {"setup": FOLDED}


def begin_chapter(name: str) -> None:
    """Write the files of a new chapter, its row in chapters.toml and in the tables; run its notebook."""
    book = chapters()
    check_name(name, book)
    number, title = max(FIRST, book[-1].number + 1), name.replace("_", " ").capitalize()
    new = Chapter(number, name, title, (name,), "one line on what the reader builds", (20, 0), "side path")
    words = {"NAME": name, "NN": str(number), "TITLE": title}
    for template, path in files_of(name).items():
        write_text(path, filled(template, words))
    notebook = notebooks.NOTEBOOKS / f"{new.stem}.ipynb"
    write_text(notebook, notebooks.cleaned(notebook_of(filled("notebook.txt", words), new.stem)))
    write_text(LIST, LIST.read_text(encoding="utf-8") + row_of(new))
    notebooks.write_contents()
    notebooks.export(notebook)
    notebooks.fold_solutions(notebook)
    notebooks.fold_cells(notebook)
    for path in notebooks.generated([]):  # the chapter before has a next one now
        notebooks.link(path)
    notebooks.count_minutes(notebook)
    notebooks.write_contents()
    notebooks.execute(notebook)
    write_template(notebook, notebooks.WORKBOOKS)
    for path in (notebook, notebooks.PACKAGE / f"{name}.py", *files_of(name).values()):
        print(path.relative_to(ROOT).as_posix())


def check_name(name: str, book: list[Chapter]) -> None:
    """Exit with one line unless a chapter may be called so."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        sys.exit(f"{name!r} is no name for a chapter: give a lower-case identifier such as retrieval")
    places = [notebooks.PACKAGE / name, notebooks.PACKAGE / f"{name}.py", *files_of(name).values()]
    there = [path for path in places if path.exists()]
    there += [LIST for chapter in book if name in (chapter.name, *chapter.modules)]
    if there:
        where = there[0].relative_to(ROOT).as_posix()
        sys.exit(f"{name!r} exists already, see {where}: choose another name")


def files_of(name: str) -> dict[str, Path]:
    """template -> the file that is made of it."""
    return {
        "checkers.py": notebooks.PACKAGE / "exercises" / "chapters" / f"{name}.py",
        "solutions.py": notebooks.PACKAGE / "exercises" / "solutions" / f"{name}.py",
        "answers.py": ROOT / "tests" / "exercises" / "answers" / f"{name}.py",
        "unit_tests.py": ROOT / "tests" / "gptlib" / f"test_{name}.py",
    }


def filled(template: str, words: dict[str, str]) -> str:
    """A template's text with the words in their places."""
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"NAME|NN|TITLE", lambda found: words[found[0]], text)


def notebook_of(text: str, stem: str) -> nbformat.NotebookNode:
    """The notebook that a text describes; each cell begins with a line such as `%% code proof`."""
    parts = [part.split("\n", 1) for part in re.split(r"^%% ", text, flags=re.MULTILINE)[1:]]
    cells = [cell_of(*kind.split(), source=source.strip("\n")) for kind, source in parts]
    if address := notebooks.repository():
        cells[0].source = notebooks.with_badge(cells[0].source, notebooks.badge(address, stem))
    cells.insert(1, setup_cell())
    return nbformat.v4.new_notebook(cells=cells)


def cell_of(kind: str, *tags: str, source: str) -> nbformat.NotebookNode:
    """A cell, folded where its tags ask for it."""
    if kind == "markdown":
        return nbformat.v4.new_markdown_cell(source)
    metadata = {key: value for tag in tags for key, value in METADATA.get(tag, {}).items()}
    if tags:
        metadata["tags"] = list(tags)
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def setup_cell() -> nbformat.NotebookNode:
    """The setup cell, which is the same in all notebooks."""
    first = nbformat.read(notebooks.notebooks()[0], as_version=4)
    source = next(cell.source for cell in first.cells if "setup" in cell.metadata.get("tags", []))
    return cell_of("code", "setup", source=source)
