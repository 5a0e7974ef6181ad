"""The way a notebook takes on Colab, with a stand-in: gptlib not installed, an empty folder, a clone.

Colab brings its own PyTorch, IPython 7.34 and ipywidgets 7.7.1. The setup cell clones the book, installs what
is missing and puts the clone on the path.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from book_files import GIT, ROOT, book_files

from gptlib.exercises.notebook import read_notebook, source_of, tags_of

pytestmark = pytest.mark.slow
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
COLAB = ROOT / ".venv" / "colab"  # put there by make: IPython and ipywidgets as Colab has them

# Runs cells of a notebook the way Colab does, and writes down what pip was asked for.
KERNEL = """
import json, subprocess, sys, types

# a kernel in which the book is not installed
editable = [f for f in sys.meta_path if "editable" in getattr(f, "__module__", str(f))]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in editable]
sys.path[:] = [folder for folder in sys.path if folder not in BOOK_FOLDERS]
google = types.ModuleType("google")
google.colab = types.ModuleType("google.colab")
if IN_BROWSER:  # Colab hands out the notebook that is open in the browser
    message = google.colab._message = types.ModuleType("google.colab._message")
    message.blocking_request = lambda request, **options: {"ipynb": json.loads(IN_BROWSER)}
    sys.modules["google.colab._message"] = message
sys.modules.update({"google": google, "google.colab": google.colab})

asked, run = [], subprocess.run
def record_pip(command, **options):
    if "pip" not in command:
        return run(command, **options)
    asked.append(command[command.index("install") + 1 :])
subprocess.run = record_pip

import matplotlib
matplotlib.use("Agg")
namespace = {"__name__": "__main__", "get_ipython": lambda: None}
for source in json.loads(CELLS):
    exec(compile(source, "<cell>", "exec"), namespace)
import gptlib
print(json.dumps({"gptlib": gptlib.__file__, "pip": asked}))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A git repository with the book as it stands, to clone from."""
    if GIT is None:
        pytest.skip("no git here: Colab, which has it, clones the book with it")
    folder = tmp_path_factory.mktemp("origin") / "book"
    for file in book_files():
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    who = ["-c", "user.name=book", "-c", "user.email=book@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "-m", "book"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def sources(path: Path, address: str) -> list[str]:
    """A notebook's code cells, with `address` for the repository."""
    cells = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
    return [
        source_of(cell).replace('REPOSITORY = ""', f"REPOSITORY = {address!r}")
        if "setup" in tags_of(cell)
        else source_of(cell)
        for cell in cells
    ]


def run_on_colab(
    cells: list[str], folder: Path, python_path: str = "", in_browser: dict | None = None
) -> dict:
    """Run cells in an empty folder without gptlib; returns what the last line of KERNEL printed."""
    settings = {
        "CELLS": json.dumps(cells),
        "BOOK_FOLDERS": ["", str(ROOT), str(ROOT / "tools"), str(ROOT / "tests")],
        "IN_BROWSER": json.dumps(in_browser) if in_browser else "",
    }
    code = "".join(f"{name} = {value!r}\n" for name, value in settings.items()) + KERNEL
    program = folder.parent / f"{folder.name}_kernel.py"
    program.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": python_path, "GPTLIB_CHECK_SHAPES": ""}
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_first_cells_fetch_the_book(repository, tmp_path):
    """The setup cell, the same in all notebooks, and each one's imports work where nothing is installed."""
    setup = sources(NOTEBOOKS[0], str(repository))[0]
    imports = [next(cell for cell in sources(path, "")[1:] if "from gptlib" in cell) for path in NOTEBOOKS]
    result = run_on_colab([setup, *imports], tmp_path)
    assert Path(result["gptlib"]).is_relative_to(tmp_path / "gpt-book")


def test_colabs_own_packages_are_left_alone(repository, tmp_path):
    """pip is asked for lower bounds only, once, and none of them asks for another PyTorch than Colab has."""
    from packaging.requirements import Requirement

    (asked,) = run_on_colab(sources(NOTEBOOKS[0], str(repository))[:1], tmp_path)["pip"]
    requirements = {
        r.name: r.specifier for r in map(Requirement, (word for word in asked if not word.startswith("-")))
    }
    colab = {
        "torch": "2.11.0",
        "ipython": "7.34.0",
        "ipywidgets": "7.7.1",
        "tiktoken": "0.14.0",
        "safetensors": "0.8.0",
        "numpy": "2.0.2",
    }
    for name, version in colab.items():
        assert requirements[name].contains(version), (name, str(requirements[name]))
    assert all(clause.operator == ">=" for specifier in requirements.values() for clause in specifier)
    assert "--upgrade" not in asked and "-U" not in asked


def test_a_second_run_clones_nothing(repository, tmp_path):
    setup = sources(NOTEBOOKS[0], str(repository))[0]
    run_on_colab([setup], tmp_path)
    (tmp_path / "gpt-book" / "mine.txt").write_text("kept", encoding="utf-8")
    run_on_colab([setup], tmp_path)
    assert (tmp_path / "gpt-book" / "mine.txt").read_text(encoding="utf-8") == "kept"


def test_without_an_address_the_cell_says_what_to_do(tmp_path):
    with pytest.raises(AssertionError, match="make badges REPO=owner/name"):
        run_on_colab(sources(NOTEBOOKS[0], "")[:1], tmp_path)


def colabs_packages() -> str:
    """The folder that holds them, for PYTHONPATH; AssertionError when it is missing or not in front."""
    assert COLAB.is_dir(), f"{COLAB} is missing: `make test` fetches it"
    check = "import IPython, ipywidgets; print(IPython.__version__, ipywidgets.__version__)"
    environment = {**os.environ, "PYTHONPATH": str(COLAB)}
    versions = subprocess.check_output([sys.executable, "-c", check], env=environment, text=True)
    assert versions.split() == ["7.34.0", "7.7.1"]
    return str(COLAB)


def test_a_chapter_runs_there_and_exports_the_readers_edit(repository, tmp_path):
    """All of the pattern chapter, with the packages that Colab has; the edit is in the browser only."""
    path = ROOT / "notebooks" / "05_attention.ipynb"
    text = path.read_text(encoding="utf-8")
    edited = json.loads(text.replace("every head gets an equal share", "all heads get equal shares"))
    cells = [cell for cell in sources(path, str(repository)) if "milliseconds" not in cell]  # no timing
    run_on_colab(cells, tmp_path, python_path=colabs_packages(), in_browser=edited)
    exported = (tmp_path / "gpt-book" / "gptlib" / "attention.py").read_text(encoding="utf-8")
    assert "all heads get equal shares" in exported
    assert "every head gets an equal share" in (repository / "gptlib" / "attention.py").read_text(
        encoding="utf-8"
    )


def test_a_workbook_keeps_its_modules_on_a_drive(repository, tmp_path):
    """A task written in the browser is exported to the mounted Drive; the next chapter's kernel uses it."""
    drive = tmp_path / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    path = ROOT / "notebooks" / "workbook" / "05_attention.ipynb"
    opened = "    raise NotImplementedError  # your lines"
    mask = "    return torch.arange(T, device=device)[:, None] >= torch.arange(T, device=device)"
    notebook = read_notebook(path)
    (cell,) = [c for c in notebook["cells"] if source_of(c).startswith("#| export\ndef causal_mask(")]
    cell["source"] = source_of(cell).replace(opened, mask)
    written = tmp_path / "written.ipynb"
    written.write_text(json.dumps(notebook), encoding="utf-8")
    cells = sources(written, str(repository))
    first = next(i for i, text in enumerate(cells) if "def causal_mask(" in text)
    wanted = [*cells[: first + 2], next(text for text in cells if text.startswith("workbook.export("))]
    result = run_on_colab(wanted, tmp_path, python_path=colabs_packages(), in_browser=notebook)
    assert Path(result["gptlib"]).is_relative_to(tmp_path / "gpt-book")
    assert mask in (drive / "gpt-book" / "mine" / "gptlib" / "attention.py").read_text(encoding="utf-8")

    following = sources(path.with_name("06_block.ipynb"), str(repository))[:1]
    used = "import gptlib.attention; assert 'MyDrive' in gptlib.attention.__file__, gptlib.attention.__file__"
    run_on_colab([*following, used], tmp_path, python_path=colabs_packages())


def test_widgets_pass_their_tests_with_colabs_packages():
    """tests/widgets once more, with those versions in front."""
    tests = sorted(map(str, (ROOT / "tests" / "widgets").glob("test_*.py")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": colabs_packages()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
