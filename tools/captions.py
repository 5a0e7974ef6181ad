"""The caption of a figure, the text below it that begins with *Figure:*, is its alternative text too.

It goes into the output's metadata, `{"image/png": {"alt": ...}}`, where nbconvert's classic template and
builders of web pages look for it. JupyterLab 4.6 shows an output's image without any alternative text,
whatever the notebook says: there a screen reader reads the caption. Where a figure is folded, so is its
caption.
"""

import re

from nbformat import NotebookNode

from gptlib.exercises.notebook import source_of

MARK = "*Figure:"
SUMMARY = "<details><summary>What the figure shows</summary>"
MEASURED = "<details><summary>What was measured</summary>"  # a figure may show what was to be guessed


def describe_figures(notebook: NotebookNode) -> None:
    """Give each stored figure its caption as alternative text; a figure without a caption has none."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        for output in figures_of(cell):
            about = {**output.metadata.get("image/png", {}), "alt": caption(following)}
            output.metadata["image/png"] = {key: value for key, value in about.items() if value}
            if not output.metadata["image/png"]:
                del output.metadata["image/png"]


def figures_of(cell: dict) -> list[dict]:
    """The outputs of a cell that are pictures."""
    return [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def caption(cell: dict | None) -> str:
    """The caption with which a text cell begins, without Markdown; "" where it begins with none."""
    if cell is None or cell["cell_type"] != "markdown":
        return ""
    source = source_of(cell).removeprefix(f"{SUMMARY}\n\n").removeprefix(f"{MEASURED}\n\n")
    if not source.startswith(MARK):
        return ""
    first = source.split("\n\n")[0].removeprefix(MARK)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first)  # links
    words = " ".join(re.sub(r"[*`]", "", text).split())
    return words[:1].upper() + words[1:]


def is_folded(cell: dict) -> bool:
    """Whether the outputs of a cell are folded, or a caption is."""
    return bool(cell["metadata"].get("jupyter", {}).get("outputs_hidden")) or source_of(cell).startswith(
        SUMMARY
    )
