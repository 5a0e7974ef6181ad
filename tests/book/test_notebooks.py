"""The house rules on every notebook; each rule on a planted violation; modules against notebooks."""

import copy
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import house_rules
import nbformat
import pytest
import torch
from house_rules import CHAPTER_OF, RULES, badges_fit, broken_links, links_resolve, reserved_names

from gptlib.exercises.notebook import blank_module, exported_sources, modules_of, read_notebook, source_of
from tools import notebooks as tools

ROOT = Path(__file__).resolve().parents[2]
PATHS = tools.notebooks()
MODULES = sorted(p.stem for p in (ROOT / "gptlib").glob("*.py") if not p.stem.startswith("_"))
each_notebook = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])


def repository() -> str | None:
    """owner/name of `[project.urls] Repository`, if pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository")
    return address and address.removeprefix("https://github.com/")


@each_notebook
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_rule(rule, path):
    notebook = read_notebook(path)
    given = {"repository": repository()} if rule is badges_fit else {}
    complaints = rule(notebook, path.stem, **given)
    assert not complaints, f"{path.name}: {rule.__doc__}\n" + "\n".join(complaints)


# --- every rule catches what it is for ---


def code(source, *tags, outputs=(), **metadata):
    if tags:
        metadata["tags"] = list(tags)
    cell = {"cell_type": "code", "source": source, "metadata": metadata, "outputs": list(outputs)}
    return cell | {"execution_count": None, "id": ""}


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}, "id": ""}


def printed(words, name="stdout"):
    return {"output_type": "stream", "name": name, "text": words}


def shown(**data):
    return {"output_type": "display_data", "metadata": {}, "data": data}


FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
LAYER = '''#| export
import math

from gptlib.layers import Linear

WIDTH = 4


def total(x: Float[Tensor, "B T"]) -> float:
    """The sum."""
    return x.sum()


class Half(nn.Module):
    """x [B, T] / 2."""

    def forward(self, x):
        return x / 2
'''


def good_notebook() -> dict:
    """A small notebook against which no rule has anything to say."""
    cells = [
        text("# 05 · Attention\n\nHow? See [the data](../data/README.md) and [below](#Second-half:-more)."),
        code('# @title Setup\nREPOSITORY = ""', "setup", **FOLDED),
        code("#| default_exp attention"),
        code(
            "import torch\nfrom gptlib.exercises.chapters import attention as exercises\n"
            "from gptlib.data import split"
        ),
        code(LAYER),
        code("# The sum of nothing\nassert total(torch.zeros(1, 1)) == 0", "proof"),
        code('predictions.guess("sum", None)'),
        code(
            'predictions.reveal("sum", 1)',
            "answer",
            jupyter={"outputs_hidden": True},
            outputs=[printed("sum: 1.2346\n")],
        ),
        code("slider", "widget"),
        code(
            "slider.value = 2\nassert slider.state == 2",
            outputs=[shown(**{"image/png": "", "text/plain": "F"})],
        ),
        code(
            "assert clock() < 5\ntime.perf_counter()", "nbval-ignore-output", outputs=[printed("0.1234567 s")]
        ),
        text("## Second half: more"),
        code("def twice(x):\n    raise NotImplementedError\n\n\nexercises.twice(twice)", "stub"),
        code(
            "# @title Solution\ndef twice(x):\n    return 2 * x\n\n\nassert exercises.twice(twice)",
            "solution",
            **FOLDED,
        ),
        code("predictions.board()"),
        code('export_chapter("05_attention", globals())', "export-and-prove"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
        cell["execution_count"] = number
    return {"cells": cells, "metadata": {"kernelspec": tools.KERNEL}, "nbformat": 4, "nbformat_minor": 5}


SETUP, IMPORTS, EXPORT, PROOF, GUESS, ANSWER, WIDGET, DRIVER, CLOCK, STUB, SOLUTION, BOARD, LAST = (
    *(1, 3, 4, 5, 6, 7, 8, 9, 10),
    *(12, 13, 14, 15),
)


def source(number, new):
    """A violation: another source in cell `number`."""
    return lambda cells: cells[number].update(source=new)


def replaced(number, old, new):
    """A violation: in cell `number`, `new` stands for `old`."""

    def violate(cells):
        assert old in cells[number]["source"]
        cells[number]["source"] = cells[number]["source"].replace(old, new)

    return violate


def output(number, *outputs):
    """A violation: other outputs of cell `number`."""
    return lambda cells: cells[number].update(outputs=list(outputs))


def untagged(number, **metadata):
    """A violation: other metadata of cell `number`."""
    return lambda cells: cells[number].update(metadata=metadata)


VIOLATIONS = {
    "counts_run_from_one": [
        lambda cells: cells[EXPORT].update(execution_count=9),
        lambda cells: cells[EXPORT].update(execution_count=None),
    ],
    "no_errors": [
        output(DRIVER, printed("UserWarning", name="stderr")),
        output(DRIVER, {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}),
    ],
    "pictures_are_png": [
        output(DRIVER, shown(**{"image/svg+xml": "<svg/>"})),
        output(DRIVER, shown(**{tools.WIDGET_VIEW: {}})),
    ],
    "metadata_is_small": [
        untagged(DRIVER, execution={}),
        lambda cells: cells[0].update(metadata={"tags": ["proof"]}),
        lambda cells: cells[EXPORT].update(id="cell0"),
    ],
    "tags_are_known": [untagged(PROOF, tags=["prof"])],
    "begins_with_title_and_setup": [
        source(0, "# Attention"),
        untagged(SETUP, **FOLDED),
        untagged(SETUP, tags=["setup"]),
        lambda cells: cells.insert(1, cells.pop(EXPORT)),
    ],
    "badges_fit": [
        source(0, f"# 05 · Attention\n\n{tools.badge('someone/book', '05_attention')}"),
        source(SETUP, 'REPOSITORY = "https://github.com/someone/book"'),
    ],
    "core_fits_in_sixty_cells": [lambda cells: cells.__setitem__(slice(5, 5), [text("more")] * 50)],
    "ends_with_export": [
        lambda cells: cells.append(text("The end.")),
        replaced(LAST, "05_attention", "06_block"),
        untagged(LAST),
    ],
    "has_proofs_and_exercises": [
        lambda cells: cells.pop(PROOF),
        source(PROOF, "total(1)"),
        untagged(STUB),
    ],
    "exercises_are_complete": [
        replaced(STUB, "raise NotImplementedError", "return 2 * x"),
        lambda cells: cells.pop(SOLUTION),
        untagged(SOLUTION, tags=["solution"]),
        untagged(SOLUTION, tags=["solution"], **{**FOLDED, "jupyter": {}}),
        replaced(SOLUTION, "# @title Solution", "# Solution"),
        replaced(SOLUTION, "assert exercises", "exercises"),
    ],
    "predictions_are_kept": [
        replaced(GUESS, "None", "3"),
        replaced(GUESS, "sum", "mean"),
        replaced(ANSWER, "predictions.reveal", "print"),
        untagged(ANSWER, jupyter={"outputs_hidden": True}),
        untagged(ANSWER, tags=["answer"]),
        source(ANSWER, "1"),
        source(BOARD, "1"),
    ],
    "widgets_are_driven": [
        output(WIDGET, shown(**{"text/plain": "VBox()"})),
        source(DRIVER, "slider.value = 2"),
        output(DRIVER),
    ],
    "imports_go_backwards": [
        source(IMPORTS, "from gptlib.gpt import GPT"),
        source(IMPORTS, "from gptlib import attention"),
        source(IMPORTS, "def f():\n    import gptlib.block"),
        source(IMPORTS, "import gptlib.numbers"),
        replaced(EXPORT, "gptlib.layers", "gptlib.widgets"),
    ],
    "exports_are_definitions": [
        replaced(EXPORT, "import math", "print(1)"),
        replaced(EXPORT, "#| export", "#|export"),
        replaced(EXPORT, "#| export", "# A comment\n#| export"),
    ],
    "signatures_name_no_class_as_text": [
        replaced(EXPORT, "def forward(self, x)", 'def forward(self, x) -> "Half"'),
        replaced(EXPORT, "def forward(self, x)", 'def forward(self, x: "Half")'),
    ],
    "exports_are_documented": [
        replaced(EXPORT, '"""The sum."""', "'The sum.'.upper()"),
        replaced(EXPORT, '"""x [B, T] / 2."""', "pass"),
        replaced(EXPORT, "x [B, T] / 2.", "half of x."),
        replaced(EXPORT, 'Float[Tensor, "B T"]', "Tensor"),
    ],
    "no_trailing_semicolon": [replaced(IMPORTS, "import torch", "import torch;")],
    "unstable_cells_assert": [replaced(CLOCK, "assert clock() < 5", ""), untagged(CLOCK)],
    "outputs_are_stable": [
        output(PROOF, printed("<function f at 0x7f12ab34cd56>")),
        output(PROOF, shown(**{"text/plain": "<gptlib.gpt.Thing object>"})),
        output(PROOF, printed("read /home/somebody/book/data")),
        output(PROOF, printed("0.123456")),
    ],
    "links_resolve": [
        source(0, "[x](../data/missing.md)"),
        source(0, "[x](#Third-half)"),
        source(0, "![x](picture.png)"),
        source(0, "[x](../data/README.md#no-such-heading)"),
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_good_notebook_has_no_complaints(rule):
    assert rule(good_notebook(), "05_attention") == []


def test_every_rule_has_a_violation():
    assert VIOLATIONS.keys() == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize(
    "rule, violate",
    [(getattr(house_rules, rule), violate) for rule, cases in VIOLATIONS.items() for violate in cases],
    ids=[f"{rule}-{number}" for rule, cases in VIOLATIONS.items() for number in range(len(cases))],
)
def test_a_planted_violation_is_caught(rule, violate):
    notebook = good_notebook()
    violate(notebook["cells"])
    assert notebook != good_notebook()
    assert rule(notebook, "05_attention")


def test_badges_are_held_against_the_repository():
    assert len(badges_fit(good_notebook(), "05_attention", "someone/book")) == 2


# --- the book as a whole ---


def test_every_module_has_a_notebook_and_every_notebook_its_module():
    exported = {module: path.stem for path in PATHS for module in modules_of(read_notebook(path))}
    missing = [f"no notebook exports gptlib/{module}.py" for module in MODULES if module not in exported]
    missing += [f"gptlib/{m}.py, from {name}, is missing" for m, name in exported.items() if m not in MODULES]
    numbers = [
        f"{m} is not chapter {name[:2]}" for m, name in exported.items() if CHAPTER_OF[m] != int(name[:2])
    ]
    assert not missing + numbers, "\n".join(missing + numbers)


def test_the_readme_lists_the_notebooks_and_no_others():
    listed = re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert listed == [path.stem for path in PATHS], "README's table of contents, in order"


def test_setup_cells_are_the_same_everywhere():
    setups = {source_of(house_rules.code_cells(read_notebook(path))[0]) for path in PATHS}
    assert len(setups) == 1, "the setup cells differ: run `make badges` or copy the one of 00_start_here"


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "data" / "README.md"], ids=["README", "data"])
def test_links_of_the_readmes(path):
    page = path.read_text(encoding="utf-8")
    assert not broken_links(page, path, own_anchors=house_rules.anchors_of(path))


def test_links_with_anchors_into_notebooks(tmp_path):
    nbformat.write(nbformat.from_dict(good_notebook()), tmp_path / "05_attention.ipynb")
    (tmp_path / "page.md").write_text("# A `Page` of one's own\n")
    other = {"cells": [text("[a](05_attention.ipynb#Second-half:-more) [b](page.md#a-page-of-ones-own)")]}
    assert links_resolve(other, "06_block", folder=tmp_path) == []
    other["cells"][0]["source"] += " [c](05_attention.ipynb#Third-half) [d](page.md#a-book)"
    assert len(links_resolve(other, "06_block", folder=tmp_path)) == 2


# chapter 14 is about them: the twins of the reader's own layers, proved equal to these
TWINS = [f"torch.nn.functional.{name}" for name in ("dropout", "gelu", "layer_norm", "linear")]


@pytest.mark.parametrize("module", ["cli", "__main__", *MODULES])
def test_nothing_reserved_for_proofs_is_used(module):
    names = reserved_names((ROOT / "gptlib" / f"{module}.py").read_text(encoding="utf-8"))
    assert names == (TWINS if module == "speed" else [])


@pytest.mark.parametrize(
    "line",
    [
        "from torch import nn; nn.Linear(1, 2)",
        "import torch; torch.nn.LayerNorm(3)",
        "from torch.nn import Embedding",
        "from torch.nn import Embedding as E",
        "from torch.nn import *",
        "import torch.nn as layers\nclass Mine(layers.Dropout): pass",
        "import torch.nn.functional as F; F.gelu(x)",
        "from torch.nn import functional; functional.cross_entropy(x, y)",
        "from torch.nn.functional import layer_norm",
        "import torch; f = torch.nn.functional.linear",
        "import torch; torch.optim.AdamW([])",
        "from torch.optim import Adam",
        "from torch import optim; optim.lr_scheduler.CosineAnnealingLR",
        "from torch import nn; getattr(nn, 'MultiheadAttention')",
        "import pickle",
        "from pickle import loads",
        "import torch; torch.save({}, 'x')",
        "from torch import load",
        "import torch; torch.layer_norm(x, (3,))",
        "import torch as t; t.nn.utils.clip_grad_norm_(p, 1.0)",
    ],
)
def test_a_reserved_name_is_caught(line):
    assert reserved_names(line)


def test_containers_and_the_fused_kernel_are_not_reserved():
    allowed = """
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
class Mine(nn.Module): parts, weight = nn.ModuleList(), nn.Parameter(torch.zeros(1))
y = F.scaled_dot_product_attention(q, k, v)
"""
    assert reserved_names(allowed) == []


IMPORTS_IN_ORDER = """
import importlib, sys
import torch

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in hidden:
            raise ImportError(f"{name} is a later chapter's")

order = sys.argv[1:]
sys.meta_path.insert(0, Hidden())
for number, module in enumerate(order):
    others = ["widgets", "exercises", "cli", "__main__"]
    hidden = {f"gptlib.{later}" for later in [*order[number + 1 :], *others]}
    for name in [name for name in sys.modules if name.split(".")[0] == "gptlib"]:
        del sys.modules[name]
    try:
        importlib.import_module(f"gptlib.{module}")
    except ImportError as error:
        print(f"{module}: {error}")
"""


def import_in_order(order, book):
    """What goes wrong when each module of the book is imported with every later one hidden."""
    environment = {**os.environ, "PYTHONPATH": str(book)}
    command = [sys.executable, "-c", IMPORTS_IN_ORDER, *order]
    done = subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_import_order():
    order = sorted(MODULES, key=lambda module: CHAPTER_OF[module])
    assert import_in_order(order, ROOT) == []


def test_an_import_of_a_later_chapter_is_caught(tmp_path):
    (tmp_path / "gptlib").mkdir()
    (tmp_path / "gptlib" / "__init__.py").write_text("")
    (tmp_path / "gptlib" / "layers.py").write_text("from gptlib.attention import f")
    (tmp_path / "gptlib" / "attention.py").write_text("def f(): pass")
    found = import_in_order(["layers", "attention"], tmp_path)
    assert found == ["layers: gptlib.attention is a later chapter's"]


# --- export, clean, badges ---


@each_notebook
def test_the_module_is_what_the_notebook_says(path):
    assert tools.in_sync(path), "run `make export`"


@pytest.mark.parametrize(
    "path", [p for p in PATHS if modules_of(read_notebook(p))], ids=lambda path: path.stem
)
def test_a_deleted_line_is_noticed(path, tmp_path, monkeypatch):
    """Any line: the first, some in between, the last."""
    monkeypatch.setattr(tools, "PACKAGE", tmp_path)
    notebook = read_notebook(path)
    assert not tools.in_sync(path)  # there are no such modules yet
    assert tools.export(path)
    for module, source in exported_sources(notebook, path.stem).items():
        lines = source.splitlines(keepends=True)
        for number in sorted({0, len(lines) // 4, len(lines) // 2, 3 * len(lines) // 4, len(lines) - 1}):
            (tmp_path / f"{module}.py").write_text("".join(lines[:number] + lines[number + 1 :]))
            assert not tools.in_sync(path), f"{module}.py without {lines[number]!r}"
    assert tools.export(path) and tools.in_sync(path) and not tools.export(path)


@pytest.fixture
def copied_book(tmp_path):
    """Notebooks, package and pyproject.toml in another place."""
    book = tmp_path / "book"
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for folder in ("notebooks", "gptlib", "tools"):
        shutil.copytree(ROOT / folder, book / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", book)
    return book


def run_tool(book, *arguments):
    """tools/notebooks.py of a book."""
    environment = {**os.environ, "PYTHONPATH": str(book)}
    command = [sys.executable, "-m", "tools.notebooks", *arguments]
    return subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True)


def test_nbdev_itself_exports_the_same(copied_book):
    written = {module: path.stem for path in PATHS for module in modules_of(read_notebook(path))}
    for module, name in written.items():  # nbdev appends to all but the default modules
        (copied_book / "gptlib" / f"{module}.py").write_text(blank_module(name), encoding="utf-8")
    command = [sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"]
    subprocess.run(command, cwd=copied_book, check=True, capture_output=True)
    for module in written:
        ours, theirs = (book / "gptlib" / f"{module}.py" for book in (ROOT, copied_book))
        assert ours.read_text() == theirs.read_text(), module


def test_the_check_fails_where_a_module_differs(copied_book):
    assert run_tool(copied_book, "export", "--check").returncode == 0
    module, *_ = modules_of(read_notebook(PATHS[1]))
    with open(copied_book / "gptlib" / f"{module}.py", "a") as file:
        file.write("# added by hand\n")
    done = run_tool(copied_book, "export", "--check")
    assert done.returncode == 1 and PATHS[1].stem in done.stderr
    done = run_tool(copied_book, "export")
    assert done.stdout == f"exported {PATHS[1].stem}\n"
    assert run_tool(copied_book, "export", "--check").returncode == 0


def test_notebooks_are_clean(copied_book):
    """Cleaning changes nothing, by our command and by nbstripout's own judgement."""
    keep = [sys.executable, "-m", "nbstripout", "--verify", *tools.KEEP]
    assert subprocess.run([*keep, *map(str, PATHS)], capture_output=True).returncode == 0
    assert run_tool(copied_book, "clean").returncode == 0
    changed = [
        path.stem
        for path in PATHS
        if path.read_bytes() != (copied_book / "notebooks" / path.name).read_bytes()
    ]
    assert not changed, f"run `python -m tools.notebooks clean {' '.join(changed)}`"


def test_cleaning_removes_what_a_run_leaves_behind(tmp_path):
    notebook = copy.deepcopy(good_notebook())
    notebook["metadata"] |= {"language_info": {"version": "3.11.7"}, "widgets": {"state": {}}}
    notebook["cells"][WIDGET]["outputs"] = [shown(**{tools.WIDGET_VIEW: {}, "text/plain": "VBox()"})]
    notebook["cells"][EXPORT]["metadata"] = {"execution": {"iopub.execute_input": "2026"}, "scrolled": True}
    notebook["cells"][0]["metadata"] = {"collapsed": True}
    path = tmp_path / "05_attention.ipynb"
    path.write_text(nbformat.writes(nbformat.from_dict(notebook)))
    tools.clean(path)
    cleaned = read_notebook(path)
    for cell in cleaned["cells"]:
        cell["source"] = source_of(cell)
    for cell, good in zip(cleaned["cells"], good_notebook()["cells"], strict=True):
        assert (cell["metadata"], len(cell.get("outputs", []))) == (
            good["metadata"],
            len(good.get("outputs", [])),
        )
    assert cleaned["metadata"] == {"kernelspec": tools.KERNEL}
    assert path.read_bytes().endswith(b"}\n")


def test_badges_name_the_repository_and_can_be_changed(copied_book):
    for owner in ("someone/book", "some-one/my.book", "some-one/my.book"):
        done = run_tool(copied_book, "badges", owner)
        assert done.returncode == 0, done.stderr
        project = tomllib.loads((copied_book / "pyproject.toml").read_text())
        assert project["project"]["urls"]["Repository"] == f"https://github.com/{owner}"
        for path in PATHS:
            notebook = read_notebook(copied_book / "notebooks" / path.name)
            assert badges_fit(notebook, path.stem, owner) == []
    before = {path: path.read_bytes() for path in copied_book.rglob("*") if path.is_file()}
    run_tool(copied_book, "badges", "some-one/my.book")
    assert {path: path.read_bytes() for path in before} == before
    unchanged = [p for p in (copied_book / "gptlib").rglob("*.py")]
    assert all(p.read_bytes() == (ROOT / p.relative_to(copied_book)).read_bytes() for p in unchanged)


@pytest.mark.parametrize("value", ["book", "https://github.com/someone/book", "a/b/c", "", "some one/book"])
def test_a_value_that_is_no_repository_is_refused(value, monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "ROOT", tmp_path)  # nothing is read or written before the refusal
    with pytest.raises(SystemExit, match=re.escape(f"{value!r} is no repository: give it as owner/name")):
        tools.write_badges(value)


def test_a_notebook_that_does_not_exist_is_refused(copied_book):
    done = run_tool(copied_book, "execute", "99")
    assert done.returncode == 1
    assert done.stderr.startswith("no notebook begins with 99: there are 00_start_here, ")


def test_execution_runs_cells_in_the_books_environment(copied_book):
    for path in (copied_book / "notebooks").glob("*.ipynb"):
        path.unlink()
    names = ["OMP_NUM_THREADS", "TQDM_DISABLE", "GPTLIB_CHECK_SHAPES"]
    cells = [
        nbformat.v4.new_code_cell(
            f"import os\nprint([os.environ[n] for n in {names}], os.path.basename(os.getcwd()))"
        ),
        nbformat.v4.new_code_cell("1 / 0"),
        nbformat.v4.new_code_cell("print('never')"),
    ]
    path = copied_book / "notebooks" / "98_trial.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    done = run_tool(copied_book, "execute", "98")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    first, second, third = read_notebook(path)["cells"]  # written all the same, to be looked at
    assert "".join(first["outputs"][0]["text"]) == "['1', '1', '1'] notebooks\n"
    assert second["outputs"][0]["ename"] == "ZeroDivisionError" and third["execution_count"] is None


def test_shapes_are_checked_in_tests_and_kernels():
    from gptlib.attention import attention_weights

    with pytest.raises(Exception, match="checking the parameters of gptlib.attention.attention_weights"):
        attention_weights(torch.zeros(2, 3), torch.zeros(2, 4))  # head_size 3 and 4
