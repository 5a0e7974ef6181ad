"""The public names of gptlib: where in the book each is built."""

import ast
import html
from dataclasses import dataclass

from nbformat import NotebookNode

from gptlib.exercises.notebook import modules_of
from tools.chapters import Chapter


@dataclass(frozen=True)
class Name:
    """A public name, its module, what its docstring says first, and the cell that defines it."""

    name: str
    module: str
    summary: str
    page: str
    cell: str

    @property
    def address(self) -> str:
        """The place of its definition."""
        return f"{self.page}.html#cell-{self.cell}"


def definitions(source: str) -> list[tuple[str, str]]:
    """The public names that code defines on its top level, each with the first line of its docstring."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append((node.name, (ast.get_docstring(node) or "").split("\n")[0]))
        elif isinstance(node, ast.Assign):
            names = [name for target in node.targets for name in getattr(target, "elts", [target])]
            found += [(name.id, "") for name in names if isinstance(name, ast.Name)]
    return [(name, summary) for name, summary in found if not name.startswith("_")]


def names_of(notebook: NotebookNode, chapter: Chapter) -> list[Name]:
    """The public names that a chapter exports."""
    main, found = next(iter(modules_of(notebook)), ""), []
    for cell in notebook.cells:
        directive, _, source = cell.source.partition("\n")
        if cell.cell_type == "code" and directive.split()[:2] == ["#|", "export"]:
            module = (directive.split()[2:] or [main])[0]
            for name, summary in definitions(source):
                found.append(Name(name, module, summary, chapter.stem, cell.id))
    return found


def index(names: list[Name]) -> str:
    """The page with all names in the order of the alphabet, as Markdown."""
    rows = [
        f'<tr><th scope="row"><a href="{name.address}"><code>{name.name}</code></a></th>'
        f"<td><code>gptlib.{name.module}</code></td><td>{html.escape(plain(name.summary))}</td></tr>"
        for name in sorted(names, key=lambda name: (name.name.lower(), name.module))
    ]
    head = '<tr><th scope="col">name</th><th scope="col">module</th><th scope="col">what it is</th></tr>'
    return f"""# Names

{len(names)} public names of `gptlib`. Each leads to the cell that builds it.

<div class="table-wrapper names"><table><thead>{head}</thead><tbody>
{"".join(rows)}
</tbody></table></div>
"""


def plain(summary: str) -> str:
    """A docstring's line without the marks of code."""
    return summary.replace("`", "")
