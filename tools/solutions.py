"""Solutions, from gptlib/exercises/solutions/NOUN.py into folded text: `python -m tools.notebooks solutions`.

A chapter whose solutions are still code cells, tagged `solution`, is converted: they move into the file.
"""

import ast
import builtins
import re
import subprocess
import sys

from nbformat import NotebookNode, v4

from gptlib.exercises.notebook import modules_of, source_of, tags_of
from gptlib.files import write_text
from tools.chapters import ROOT
from tools.reveals import derived, renumber

SUMMARY = "<details><summary>Solution</summary>"
FOLDER = ROOT / "gptlib" / "exercises" / "solutions"
FIRST_PARTY = ["--config", 'lint.isort.known-first-party=["gptlib"]', "--line-length", "110"]
MARK = re.compile(r"^# --- (\w+)\n", re.MULTILINE)


def write_solutions(notebook: NotebookNode, noun: str) -> None:
    """Put below each stub of the chapter its solution, as the chapter's file has it."""
    collect(notebook, noun)
    known = solutions_of(noun)
    cells = []
    for cell in notebook.cells:
        if is_folded(cell):
            continue
        cells.append(cell)
        if cell.cell_type == "code" and (name := checker_of(cell)) in known:
            cells.append(v4.new_markdown_cell(folded(known[name]), id=derived(cell.id, "solution")))
    notebook.cells = cells
    renumber(notebook)


def is_folded(cell: dict) -> bool:
    """Whether a cell is the text cell of a solution."""
    return cell["cell_type"] == "markdown" and source_of(cell).startswith(SUMMARY)


def checker_of(cell: dict) -> str | None:
    """The checker that a stub calls."""
    found = re.findall(r"^exercises\.(\w+)\(\w+\)$", source_of(cell), re.MULTILINE)
    return found[-1] if found and "stub" in tags_of(cell) else None


def folded(solution: str) -> str:
    """A solution as the Markdown of its cell."""
    return f"{SUMMARY}\n\n```python\n{solution}\n```\n\n</details>"


def solutions_of(noun: str) -> dict[str, str]:
    """The solutions of a chapter by the name of their checker; {} without a file."""
    path = FOLDER / f"{noun}.py"
    if not path.exists():
        return {}
    _, *parts = MARK.split(path.read_text(encoding="utf-8"))
    return {name: text.strip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


# --- code cells that become sections of the file


def collect(notebook: NotebookNode, noun: str) -> None:
    """Move the code cells tagged `solution` into the chapter's file."""
    cells = [cell for cell in notebook.cells if "solution" in tags_of(cell)]
    if not cells:
        return
    found = solutions_of(noun)
    for cell in cells:
        code, name, _ = re.split(r"^assert exercises\.(\w+)\(\w+\)$", cell.source, flags=re.MULTILINE)
        found[name] = code.removeprefix("# @title Solution\n").strip("\n")
    number = source_of(notebook.cells[0]).split()[1]
    words = (
        f'"""Solutions to the exercises of chapter {number}, each after a line with its checker\'s name."""'
    )
    imports = imports_for("\n".join(found.values()), notebook)
    sections = [f"# --- {name}\n{code}" for name, code in found.items()]
    parts = [words, *([imports] if imports else [])]
    path = FOLDER / f"{noun}.py"
    write_text(path, "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join(sections) + "\n")
    for command in (["check", "--select", "I", "--fix", *FIRST_PARTY], ["format", "--line-length", "110"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--isolated", "--quiet", path], check=True)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags_of(cell)]


def imports_for(code: str, notebook: NotebookNode) -> str:
    """The imports that a text needs, of what the notebook imports or exports."""
    tree = ast.parse(code)
    nodes = list(ast.walk(tree))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)} | set(dir(builtins))
    used = {node.id for node in nodes if isinstance(node, ast.Name)} - bound
    lines = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "setup" in tags_of(cell):
            continue
        module = re.match(r"#\| export ?(\w*)\n", cell.source)
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    line = ast.unparse(type(node)(**{**vars(node), "names": [alias]}))
                    lines.setdefault(alias.asname or alias.name.split(".")[0], line)
            elif module and isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign):
                home = module[1] or modules_of(notebook)[0]
                names = [node.name] if hasattr(node, "name") else [ast.unparse(t) for t in node.targets]
                lines |= {name: f"from gptlib.{home} import {name}" for name in names}
    if missing := used - lines.keys():
        raise ValueError(
            f"the solutions use {', '.join(sorted(missing))}: the notebook neither imports it nor exports it"
        )
    return "\n".join(sorted({lines[name] for name in used}))
