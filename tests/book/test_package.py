"""The package: its modules are what the notebooks say, import in order, and are built of tensors."""

import ast

import pytest
import torch
from imports import circles, imports, upwards
from reserved import reserved_names
from text_files import nameless

from gptlib.exercises.notebook import exported_sources, modules_of
from rules import book_pages
from rules.code import FOUNDATION
from tools import notebooks as tools
from tools.chapters import ROOT, chapters

PAGES = book_pages()
ORDER = [*FOUNDATION, *(module for chapter in chapters() for module in chapter.modules)]
MODULES = sorted(path.stem for path in (ROOT / "gptlib").glob("[a-z]*.py"))
COMMANDS = sorted(f"commands/{path.stem}" for path in (ROOT / "gptlib" / "commands").glob("[a-z]*.py"))


@pytest.mark.parametrize("page", [p for p in PAGES if modules_of(p.notebook)], ids=lambda page: page.name)
def test_a_deleted_line_is_noticed(page, tmp_path, monkeypatch):
    """Any line: the first, some in between, the last."""
    monkeypatch.setattr(tools, "PACKAGE", tmp_path)
    path = tools.NOTEBOOKS / f"{page.name}.ipynb"
    assert not tools.in_sync(path)  # there are no such modules yet
    assert tools.export(path) and tools.in_sync(path)
    for module, source in exported_sources(page.notebook, page.name).items():
        lines = source.splitlines(keepends=True)
        for number in sorted({0, len(lines) // 4, len(lines) // 2, 3 * len(lines) // 4, len(lines) - 1}):
            (tmp_path / f"{module}.py").write_text(
                "".join(lines[:number] + lines[number + 1 :]), encoding="utf-8"
            )
            assert not tools.in_sync(path), f"{module}.py without {lines[number]!r}"
    assert tools.export(path) and tools.in_sync(path) and not tools.export(path)


# --- who imports whom


def test_imports_point_to_earlier_chapters():
    arrows = imports(ROOT / "gptlib")
    assert circles(arrows) == [] and upwards(arrows, ORDER) == []
    assert [name for name, others in arrows.items() if "gptlib.cli" in others] == ["gptlib.__main__"]
    commands = {name for name in arrows if name.startswith("gptlib.commands")}
    assert {name for name, others in arrows.items() if others & commands} - commands == {"gptlib.cli"}


@pytest.mark.parametrize(
    "module, line",
    [
        ("layers.py", "from gptlib.attention import f"),
        ("layers.py", "def f():\n    from . import attention"),
        ("layers.py", "import gptlib.widgets.kit"),
        ("attention.py", "from gptlib.exercises import exercise"),
    ],
)
def test_an_import_upwards_is_caught(module, line, tmp_path):
    package = small_package(tmp_path)
    order = ["layers", "attention"]
    assert upwards(imports(package), order) == []
    (package / module).write_text(line, encoding="utf-8")
    assert len(upwards(imports(package), order)) == 1


def test_a_circle_is_caught(tmp_path):
    package = small_package(tmp_path)
    assert circles(imports(package)) == []
    (package / "widgets" / "kit.py").write_text("from .picture import draw", encoding="utf-8")
    (package / "widgets" / "picture.py").write_text("import gptlib.widgets.kit", encoding="utf-8")
    assert set(circles(imports(package))) == {"gptlib.widgets.kit", "gptlib.widgets.picture"}


def small_package(folder):
    """gptlib with two modules, widgets and exercises."""
    files = {
        "__init__.py": "",
        "layers.py": "import torch",
        "attention.py": "from .layers import Linear",
        "exercises.py": "import gptlib.attention",
        "widgets/__init__.py": "",
        "widgets/kit.py": "from gptlib.attention import f",
    }
    for name, source in files.items():
        (folder / "gptlib" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "gptlib" / name).write_text(source, encoding="utf-8")
    return folder / "gptlib"


# --- one noun a module: neither a page too long to read nor a scrap


def wrong_sizes(package, exported) -> list[str]:
    """Modules of more than 250 lines, exported ones also of less than 40.

    Widgets may be longer, and so may what chapters check: a function a task.
    """
    complaints = []
    for path in sorted(package.rglob("[!_]*.py")):
        name, lines = path.relative_to(package), len(path.read_text(encoding="utf-8").splitlines())
        least = 40 if name.stem in exported and len(name.parts) == 1 else 0
        free = name.parts[0] == "widgets" or name.parts[:2] == ("exercises", "checks")
        if not free and not least <= lines <= 250:
            complaints.append(f"{name.as_posix()} has {lines} lines, not {least} to 250")
    return complaints


def test_modules_hold_one_noun():
    assert wrong_sizes(ROOT / "gptlib", ORDER) == []


def test_modules_that_are_too_long_or_too_short_are_caught(tmp_path):
    package = small_package(tmp_path)
    lines = {"layers.py": 39, "attention.py": 251, "__init__.py": 300, "cli.py": 251}
    lines |= {"widgets/kit.py": 300, "commands/train.py": 251, "commands/layers.py": 5, "exercises.py": 250}
    for name, n in lines.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("x = 1\n" * n, encoding="utf-8")
    assert wrong_sizes(package, ["layers", "attention"]) == [
        "attention.py has 251 lines, not 40 to 250",
        "cli.py has 251 lines, not 0 to 250",
        "commands/train.py has 251 lines, not 0 to 250",
        "layers.py has 39 lines, not 40 to 250",
    ]


# --- what the reader builds is made of tensors

# chapter 14 is about them: the twins of the reader's own layers and loss, proved equal to these
TWINS = "cross_entropy dropout embedding gelu layer_norm linear pad".split()


def test_nothing_reserved_for_proofs_is_used():
    used = {
        module: reserved_names((ROOT / "gptlib" / f"{module}.py").read_text(encoding="utf-8"))
        for module in [*MODULES, *COMMANDS, "__main__"]
    }
    twins = {f"torch.nn.functional.{name}" for name in TWINS}
    assert set(used.pop("kernels")) <= twins
    # layers of chapter 16 bring their twins along, proved equal there
    assert set(used.pop("modern_layers")) <= {f"torch.nn.functional.{name}" for name in ("gelu", "rms_norm")}
    assert {module: names for module, names in used.items() if names} == {}


def test_reserved_names_are_caught():
    for line in (
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
    ):
        assert reserved_names(line), line


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


# --- what is read and written is UTF-8 on every machine


def test_every_text_file_names_its_encoding():
    files = [f for folder in ("gptlib", "tools", "tests", "data") for f in (ROOT / folder).rglob("*.py")]
    found = {}
    for path in [*files, *ROOT.glob("*.py")]:
        calls = nameless(ast.parse(path.read_text(encoding="utf-8")))
        found |= {f"{path.relative_to(ROOT)}:{call.lineno}": ast.unparse(call) for call in calls}
    assert found == {} and len(files) > 60


def test_a_text_file_without_an_encoding_is_caught():
    for line in (
        "open(path)",
        "open(path, 'w')",
        "open(path, mode='a', newline='')",
        "with path.open() as file: pass",
        "path.open('w')",
        "path.read_text()",
        "Path(x).read_text(errors='replace')",
        "path.write_text(text)",
        "gzip.open(path, 'rt')",
    ):
        assert nameless(ast.parse(line)), line
    for line in (
        "open(path, 'rb')",
        "open(path, encoding='utf-8')",
        "open(path, 'w', -1, 'utf-8')",
        "path.open('xb')",
        "path.read_text('utf-8')",
        "path.write_text(text, encoding='utf-8')",
        "write_text(path, text)",  # of gptlib.files
        "os.open(path, os.O_RDONLY)",
        "gzip.open(path)",
        "open(path, **how)",
        "lab.open('00_start_here')",
    ):
        assert not nameless(ast.parse(line)), line


def test_shapes_are_checked_in_tests_and_kernels():
    from gptlib.attention import attention_weights

    with pytest.raises(Exception, match="checking the parameters of gptlib.attention.attention_weights"):
        attention_weights(torch.zeros(2, 3), torch.zeros(2, 4))  # head_size 3 and 4
