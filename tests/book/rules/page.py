"""A notebook as the rules see it."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gptlib.exercises.notebook import modules_of, read_notebook, source_of, tags_of
from tools.chapters import NOT_CONVERTED, Chapter, chapters
from tools.notebooks import NOTEBOOKS, notebooks, repository

RULES: list[Callable] = []


def rule(function: Callable) -> Callable:
    """Add a function to the rules of the house."""
    RULES.append(function)
    return function


@dataclass(frozen=True)
class Page:
    """A notebook, and what it needs to know of the book: the chapters, the repository ("owner/name")."""

    name: str
    notebook: dict
    book: list[Chapter]
    repository: str | None = None
    folder: Path = NOTEBOOKS

    @property
    def cells(self) -> list[dict]:
        return self.notebook["cells"]

    @property
    def row(self) -> Chapter | None:
        """The page's row in chapters.toml."""
        return next((chapter for chapter in self.book if chapter.stem == self.name), None)

    @property
    def converted(self) -> bool:
        """Whether the page is held against the rules of NOT_CONVERTED's chapters too."""
        return self.name not in NOT_CONVERTED

    def code(self, tag: str | None = None) -> list[dict]:
        """The code cells, or those with a tag."""
        cells = [cell for cell in self.cells if cell["cell_type"] == "code"]
        return [cell for cell in cells if tag is None or tag in tags_of(cell)]

    def followed(self) -> list[tuple[dict, dict | None]]:
        """Each code cell with the one after it."""
        return list(zip(self.code(), [*self.code()[1:], None], strict=True))

    def markdown(self) -> list[str]:
        """The texts of the Markdown cells."""
        return [source_of(cell) for cell in self.cells if cell["cell_type"] == "markdown"]

    def exported(self) -> list[dict]:
        """The cells that go into a module."""
        return [cell for cell in self.code() if self.module_of(cell)]

    def module_of(self, cell: dict) -> str | None:
        """The module into which a cell is exported, or None."""
        directive = re.match(r"#\| exporti?(?: (\w+))?$", source_of(cell), re.MULTILINE)
        if directive is None:
            return None
        return directive[1] or (modules_of(self.notebook) or [None])[0]


def book_pages() -> list[Page]:
    """All notebooks of the book."""
    book, address = chapters(), repository()
    return [Page(path.stem, read_notebook(path), book, address) for path in notebooks()]


def first_line(cell: dict) -> str:
    """How a complaint names a cell."""
    return repr(source_of(cell).split("\n")[0][:60])


def python_of(cell: dict) -> str:
    """A cell's source without lines for IPython or the shell."""
    lines = ["" if re.match(r"\s*[%!]", line) else line for line in source_of(cell).splitlines()]
    return "\n".join(lines)


def tree(cell: dict) -> ast.Module:
    """The syntax tree of a cell."""
    return ast.parse(python_of(cell))


def calls_of(node: ast.AST, name: str) -> list[ast.Call]:
    """Calls such as `predictions.guess(...)` anywhere below a node."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == name]
