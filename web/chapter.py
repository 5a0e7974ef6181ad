"""What a notebook defines, for those who need it outside the notebook."""

import ast
import json

from gptlib.files import DATA

NOTEBOOKS = DATA.parent / "notebooks"


def definitions(chapter: str, cells: tuple[str, ...], names: dict) -> dict:
    """The functions that these cells of a notebook define, and the constants above them, by name.

    What stands below a cell's last function is not run: it uses the functions. `names` are those that the
    cells take from elsewhere. ValueError for a cell that is not there.
    """
    notebook = json.loads((NOTEBOOKS / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    if missing := set(cells) - set(sources):
        raise ValueError(f"{chapter} has no cells {sorted(missing)}")
    defined = dict(names)
    for cell in cells:
        nodes = ast.parse(sources[cell]).body
        last = max(i for i, node in enumerate(nodes) if isinstance(node, ast.FunctionDef))
        kept = [node for node in nodes[: last + 1] if isinstance(node, ast.FunctionDef | ast.Assign)]
        exec(compile(ast.Module(kept, []), chapter, "exec"), defined)
    return defined
