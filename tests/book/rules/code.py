"""The code in the cells: what it imports, and what may be exported."""

import ast
import io
import re
import tokenize

from text_files import nameless

from gptlib.exercises.notebook import source_of, tags_of
from rules.page import first_line, python_of, rule, tree

EXEMPT = ("start_here", "full_run")  # the chapters that use the whole book
FOUNDATION = ("files", "mine")  # written by hand, below the first chapter


@rule
def imports_go_backwards(page):
    """A notebook imports modules of earlier chapters, a module also those before it in its own chapter.

    A check, which stands alone, may import its own chapter's. What is exported imports no widgets
    and no exercises.
    """
    if page.row is None or page.row.name in EXEMPT:
        return []
    earlier = [*FOUNDATION]
    earlier += [m for chapter in page.book if chapter.number < page.row.number for m in chapter.modules]
    own = page.row.modules
    complaints = []
    for cell in page.code():
        target = page.module_of(cell)
        siblings = own[: own.index(target)] if target in own else own if "check" in tags_of(cell) else ()
        for module in gptlib_imports(tree(cell)):
            if module in ("exercises", "widgets"):
                if target:
                    complaints.append(f"an exported cell imports gptlib.{module}")
            elif module not in earlier and module not in siblings:
                complaints.append(f"imports gptlib.{module}, which no earlier chapter exports")
    return complaints


def gptlib_imports(node: ast.AST) -> list[str]:
    """The modules directly below gptlib that are imported anywhere below a node."""
    dotted = []
    for n in ast.walk(node):
        if isinstance(n, ast.Import):
            dotted += [alias.name for alias in n.names]
        elif isinstance(n, ast.ImportFrom) and n.module == "gptlib":
            dotted += [f"gptlib.{alias.name}" for alias in n.names]
        elif isinstance(n, ast.ImportFrom) and n.level == 0:
            dotted.append(n.module)
    return [name.split(".")[1] for name in dotted if name.startswith("gptlib.")]


@rule
def exports_are_definitions(page):
    """`#| export` is a cell's first line; below it stand imports, definitions and constants."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    complaints = []
    for cell in page.code():
        lines = source_of(cell).splitlines()
        directives = [i for i, line in enumerate(lines) if re.match(r"#\s*\|\s*export", line)]
        if directives and (directives != [0] or not page.module_of(cell)):
            complaints.append(f"'#| export' must be the first line, written so: {first_line(cell)}")
    for cell in page.exported():
        wrong = [ast.unparse(node)[:60] for node in tree(cell).body if not isinstance(node, allowed)]
        complaints += [f"an exported cell does something: {line}" for line in wrong]
    return complaints


@rule
def signatures_name_no_class_as_text(page):
    """After the last cell's reload the shape checks would still ask for the class of before."""
    nodes = [node for cell in page.exported() for node in ast.walk(tree(cell))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    hints = [(f, a.annotation) for f in functions for a in [*f.args.args, *f.args.kwonlyargs]]
    hints += [(f, f.returns) for f in functions]
    named = [f.name for f, hint in hints if isinstance(hint, ast.Constant) and isinstance(hint.value, str)]
    return [f"{function} names a class as text in its signature" for function in named]


@rule
def exports_are_documented(page):
    """Every public name has a docstring; what works on tensors tells their shapes."""
    complaints = []
    for node in [node for cell in page.exported() for node in tree(cell).body]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            doc = ast.get_docstring(node)
            if doc is None:
                complaints.append(f"{node.name} has no docstring")
            elif works_on_tensors(node) and not (tells_shapes(node) or re.search(r"\[.*\]", doc)):
                complaints.append(f"{node.name} does not tell the shapes of its tensors")
    return complaints


def works_on_tensors(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a signature speaks of tensors, or a class has a forward."""
    return bool(forward_of(node)) if isinstance(node, ast.ClassDef) else "Tensor" in signature(node)


def tells_shapes(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a signature (a class: its forward's) carries shapes such as `Float[Tensor, "B T C"]`."""
    if isinstance(node, ast.ClassDef):
        return any(tells_shapes(function) for function in forward_of(node))
    return bool(re.search(r"\[\w+, ['\"]", signature(node)))


def forward_of(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "forward"]


def signature(node: ast.FunctionDef) -> str:
    return ast.unparse(node.args) + (ast.unparse(node.returns) if node.returns else "")


@rule
def texts_name_their_encoding(page):
    """Windows reads cp1252 unless it is told otherwise."""
    return [ast.unparse(call) for cell in page.code() for call in nameless(tree(cell))]


@rule
def one_statement_a_line(page):
    """A semicolon joins statements, and at a cell's end it would hide an output that nbval compares."""
    return [f"';' in {first_line(cell)}" for cell in page.code() if ";" in operators_of(cell)]


def operators_of(cell: dict) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(python_of(cell)).readline)
    return {token.string for token in tokens if token.type == tokenize.OP}
