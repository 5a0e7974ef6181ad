"""Every checker against its solution, its alternatives and its planted bugs; the machinery around them.

answers/NOUN.py holds ALTERNATIVES, {exercise: [right answer, …]}, and
BUGS, {exercise: {bug: (wrong answer, word)}}: the message on the wrong answer must contain the word.
"""

import ast
import contextlib
import functools
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.chapter import builds_on
from gptlib.exercises.notebook import PACKAGE, blank_module, modules_of, read_notebook, source_of, tags_of
from tools import notebooks as tools
from tools.solutions import solutions_of

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "tests" / "exercises" / "answers"


def chapters() -> list[str]:
    """The nouns of the chapters that have checkers."""
    return sorted(path.stem for path in (PACKAGE / "exercises" / "chapters").glob("[!_]*.py"))


def checkers(noun: str) -> dict:
    """The checkers of a chapter by name."""
    module = importlib.import_module(f"gptlib.exercises.chapters.{noun}")
    return {name: value for name, value in vars(module).items() if hasattr(value, "difficulty")}


@functools.cache
def answers(noun: str):
    """The module of right and wrong answers to a chapter's exercises."""
    path = ANSWERS / f"{noun}.py"
    assert path.exists(), f"answers/{noun}.py is missing: every checker needs wrong answers to reject"
    spec = importlib.util.spec_from_file_location(f"answers_{noun}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def cells_of(noun: str) -> list[dict]:
    """The cells of the chapter's notebook."""
    paths = list((ROOT / "notebooks").glob(f"[0-9][0-9]_{noun}.ipynb"))
    assert len(paths) == 1, f"gptlib/exercises/chapters/{noun}.py belongs to one notebook, found {paths}"
    return read_notebook(paths[0])["cells"]


def cell_of(noun: str, name: str, tag: str) -> str:
    """The chapter's cell with that tag that calls the checker."""
    sources = [source_of(cell) for cell in cells_of(noun) if tag in tags_of(cell)]
    found = [source for source in sources if f"exercises.{name}(" in source]
    assert len(found) == 1, f"{len(found)} cells tagged `{tag}` call exercises.{name}"
    return found[0]


@functools.cache
def names_before(noun: str) -> dict:
    """What the notebook imports and exports, for solutions to use."""
    namespace = {}
    for cell in cells_of(noun):
        source = source_of(cell)
        if cell["cell_type"] == "code" and "setup" not in tags_of(cell):
            exported = source.startswith("#| export")
            body = ast.parse(source).body
            chosen = [node for node in body if exported or isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(chosen, []), f"<{noun}>", "exec"), namespace)
    return namespace


def without_encoding(source: str) -> list[str]:
    """The calls that read or write text in the machine's default encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        function = ast.unparse(call.func).split(".")[-1]
        binary = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in call.args[1:2])
        named = any(keyword.arg == "encoding" for keyword in call.keywords)
        if function in ("open", "read_text", "write_text") and not (binary or named):
            found.append(ast.unparse(call))
    return found


def heading_complaints(noun: str, name: str) -> list[str]:
    """What is wrong with the text above the stub."""
    check = checkers(noun)[name]
    text = ""
    for cell in cells_of(noun):
        if cell["cell_type"] == "markdown" and "### Exercise" in source_of(cell):
            text = source_of(cell)
        elif "stub" in tags_of(cell) and f"exercises.{name}(" in source_of(cell):
            break
    effort = f"(difficulty {check.difficulty} of 3, about {check.minutes} minutes)"
    complaints = [] if effort in text else [f"the heading above the stub must say {effort}: {text[:100]!r}"]
    if "<summary>Hint 1</summary>" not in text:
        complaints.append("hints in steps stand below what to do")
    if check.difficulty not in (1, 2, 3) or not check.__doc__:
        complaints.append("a checker has a difficulty of 1 to 3 and a docstring")
    return complaints


def solution_of(noun: str, name: str) -> tuple[str, str]:
    """The text of a solution, and a call of its checker."""
    call = cell_of(noun, name, "stub").splitlines()[-1]
    if name in solutions_of(noun):
        return solutions_of(noun)[name], call
    return cell_of(noun, name, "solution"), ""  # a code cell, which calls the checker itself


EXERCISES = [(noun, name) for noun in chapters() for name in checkers(noun)]


@pytest.mark.parametrize("noun, name", EXERCISES, ids=[".".join(exercise) for exercise in EXERCISES])
def test_exercise(noun, name, capsys, record_property):
    """The stub, the solution, every right answer and every planted bug get the line that they should."""
    check, given = checkers(noun)[name], answers(noun)
    alternatives, bugs = given.ALTERNATIVES.get(name, []), given.BUGS.get(name, {})
    complaints = heading_complaints(noun, name)

    def said(run) -> str:
        with contextlib.suppress(AssertionError):  # of the solution's cell, which asserts its checker
            run()
        return capsys.readouterr().out.removesuffix("\n").removeprefix(f"{name}: ")

    solution, call = solution_of(noun, name)
    sources = {"stub": cell_of(noun, name, "stub"), "solution": f"{solution}\n\n\n{call}"}
    for (what, source), line in zip(sources.items(), ("not attempted yet", "correct"), strict=True):
        found = said(lambda source=source: exec(source, dict(names_before(noun))))
        complaints += [] if found == line else [f"the {what}: {found!r}"]
    complaints += [f"the solution names no encoding: {call}" for call in without_encoding(solution)]

    refused = []
    for attempt in alternatives:
        found = said(lambda attempt=attempt: check(attempt))
        if found != "correct":
            refused.append(f"refuses the right answer {attempt}: {found}")
    survivors = []
    for bug, (attempt, word) in bugs.items():
        found = said(lambda attempt=attempt: check(attempt))
        if found == "correct":
            survivors.append(bug)
        elif not found.startswith("not yet. ") or word not in found or "\n" in found:
            complaints.append(f"{bug}: the message must contain {word!r}: {found}")
        elif "checking your function gave" in found:
            complaints.append(f"{bug}: an expect() should name the mistake: {found}")
    record_property("kill matrix", [f"{noun}.{name}", len(alternatives), len(refused), len(bugs), survivors])
    complaints += refused + [f"accepts the wrong answer {bug!r}" for bug in survivors]
    if not alternatives or len(bugs) < 3:
        complaints.append(
            f"answers/{noun}.py has {len(alternatives)} right and {len(bugs)} wrong answers, not 1 and 3"
        )
    assert not complaints, "\n".join(complaints)


@pytest.mark.slow
@pytest.mark.parametrize("noun", ["checkpoint", "generation"])
def test_what_open_solutions_found_holds(noun):
    importlib.import_module(f"gptlib.exercises.solutions.{noun}").experiment()


def test_solutions_belong_to_exercises_and_import_what_they_use():
    for path in tools.PACKAGE.glob("exercises/solutions/[!_]*.py"):
        module = importlib.import_module(f"gptlib.exercises.solutions.{path.stem}")
        assert solutions_of(path.stem).keys() <= checkers(path.stem).keys(), path
        assert all(hasattr(module, name) for name in solutions_of(path.stem)), path


def test_answers_belong_to_exercises():
    given = [(noun, {*answers(noun).ALTERNATIVES, *answers(noun).BUGS}) for noun in chapters()]
    strangers = [f"{noun}.{name}" for noun, names in given for name in names - checkers(noun).keys()]
    assert not strangers, f"answers to exercises that do not exist: {strangers}"


# --- exercise, expect ---


@exercise(difficulty=1, minutes=5)
def doubled(attempt):
    """attempt(x) -> 2 x."""
    expect(attempt(3) == 6, f"twice 3 is 6, not {attempt(3)}")


def not_attempted(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    "attempt, line",
    [
        (lambda x: 2 * x, "doubled: correct"),
        (not_attempted, "doubled: not attempted yet"),
        (torch.no_grad()(not_attempted), "doubled: not attempted yet"),
        (
            lambda x: torch.tensor([x]).softmax(0),
            "doubled: not yet. your function raised NotImplementedError: ",
        ),
        (
            lambda x: torch.optim.Optimizer.step(None, None),
            "doubled: not yet. your function raised NotImplementedError",
        ),
        (lambda x: x, "doubled: not yet. twice 3 is 6, not 3"),
        (lambda x: x + "1", "doubled: not yet. your function raised TypeError: unsupported operand"),
        (lambda: 6, "doubled: not yet. checking your function gave TypeError: "),
        (lambda x: int("a\nb"), "doubled: not yet. your function raised ValueError: invalid literal"),
        (int("2").__mul__, "doubled: correct"),
        (None, "doubled: not yet. your function raised TypeError: 'NoneType' object is not callable"),
    ],
)
def test_a_checker_prints_one_line_and_says_whether_all_is_right(attempt, line, capsys):
    verdict = doubled(attempt)
    out = capsys.readouterr().out
    assert out.startswith(line) and out.count("\n") == 1
    assert bool(verdict) == ("correct" in line)


def test_a_checker_is_silent_in_a_notebook_but_for_its_line():
    assert doubled(lambda x: 2 * x)._ipython_display_() is None
    assert (doubled.__name__, doubled.difficulty, doubled.minutes) == ("doubled", 1, 5)


# --- the last cell of a chapter, in a book of two chapters ---

NUMBERS = """#| export
def twice(x: int) -> int:
    return x + x
"""


def cell(kind: str, source: str, *tags: str) -> dict:
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    identifier = f"{kind}-{zlib.crc32(source.encode())}"
    return {"cell_type": kind, "id": identifier, "metadata": {"tags": list(tags)}, "source": source, **code}


def write_chapter(
    book: Path,
    numbers: str = NUMBERS,
    default_exp: str = "#| default_exp numbers",
    others: tuple[str, ...] = (),
) -> None:
    """03_numbers, with `others` as further code cells."""
    cells = [
        cell("markdown", "# 03 · Numbers"),
        cell("code", default_exp),
        *[cell("code", source) for source in (numbers, *others)],
        cell("markdown", "## Twice is plus itself"),
        cell("code", "# Twice two is four\nprint('noise')\nassert twice(2) == 4", "proof"),
        cell("code", "assert twice(5) == 10", "proof"),
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (book / "notebooks" / "03_numbers.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="session")
def exported_book(tmp_path_factory):
    """A small book: the exercise machinery, one chapter, and a module that builds on it."""
    book = tmp_path_factory.mktemp("exercises") / "book"
    for folder in ("notebooks", "gptlib/exercises"):
        (book / folder).mkdir(parents=True)
    (book / "gptlib" / "__init__.py").write_text("", encoding="utf-8")
    for path in (PACKAGE / "exercises").glob("*.py"):
        shutil.copy(path, book / "gptlib" / "exercises")
    (book / "gptlib" / "sums.py").write_text(
        "from .numbers import twice\nfour = twice(2)\n", encoding="utf-8"
    )
    write_chapter(book)
    run(book, EXPORT)
    return book


@pytest.fixture
def book(exported_book, tmp_path):
    """A copy of the small book, for one test to change."""
    return shutil.copytree(exported_book, tmp_path / "book")


EXPORT = "from gptlib.exercises import export_chapter; export_chapter('03_numbers', globals())"


def run(book: Path, program: str, folder: str = "notebooks") -> subprocess.CompletedProcess:
    """Run a program as a cell of the book would: beside the notebooks, with the book's own gptlib."""
    environment = {**os.environ, "PYTHONPATH": str(book), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=book / folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("folder", ["notebooks", ".", "gptlib"])
def test_the_last_cell_exports_and_proves(book, folder):
    (book / "gptlib" / "numbers.py").unlink()
    done = run(book, f"{EXPORT}; print(twice(4))", folder)
    assert done.stdout.splitlines() == [
        "gptlib/numbers.py holds the exported cells of 03_numbers",
        "2 proofs hold for it",
        "8",
    ]
    assert done.stderr == ""


def test_an_edit_reaches_the_module_and_what_builds_on_it(book):
    edit = NUMBERS.replace("x + x", "2 * x + 0 * 7")
    program = f"""
import json
from pathlib import Path
from gptlib import sums
from gptlib.numbers import twice
sums.four = None
path = Path("03_numbers.ipynb")
path.write_text(path.read_text("utf-8").replace("x + x", "2 * x + 0 * 7"), "utf-8")
old = twice
{EXPORT}
assert twice is not old and sums.four == 4
"""
    done = run(book, program)
    assert done.returncode == 0, done.stderr
    assert edit.splitlines()[2] in (book / "gptlib" / "numbers.py").read_text(encoding="utf-8")
    assert [path.name for path in (book / "gptlib").iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize(
    "broken, claim",
    [("x * x + 1", "Twice two is four"), ("x * x", "Twice is plus itself")],
)
def test_a_broken_edit_is_named_by_the_proof_that_fails(book, broken, claim):
    write_chapter(book, NUMBERS.replace("x + x", broken))
    caught = f"import traceback\ntry: {EXPORT}\nexcept AssertionError: print(traceback.format_exc())"
    done = run(book, caught)
    assert done.stdout.startswith("gptlib/numbers.py holds the exported cells of 03_numbers\n")
    assert done.stdout.rstrip().endswith(f"AssertionError: this proof fails: {claim}"), done.stderr
    assert "assert twice(" in done.stdout  # the traceback shows the line of the proof


def test_what_is_the_same_is_not_written_again(book):
    module = book / "gptlib" / "numbers.py"
    before = module.stat()
    run(book, EXPORT)
    assert (module.stat().st_mtime_ns, module.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


HELPERS = (
    "#| export helpers\ndef half(x: int) -> int:\n    return x // 2\n",
    "#| exporti\nUNIT = 1",
    "#| exporti helpers\nZERO = 0",
    "#| export helpers\nfrom gptlib.numbers import twice\nfour = twice(2) + ZERO",
)
BOTH = "gptlib/numbers.py and gptlib/helpers.py hold the exported cells of 03_numbers"


def modules(book: Path) -> dict[str, tuple[str, int]]:
    """The text and the time of writing of the two modules."""
    files = {name: book / "gptlib" / f"{name}.py" for name in ("numbers", "helpers")}
    return {name: (file.read_text(encoding="utf-8"), file.stat().st_mtime_ns) for name, file in files.items()}


def test_a_notebook_may_export_more_than_one_module(book):
    write_chapter(book, others=HELPERS)
    done = run(book, f"{EXPORT}; print(half(4), four, 'UNIT' in globals(), 'ZERO' in globals())")
    assert done.stdout.splitlines() == [BOTH, "2 proofs hold for them", "2 4 False False"], done.stderr
    written = modules(book)
    numbers, helpers = (text for text, _ in written.values())
    assert "__all__ = ['twice']" in numbers and "UNIT = 1" in numbers
    assert "__all__ = ['four', 'half']" in helpers and "ZERO = 0" in helpers
    assert helpers.startswith("# AUTOGENERATED! DO NOT EDIT! File to edit: ../notebooks/03_numbers.ipynb.\n")
    run(book, EXPORT)
    assert modules(book) == written  # nbdev appends to a second module; here nothing comes twice


def test_nbdev_itself_makes_the_same_of_a_second_module(book):
    write_chapter(book, others=HELPERS)
    run(book, EXPORT)
    ours = {name: text for name, (text, _) in modules(book).items()}
    shutil.copy(ROOT / "pyproject.toml", book)
    notebook = read_notebook(book / "notebooks" / "03_numbers.ipynb")
    for name in ours:
        blank = blank_module(notebook, "03_numbers", name)
        (book / "gptlib" / f"{name}.py").write_text(blank, encoding="utf-8")
    done = run(book, "from nbdev.doclinks import nbdev_export; nbdev_export()", ".")
    assert {name: text for name, (text, _) in modules(book).items()} == ours, done.stderr


def test_an_edit_of_a_second_module_reaches_what_builds_on_it(book):
    write_chapter(book, others=HELPERS)
    (book / "gptlib" / "sums.py").write_text("from .helpers import half\ntwo = half(4)\n", encoding="utf-8")
    run(book, EXPORT)
    program = f"""
from pathlib import Path
from gptlib import sums
path = Path("03_numbers.ipynb")
path.write_text(path.read_text("utf-8").replace("x // 2", "x // 2 + 100"), "utf-8")
{EXPORT}
print(sums.two, half(4))
"""
    done = run(book, program)
    assert done.stdout.splitlines() == [BOTH, "2 proofs hold for them", "102 102"], done.stderr


def test_a_change_of_either_module_is_noticed(book, monkeypatch):
    monkeypatch.setattr(tools, "PACKAGE", book / "gptlib")
    path = book / "notebooks" / "03_numbers.ipynb"
    write_chapter(book, others=HELPERS)
    assert not tools.in_sync(path)  # the second module is not there yet
    assert tools.export(path) and tools.in_sync(path) and not tools.export(path)
    for name in ("numbers", "helpers"):
        file = book / "gptlib" / f"{name}.py"
        file.write_text(file.read_text(encoding="utf-8") + "# added by hand\n", encoding="utf-8")
        assert not tools.in_sync(path), name
        assert tools.export(path) and tools.in_sync(path)


def test_modules_are_named_by_the_first_lines_of_code_cells():
    cells = [
        cell("markdown", "#| export markdown"),
        cell("code", "#| export second\nx = 1"),
        cell("code", "#| default_exp first"),
        cell("code", "text = 1\n#| export below"),
        cell("code", "#| exporti third\ny = 2"),
        cell("code", "#| export second\nz = 3"),
        cell("code", "#| export\nw = 4"),
    ]
    assert modules_of({"cells": cells}) == ["first", "second", "third"]


def test_a_notebook_without_a_module_only_proves(book):
    write_chapter(book, NUMBERS.replace("#| export", "# not exported"), default_exp="twice = lambda x: 2 * x")
    done = run(book, f"twice = lambda x: 2 * x; {EXPORT}")
    assert done.stdout.splitlines() == ["03_numbers has nothing to export", "2 proofs hold"], done.stderr


def test_a_notebook_that_is_not_there_gives_one_line(book):
    done = run(book, EXPORT.replace("03_numbers", "04_sums"))
    assert done.stdout == (
        "nothing was exported: 04_sums.ipynb is not in notebooks/: save it there under this name\n"
    )
    assert done.returncode == 0


def test_a_package_that_cannot_be_written_gives_one_line(book):
    write_chapter(book, NUMBERS.replace("x + x", "2 * x"))
    (book / "gptlib" / "numbers.py").unlink()
    (book / "gptlib" / "numbers.py").mkdir()  # stands for any refusal, which permissions do not give to root
    done = run(book, EXPORT)
    assert done.stdout.startswith("nothing was exported: [Errno ") and done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (0, "")


COLAB = """
import sys, types
google, colab = types.ModuleType("google"), types.ModuleType("google.colab")
sys.modules.update({"google": google, "google.colab": colab})
"""


def test_on_colab_the_notebook_in_the_browser_counts(book, tmp_path):
    edited = tmp_path / "edited.json"
    write_chapter(book, NUMBERS.replace("x + x", "2 * x"))
    edited.write_text((book / "notebooks" / "03_numbers.ipynb").read_text(encoding="utf-8"), encoding="utf-8")
    write_chapter(book)
    browser = f"""{COLAB}
import json
message = types.SimpleNamespace(
    blocking_request=lambda kind, timeout_sec: {{"ipynb": json.load(open({str(edited)!r}, encoding="utf-8"))}}
)
colab._message = sys.modules["google.colab._message"] = message
{EXPORT}
"""
    done = run(book, browser, folder="gptlib")
    assert done.stdout.splitlines()[-1] == "2 proofs hold for it", done.stderr
    assert "2 * x" in (book / "gptlib" / "numbers.py").read_text(encoding="utf-8")


def test_on_colab_the_cloned_notebook_stands_in_and_says_so(book):
    done = run(book, f"{COLAB}\n{EXPORT}", folder="gptlib")
    assert done.stdout.splitlines() == [
        f"03_numbers is taken from {book}/notebooks/03_numbers.ipynb: "
        "what you changed in the browser is not in it",
        "gptlib/numbers.py holds the exported cells of 03_numbers",
        "2 proofs hold for it",
    ], done.stderr


def test_what_builds_on_a_module_is_found_in_the_order_to_reload_it():
    for noun in ("tokenizer", "data", "layers", "attention", "block", "gpt", "training", "generation"):
        importlib.import_module(f"gptlib.{noun}")
    order = builds_on(["gptlib.attention", "gptlib.block"])
    assert order[:2] == ["gptlib.attention", "gptlib.block"]
    assert order.index("gptlib.block") < order.index("gptlib.gpt")
    assert not {"gptlib.layers", "gptlib.tokenizer"} & set(order)
    assert "gptlib.gpt" in builds_on(["gptlib.layers"])
    assert builds_on(["gptlib.not_loaded"]) == []
