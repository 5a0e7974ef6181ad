"""tools/solutions.py: code cells become a file and folded texts; the file's changes reach the notebook."""

import copy

import pytest
from nbformat import v4

from tools import solutions
from tools.solutions import folded, solutions_of, write_solutions

STUB = "def twice(x):\n    raise NotImplementedError\n\n\nexercises.twice(twice)"
CODE = "def twice(x):\n    return math.fsum([x, x]) + total(zero)"
SOLUTION = f"# @title Solution\n{CODE}\n\n\nassert exercises.twice(twice)"
EXPORTED = """#| export sums
import torch
import math


def total(x):
    return x.sum()


zero = torch.zeros(1)"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(solutions, "FOLDER", tmp_path)
    return tmp_path


def notebook(*cells):
    first = [v4.new_markdown_cell("# 19 · Sums"), v4.new_code_cell(EXPORTED)]
    return v4.new_notebook(cells=[*first, *cells])


def exercise():
    stub = v4.new_code_cell(STUB, metadata={"tags": ["stub"]})
    return stub, v4.new_code_cell(SOLUTION, metadata={"tags": ["solution"]})


def test_a_code_cell_becomes_a_section_and_a_folded_text(folder):
    book = notebook(*exercise(), v4.new_code_cell("1"))
    write_solutions(book, "sums")
    *_, stub, solution, last = book.cells
    text = (folder / "sums.py").read_text(encoding="utf-8")
    assert text == (
        '"""Solutions to the exercises of chapter 19, each after a line with its checker\'s name."""\n\n'
        f"import math\n\nfrom gptlib.sums import total, zero\n\n\n# --- twice\n{CODE}\n"
    )
    assert solution.source == folded(CODE) and solution.source.startswith(
        "<details><summary>Solution</summary>"
    )
    assert (stub.source, last.execution_count) == (STUB, 3)
    before = copy.deepcopy(book)
    write_solutions(book, "sums")
    assert book == before and (folder / "sums.py").read_text(encoding="utf-8") == text


def test_a_change_of_the_file_reaches_the_notebook(folder):
    book = notebook(*exercise())
    write_solutions(book, "sums")
    path = folder / "sums.py"
    path.write_text(path.read_text(encoding="utf-8").replace("[x, x]", "[x] * 2"), encoding="utf-8")
    write_solutions(book, "sums")
    assert "[x] * 2" in solutions_of("sums")["twice"] and "[x] * 2" in book.cells[-1].source


def test_a_solution_needs_what_the_notebook_has(folder):
    book = notebook(*exercise())
    book.cells[1].source = "import math"
    with pytest.raises(ValueError, match="the solutions use total, zero: the notebook neither imports"):
        write_solutions(book, "sums")
    assert list(folder.iterdir()) == []
