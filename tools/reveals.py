"""Answers to predictions that are withheld in the stored notebook: `python -m tools.notebooks reveals NAMES`.

A cell that reveals a truth ends there: what it prints or draws beyond goes into a cell of its own, whose
output is folded. The stored output holds no truth. What was measured follows in a folded text, for readers
without a kernel. Nothing is run: stored outputs become what a run would store.
"""

import ast
import hashlib
import re

from nbformat import NotebookNode, v4

from gptlib.exercises.predictions import Predictions, hidden, sealed

SUMMARY = "<details><summary>What was measured</summary>"
OLD = r"^{name}: (?:no guess|you guessed .*); measured:\n(?P<truth>.*)\n"


def convert(notebook: NotebookNode) -> None:
    """Withhold the truths of a notebook; one that is converted stays as it is."""
    cells, names = [], []
    for i, cell in enumerate(notebook.cells):
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        names += [ast.literal_eval(call.args[0]) for call in calls(cell.source, "guess")]
        if calls(cell.source, "reveal"):
            cells += rest_of(cell, notebook.cells[i + 1 : i + 2])
        elif calls(cell.source, "board"):
            board = Predictions()
            board.guesses = dict.fromkeys(names)
            cell.outputs = [display(*board.rows_shown())]
    notebook.cells = cells
    renumber(notebook)


def renumber(notebook: NotebookNode) -> None:
    """Count the code cells of an executed notebook from 1 on, as a run would."""
    for count, cell in enumerate([cell for cell in notebook.cells if cell.cell_type == "code"], start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def rest_of(cell: NotebookNode, following: list[NotebookNode]) -> list[NotebookNode]:
    """Make a cell end with its last reveal; the cells that follow it then."""
    statements = ast.parse(cell.source).body
    ends = [node.end_lineno for node in statements if calls(ast.unparse(node), "reveal")]
    lines = cell.source.splitlines()
    rest = "\n".join(lines[ends[-1] :]).strip("\n")
    cell.source = "\n".join(lines[: ends[-1]])
    hides = cell.metadata.get("jupyter", {}).pop("outputs_hidden", None)
    cell.metadata.pop("collapsed", None)
    if not cell.metadata.get("jupyter", True):
        del cell.metadata["jupyter"]
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    shown = [output for output in cell.outputs if output.output_type != "stream"]
    withheld, told, before = [], [], ""
    for call in calls(cell.source, "reveal"):
        name = ast.literal_eval(call.args[0])
        if found := re.search(OLD.format(name=re.escape(name)), text, re.MULTILINE):
            before, text = before + text[: found.start()], text[found.end() :]
            withheld.append(display(*hidden(name, sealed(found["truth"]))))
            told.append(f"{name}: {found['truth']}.")
    if not told:
        return []  # converted before
    new = []
    if not (following and following[0].source.startswith(SUMMARY)):
        source = f"{SUMMARY}\n\n" + "  \n".join(told) + "\n\n</details>"
        new.append(v4.new_markdown_cell(source, id=derived(cell.id, "measured")))
    if not rest:
        cell.outputs = [*printed(before), *withheld, *printed(text), *shown]
        return new
    cell.outputs = [*printed(before), *withheld]  # a house rule asks that nothing stands before
    more = v4.new_code_cell(rest, id=derived(cell.id, "more"), outputs=[*printed(text), *shown])
    more.metadata = NotebookNode({key: value for key, value in cell.metadata.items()})
    more.metadata["tags"] = [tag for tag in cell.metadata.get("tags", []) if tag != "answer"]
    if hides:
        more.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), "outputs_hidden": True}
    if "cellView" in more.metadata:
        more.source = f"# @title The numbers\n{rest}"
    return [*new, more]


def calls(source: str, method: str) -> list[ast.Call]:
    """The calls of `predictions.METHOD` in a text, in order."""
    found = [node for node in ast.walk(ast.parse(pure(source))) if isinstance(node, ast.Call)]
    found = [call for call in found if ast.unparse(call.func) == f"predictions.{method}"]
    return sorted(found, key=lambda call: call.lineno)


def pure(source: str) -> str:
    """A cell without the lines that are for IPython."""
    return re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)


def display(text: str, html: str) -> NotebookNode:
    """An output that a call of `display` stores."""
    return v4.new_output("display_data", data={"text/html": html, "text/plain": text})


def printed(text: str) -> list[NotebookNode]:
    """What a cell prints, as an output; none where it prints nothing."""
    return [v4.new_output("stream", name="stdout", text=text)] if text.strip() else []


def derived(id: str, word: str) -> str:
    """The id of a cell that is made of another one: the same in every run."""
    return hashlib.sha256(f"{id} {word}".encode()).hexdigest()[:8]
