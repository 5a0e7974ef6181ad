"""What a notebook folds in JupyterLab and Colab: imports, checks, and what drives a widget by program.

`python -m tools.notebooks fold` writes it.
"""

import ast
import re

from nbformat import NotebookNode

from gptlib.exercises.notebook import source_of, tags_of
from tools.reveals import pure

FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
BY_PROGRAM = "# @title The same by program"


def fold(notebook: NotebookNode) -> None:
    """Fold imports, checks, and what drives a widget, with the outputs, which tell what it shows."""
    before = None
    for cell in [cell for cell in notebook.cells if cell.cell_type == "code"]:
        if is_imports(cell):
            hide(cell, "# @title Imports")
        elif "check" in tags_of(cell):
            hide(cell, f"# @title The check: {what_it_checks(cell)}")
        elif before is not None and is_driver(cell, before):
            cell.source = re.sub(r"^# The same by program.*\n", "", cell.source)
            hide(cell, BY_PROGRAM)
            cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
        before = cell


def hide(cell: NotebookNode, title: str) -> None:
    """Fold a cell's code below a title; an exported cell begins with its directive."""
    if not cell.source.startswith(("# @title", "#|")):
        cell.source = f"{title}\n{cell.source}"
    cell.metadata["cellView"] = FOLDED["cellView"]
    cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), "source_hidden": True}


def is_imports(cell: dict) -> bool:
    """Whether a cell shows nothing and consists of imports, but for a line or two."""
    statements = ast.parse(pure(source_of(cell))).body
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    return "setup" not in tags_of(cell) and not cell["outputs"] and 2 * len(imports) > len(statements)


def what_it_checks(cell: dict) -> str:
    """The first sentence of the check's docstring, begun with a small letter."""
    checks = [node for node in ast.parse(source_of(cell)).body if isinstance(node, ast.FunctionDef)]
    (docstring,) = [ast.get_docstring(node) for node in checks if node.name.startswith("check_")]
    sentence = re.split(r"[.;:]\s", docstring + " ")[0].replace("\n", " ")
    return sentence[0].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def is_driver(cell: dict, before: dict) -> bool:
    """Whether a cell sets the values of the widget before it; one that trains is a step of the chapter."""
    return "widget" in tags_of(before) and "train(" not in source_of(cell)
