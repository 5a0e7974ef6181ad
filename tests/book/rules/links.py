"""Links between the pages of the book, also for its Markdown files."""

import re
from pathlib import Path
from urllib.parse import unquote

import nbformat

from gptlib.exercises.notebook import read_notebook, source_of
from rules.page import rule
from tools.navigation import write_links


@rule
def links_resolve(page):
    """Links to files lead somewhere, also with an anchor, as JupyterLab names headings."""
    text = "\n\n".join(page.markdown())
    own_anchors = notebook_anchors(page.notebook)
    return broken_links(text, page.folder / f"{page.name}.ipynb", own_anchors)


@rule
def chapters_are_linked(page):
    """Previous, contents and next at both ends, and a link at each mention of another chapter."""
    if not page.converted or page.row is None:
        return []
    cells = [{**cell, "source": source_of(cell)} for cell in page.cells]
    wanted = nbformat.from_dict({**page.notebook, "cells": cells})
    write_links(wanted, page.name, page.book)
    before, after = (list(map(source_of, cells)) for cells in (page.cells, wanted.cells))
    differ = [text for text in after if text not in before]
    return [f"run `python -m tools.notebooks links`: {text.splitlines()[0][:60]!r}" for text in differ]


def broken_links(text: str, path: Path, own_anchors: set[str]) -> list[str]:
    """The links of a page at `path` that lead nowhere; `own_anchors` are the headings that it has."""
    complaints = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):  # https:, mailto:
            continue
        file, _, anchor = unquote(target).partition("#")
        linked = path.parent / file if file else path
        if file and not linked.exists():
            complaints.append(f"{target} leads nowhere")
        elif anchor and anchor not in (anchors_of(linked) if file else own_anchors):
            complaints.append(f"{target}: there is no such heading")
    return complaints


def prose(text: str) -> str:
    """Markdown without code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def headings(text: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [heading.strip().replace("`", "") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]


def notebook_anchors(notebook: dict) -> set[str]:
    cells = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return {heading.replace(" ", "-") for cell in cells for heading in headings(cell)}


def anchors_of(path: Path) -> set[str]:
    """The anchors of another file: JupyterLab's for a notebook, GitHub's for Markdown."""
    if path.suffix == ".ipynb":
        return notebook_anchors(read_notebook(path))
    text = headings(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in text}
