"""Workbooks: made from the reading edition, filled in, exported, used in the place of the book's modules."""

import copy
import importlib
import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from gptlib import mine
from gptlib.exercises.notebook import read_notebook, source_of, tags_of
from gptlib.exercises.workbook import Workbook, filled, overview
from tools import notebooks as tools
from tools.chapters import ROOT
from tools.workbook import blanked, copy_workbooks, template

ATTENTION = "05_attention"
BOOK = read_notebook(ROOT / "notebooks" / f"{ATTENTION}.ipynb")
MASK = "return torch.arange(T, device=device)[:, None] >= torch.arange(T, device=device)"
OPEN = "raise NotImplementedError  # your lines"


def with_task_written(notebook: dict, definition: str, *texts: str) -> dict:
    """A workbook in which the blanks of one definition hold these texts."""
    notebook = copy.deepcopy(notebook)
    starts = (f"def {definition}(", f"class {definition}(")
    (cell,) = [
        c
        for c in notebook["cells"]
        if OPEN in source_of(c) and source_of(c).split("\n")[1].startswith(starts)
    ]
    for text in texts:
        cell["source"] = source_of(cell).replace(OPEN, text, 1)
    return notebook


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for the reader's modules, named by GPTLIB_MINE; the workbook of chapter 05 lies beside it."""
    folder = tmp_path / "mine" / "gptlib"
    folder.parent.mkdir()
    monkeypatch.setenv("GPTLIB_MINE", str(folder))
    monkeypatch.setenv(mine.SAID, "")
    monkeypatch.delenv(mine.SAID)
    monkeypatch.chdir(folder.parent)
    return folder


def save(notebook: dict, folder) -> None:
    (folder / f"{ATTENTION}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


# --- templates


@pytest.mark.parametrize("path", tools.notebooks(), ids=lambda path: path.stem)
def test_templates_are_what_the_notebooks_say(path):
    text = (tools.WORKBOOKS / path.name).read_text(encoding="utf-8")
    book = nbformat.read(path, as_version=4)
    assert text == nbformat.writes(nbformat.from_dict(template(book, path.stem))) + "\n", (
        "run `make workbook`"
    )
    notebook = json.loads(text)
    nbformat.validate(nbformat.from_dict(notebook))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and "solution" not in tags_of(cell)
            assert "# blank" not in source_of(cell)


def test_a_blank_is_left_to_the_reader():
    source = "def f(x):\n    y = 1\n    # blank\n    z = x + y\n    return z\n    # end"
    assert blanked(source) == f"def f(x):\n    y = 1\n    {OPEN}"
    twice = "if a:\n    # blank\n    b()\n    # end\n    c()\n# blank\nd()\n# end\ne()"
    assert blanked(twice) == f"if a:\n    {OPEN}\n    c()\n{OPEN}\ne()"


def test_copies_are_never_overwritten(tmp_path):
    templates, folder = tmp_path / "templates", tmp_path / "mine"
    templates.mkdir()
    for name in ("01_a.ipynb", "02_b.ipynb"):
        (templates / name).write_text("new", encoding="utf-8")
    folder.mkdir()
    (folder / "01_a.ipynb").write_text("filled in", encoding="utf-8")
    assert copy_workbooks(templates, folder) == (1, 1)
    assert (folder / "01_a.ipynb").read_text(encoding="utf-8") == "filled in"
    assert (folder / "02_b.ipynb").read_text(encoding="utf-8") == "new"
    assert copy_workbooks(templates, folder) == (0, 2)


SOME = None if os.environ.get("GPTLIB_STRESS") else ["01", "05"]  # `make full` runs all


@pytest.mark.stress
@pytest.mark.parametrize("path", tools.notebooks(SOME), ids=lambda path: path.stem)
def test_an_untouched_workbook_runs_from_top_to_bottom(path, place, monkeypatch):
    """A task that is open says so, and the book's version takes its place."""
    monkeypatch.delenv("GPTLIB_CHECK_SHAPES", raising=False)  # chapter 14 compiles
    notebook = nbformat.read(tools.WORKBOOKS / path.name, as_version=4)
    where = {"metadata": {"path": str(place.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    said = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    checks = sum(cell.source.startswith("workbook.check(") for cell in notebook.cells)
    assert said.count(": open. The cells below use the book's until you write yours") == checks
    assert not place.exists()


# --- checks in the notebook


def test_what_a_check_says(capsys):
    names = {}
    exec("import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn, Tensor", names)
    exec("from jaxtyping import Bool, Float\nfrom gptlib.layers import Dropout, Linear", names)
    workbook = Workbook(ATTENTION, names)
    exec(f"def causal_mask(T, device=None):\n    {OPEN}", names)
    assert not workbook.check("causal_mask")
    assert "causal_mask: open. The cells below use the book's" in capsys.readouterr().out
    assert names["causal_mask"](2).tolist() == [[True, False], [True, True]]  # the book's
    exec("def causal_mask(T, device=None):\n    return torch.ones(T, T, dtype=torch.bool).triu()", names)
    assert not workbook.check("causal_mask")
    assert "not yet. T=5: transposed" in capsys.readouterr().out
    exec("def causal_mask(T, device=None):\n    return torch.ones(T, device=device, nonsense=1)", names)
    assert not workbook.check("causal_mask")
    assert "not yet. your function raised TypeError" in capsys.readouterr().out
    exec(f"def causal_mask(T, device=None):\n    {MASK}", names)
    assert workbook.check("causal_mask")
    assert capsys.readouterr().out == "causal_mask: correct\n"


def test_a_name_that_the_page_has_and_the_module_lacks_is_named(capsys):
    names = {}
    exec("import math\nimport shutil\nimport torch", names)
    workbook = Workbook(ATTENTION, names)
    exec(f"def causal_mask(T, device=None):\n    shutil.disk_usage('.')\n    {MASK}", names)
    assert not workbook.check("causal_mask")
    said = capsys.readouterr().out
    assert (
        "causal_mask: not yet. shutil is known to this page alone" in said
        and "attention.py would lack it" in said
    )
    cell = "import shutil\n\ndef helper(x):\n    return x"
    for history, right in (
        ([cell], False),
        (["#| export tokenizer\n" + cell], False),
        (["#| export\n" + cell], True),
    ):
        names["In"] = history
        assert bool(workbook.check("causal_mask")) is right
    del names["In"]
    exec(
        f"def causal_mask(T, device=None):\n    import shutil\n    shutil.disk_usage('.')\n    {MASK}", names
    )
    assert workbook.check("causal_mask")
    exec(f"def causal_mask(T, device=None):\n    (lambda: shutil.disk_usage('.'))()\n    {MASK}", names)
    assert not workbook.check("causal_mask")


@pytest.mark.parametrize("path", tools.notebooks(), ids=lambda path: path.stem)
def test_the_books_tasks_take_names_of_their_modules_alone(path):
    workbook = Workbook(path.stem, {})
    for definition, module in workbook.home.items():
        there = vars(importlib.import_module(f"gptlib.{module}"))
        workbook.namespace = {**there, "shutil": None}
        workbook.take_the_books(definition)
        assert workbook.lacking(definition) == ""
        exec(f"def {definition}():\n    return shutil", workbook.namespace)
        assert "shutil is known to this page alone" in workbook.lacking(definition)
        exec(f"class {definition}:\n    def f(self):\n        return shutil", workbook.namespace)
        assert "shutil is known to this page alone" in workbook.lacking(definition)


# --- export


def test_an_error_in_another_function_of_the_readers_is_told_as_its(capsys):
    names = {}
    helper = "def helper(x):\n    return x.max(dim=-1) - 1\n\n"
    exec(helper + "def causal_mask(T):\n    return helper(__import__('torch').ones(T, T))", names)
    workbook = Workbook(ATTENTION, names)
    workbook.check("causal_mask")
    assert (
        "causal_mask: not yet. helper, which your function calls, raised TypeError" in capsys.readouterr().out
    )
    exec("def causal_mask(T):\n    return [len(t) for t in T]", names)
    workbook.check("causal_mask")
    assert "causal_mask: not yet. your function raised TypeError" in capsys.readouterr().out


def test_what_is_open_or_gone_is_the_books():
    saved = with_task_written(template(BOOK, ATTENTION), "causal_mask", MASK)
    saved["cells"] = [c for c in saved["cells"] if "class CausalSelfAttention" not in source_of(c)]
    notebook, yours = filled(saved, BOOK)
    text = "\n".join(source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert yours == ["causal_mask"] and MASK in text and OPEN not in text
    assert text.count("class CausalSelfAttention") == 1 and text.count("def attention_weights") == 1


def test_what_is_gone_comes_back_in_its_place():
    saved = with_task_written(template(BOOK, ATTENTION), "causal_mask", MASK)
    saved["cells"] = [c for c in saved["cells"] if "from gptlib.layers import Dropout" not in source_of(c)]
    notebook, _ = filled(saved, BOOK)
    exported = [source_of(c) for c in notebook["cells"] if source_of(c).startswith("#| export")]
    assert "from gptlib.layers import Dropout" in exported[0] and "def causal_mask" in exported[1]


def test_a_cell_that_is_no_python_is_named(place, capsys):
    saved = with_task_written(template(BOOK, ATTENTION), "causal_mask", "return torch.ones((T, T)")
    save(saved, place.parent)
    Workbook(ATTENTION, {}).export()
    said = capsys.readouterr().out
    assert "nothing was exported: line" in said and "def causal_mask(" in said and "is no Python" in said
    assert "attention        3        0   no" in overview(place.parent)
    assert not Workbook(ATTENTION, {}).check("causal_mask")
    assert "causal_mask: not there. Run the cell that defines it first" in capsys.readouterr().out


def test_what_a_cell_without_python_did_not_define_is_the_books(capsys):
    names = {}
    exec("import torch\nfrom jaxtyping import Bool\nfrom torch import Tensor", names)
    assert not Workbook(ATTENTION, names).check("causal_mask")
    said = capsys.readouterr().out
    assert "causal_mask: not there" in said and "SyntaxError" in said and "use the book's" in said
    assert names["causal_mask"](2).tolist() == [[True, False], [True, True]]


def test_checks_that_do_not_end_are_given_up(place, monkeypatch):
    place.mkdir()
    (place / "attention.py").write_text("while True:\n    pass\n", encoding="utf-8")
    monkeypatch.setattr(mine, "LONGEST", 3)
    assert "not done after 3 s" in mine.failed_check("attention")


def test_an_untouched_workbook_exports_nothing(place, capsys):
    save(template(BOOK, ATTENTION), place.parent)
    Workbook(ATTENTION, {}).export()
    assert "no task of this chapter is yours yet" in capsys.readouterr().out and not place.exists()


def python(code: str, **environment) -> subprocess.CompletedProcess:
    """Run code in a process of its own, without the shape checks that this one has."""
    command = [sys.executable, "-c", code]
    kept = {k: v for k, v in os.environ.items() if k not in ("GPTLIB_CHECK_SHAPES", mine.SAID)}
    return subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True)


USE = "import gptlib.attention as a; print(a.__file__); from gptlib.gpt import GPT; print(GPT.__module__)"


def test_an_exported_module_takes_the_books_place_until_it_breaks(place, capsys):
    save(with_task_written(template(BOOK, ATTENTION), "causal_mask", MASK), place.parent)
    Workbook(ATTENTION, {}).export()
    said = capsys.readouterr().out
    assert (
        "written by you: causal_mask" in said
        and "attention.py takes the book's place in the next kernel" in said
    )
    used = python(USE)
    assert str(place / "attention.py") in used.stdout and used.stderr == "yours: attention\n"
    module = place / "attention.py"
    text = module.read_text(encoding="utf-8")

    module.write_text(text.replace(MASK, "return torch.ones(T, T, dtype=torch.bool)"), encoding="utf-8")
    broken = python(USE)  # without a valid stamp the checks run first
    assert str(ROOT / "gptlib" / "attention.py") in broken.stdout
    assert "attention is the book's, because in yours causal_mask: T=5: nothing is masked" in broken.stderr

    module.write_text(text.replace("'causal_mask', ", ""), encoding="utf-8")
    assert "it lacks causal_mask, which the book's has" in python(USE).stderr

    module.write_text(text + "\nx = (", encoding="utf-8")
    assert "is no Python" in python(USE).stderr

    module.write_text(text, encoding="utf-8")  # its stamp is valid again
    assert python(USE).stderr == "yours: attention\n"
    module.with_suffix(".stamp.json").unlink()
    assert python(USE).stderr == "yours: attention\n" and module.with_suffix(".stamp.json").exists()


def test_a_hash_is_that_of_the_module_in_use(tmp_path):
    path = tmp_path / "attention.py"
    path.write_text("x = 1\n", encoding="utf-8")
    finder = mine.Finder({"gptlib.attention": path})
    before = dict(finder.hashes)
    path.write_text("x = 2\n", encoding="utf-8")  # exported again meanwhile
    assert finder.hashes == before == {"attention": finder.hashes["attention"]}
    assert mine.Finder({"gptlib.attention": path}).hashes != before


def test_only_modules_of_the_book_are_replaced(place):
    place.mkdir(parents=True)
    for name in ("cli", "nonsense", "files"):
        (place / f"{name}.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    assert [module.name for module in mine.modules()] == []
    assert python("import gptlib.files, gptlib.cli").returncode == 0


def test_modules_are_in_the_order_in_which_they_import():
    order = mine.book_modules()
    assert order.index("layers") < order.index("attention") < order.index("block") < order.index("gpt")
    assert set(order) == {module for chapter in tools.chapters() for module in chapter.modules}


# --- the command line


def gptlib(*words, cwd) -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if k not in ("GPTLIB_CHECK_SHAPES", "GPTLIB_MINE", mine.SAID)}
    command = [sys.executable, "-m", "gptlib", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=kept | {"TQDM_DISABLE": "1"}, capture_output=True, text=True)


SHORT = "--train.max-steps 2 --train.warmup-steps 1 --train.eval-interval 0 --train.sample-interval 0".split()
SMALL = "--model.n-layer 1 --model.n-embd 16 --model.n-head 2 --model.block-size 16".split()


def test_a_checkpoint_knows_the_readers_modules(place):
    save(with_task_written(template(BOOK, ATTENTION), "causal_mask", MASK), place.parent)
    Workbook(ATTENTION, {}).export()
    home, mine_ = place.parents[1], f"--mine={place}"
    (home / "text").write_text("To be, or not to be: that is the question. " * 40, encoding="utf-8")
    trained = gptlib("train", mine_, "--text", "text", "--out", "run", *SHORT, *SMALL, cwd=home)
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr.startswith("yours: attention\n")
    sample = ["sample", "--checkpoint", "run", "--max-new-tokens", 3, "--prompt", "T"]
    assert gptlib(*sample, mine_, cwd=home).returncode == 0
    refused = gptlib(*sample, cwd=home)
    assert refused.returncode == 2 and "was trained with your attention.py: say --mine, too" in refused.stderr
    assert "say --mine" in gptlib("resume", "run", "--train.max-steps", 4, cwd=home).stderr
    other = with_task_written(template(BOOK, ATTENTION), "causal_mask", MASK + "  # again")
    save(other, place.parent)
    Workbook(ATTENTION, {}).export()
    assert "is another one than" in gptlib(*sample, mine_, cwd=home).stderr
    listed = gptlib("mine", mine_, cwd=home).stdout
    assert "attention        3        1   yes" in listed


def test_a_folder_that_is_not_there_is_named(tmp_path):
    done = gptlib("sample", "--mine", cwd=tmp_path)
    assert done.returncode == 1 and "is no folder: fill in a workbook and export it" in done.stderr
