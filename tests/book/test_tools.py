"""tools/notebooks.py on a copy of the book: export, clean, execute, badges."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import nbformat
import pytest
from nbstripout import strip_output

from gptlib.exercises.notebook import blank_module, modules_of, read_notebook, unmarked
from rules import Page
from rules.anatomy import badges_fit
from tools import notebooks as tools
from tools.chapters import ROOT, chapters

PATHS = tools.notebooks()
# what nbstripout removes, without `collapsed`, which folds an answer
LEFT_BEHIND = ["metadata.signature", "metadata.widgets", "metadata.celltoolbar"]
LEFT_BEHIND += [
    f"cell.metadata.{key}" for key in ("ExecuteTime", "execution", "scrolled", "heading_collapsed")
]


@pytest.fixture
def copied_book(tmp_path):
    """Notebooks, package and tools in another place."""
    book = tmp_path / "book"
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for folder in ("notebooks", "gptlib", "tools"):
        shutil.copytree(ROOT / folder, book / folder, ignore=ignored)
    for file in ("pyproject.toml", "chapters.toml", "README.md"):
        shutil.copy(ROOT / file, book)
    return book


@pytest.fixture
def in_copied_book(copied_book, monkeypatch):
    """tools/notebooks.py in this process, on the copy."""
    for name in ("ROOT", "NOTEBOOKS", "PACKAGE"):
        monkeypatch.setattr(tools, name, copied_book / getattr(tools, name).relative_to(ROOT))
    return copied_book


def run_tool(book, *arguments):
    """tools/notebooks.py of a book."""
    environment = {**os.environ, "PYTHONPATH": str(book)}
    command = [sys.executable, "-m", "tools.notebooks", *arguments]
    return subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True)


# --- export


def test_nbdev_itself_exports_the_same(copied_book):
    written = []
    for path in PATHS:
        notebook = read_notebook(path)
        for module in modules_of(notebook):
            written.append(module)
            blank = blank_module(notebook, path.stem, module)
            (copied_book / "gptlib" / f"{module}.py").write_text(blank, encoding="utf-8")
        copy = copied_book / "notebooks" / path.name  # without the marks of what the workbook leaves out
        copy.write_text(json.dumps(unmarked(notebook)), encoding="utf-8")
    command = [sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"]
    subprocess.run(command, cwd=copied_book, check=True, capture_output=True)
    for module in written:
        ours, theirs = (book / "gptlib" / f"{module}.py" for book in (ROOT, copied_book))
        assert ours.read_text(encoding="utf-8") == theirs.read_text(encoding="utf-8"), module


def test_the_check_fails_where_a_module_differs(in_copied_book):
    tools.check_exports()
    module, *_ = modules_of(read_notebook(PATHS[1]))
    with open(in_copied_book / "gptlib" / f"{module}.py", "a", encoding="utf-8") as file:
        file.write("# added by hand\n")
    differs = f"the modules of {PATHS[1].stem} are not what the notebooks say: run `make export`"
    with pytest.raises(SystemExit, match=differs):
        tools.check_exports()
    done = run_tool(in_copied_book, "export")
    assert done.stdout == f"exported {PATHS[1].stem}\n"
    tools.check_exports()


# --- clean


def test_notebooks_are_clean():
    """Cleaning changes nothing, and nbstripout finds nothing to remove."""
    for path in PATHS:
        stored = nbformat.read(path, as_version=4)
        stripped = copy.deepcopy(stored)
        strip_output(stripped, keep_output=True, keep_count=True, keep_id=True, extra_keys=LEFT_BEHIND)
        assert stripped == stored, path.stem
        text = path.read_text(encoding="utf-8")
        assert tools.cleaned(stored) == text, f"run `python -m tools.notebooks clean {path.stem}`"


def test_cleaning_removes_what_a_run_leaves_behind(tmp_path):
    view = nbformat.v4.new_output("display_data", data={tools.WIDGET_VIEW: {}})
    text = nbformat.v4.new_output("stream", text="1\n")
    folded = {"tags": ["answer"], "jupyter": {"outputs_hidden": True}}
    cells = [
        nbformat.v4.new_markdown_cell("# Title", metadata={"collapsed": True}),
        nbformat.v4.new_code_cell("slider", metadata={"scrolled": True, "collapsed": True}, outputs=[view]),
        nbformat.v4.new_code_cell("1", metadata={"execution": {"x": "2026"}, **folded}, outputs=[text]),
    ]
    kernel = {"name": "old", "display_name": "Old"}
    metadata = {
        "language_info": {"name": "python", "version": "3.12.1"},
        "widgets": {"state": {}},
        "kernelspec": kernel,
    }
    path = tmp_path / "05_attention.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    tools.clean(path)
    cleaned = read_notebook(path)
    title, widget, answer = cleaned["cells"]
    assert title["metadata"] == widget["metadata"] == {} and widget["outputs"] == []
    assert answer["metadata"] == {**folded, "collapsed": True} and len(answer["outputs"]) == 1
    language = tools.LANGUAGE | {"version": "3.12.1"}  # of the kernel that ran it
    assert cleaned["metadata"] == {"kernelspec": tools.KERNEL, "language_info": language}
    before = path.stat().st_mtime_ns
    tools.clean(path)
    assert path.stat().st_mtime_ns == before


# --- execute


def test_execution_runs_cells_in_the_books_environment(copied_book):
    for path in (copied_book / "notebooks").glob("*.ipynb"):
        path.unlink()
    names = ["OMP_NUM_THREADS", "TQDM_DISABLE", "GPTLIB_CHECK_SHAPES"]
    where = f"import os\nprint([os.environ[n] for n in {names}], os.path.basename(os.getcwd()))"
    cells = [nbformat.v4.new_code_cell(source) for source in (where, "1 / 0", "print('never')")]
    path = copied_book / "notebooks" / "98_trial.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    done = run_tool(copied_book, "execute", "98")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    first, second, third = read_notebook(path)["cells"]  # written all the same, to be looked at
    assert "".join(first["outputs"][0]["text"]) == "['1', '1', '1'] notebooks\n"
    assert second["outputs"][0]["ename"] == "ZeroDivisionError" and third["execution_count"] is None


def test_a_notebook_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit, match="^no notebook begins with 99: there are 00_start_here, "):
        tools.notebooks(["99"])


# --- badges


def test_badges_name_the_repository_and_can_be_changed(in_copied_book):
    package = contents_of(in_copied_book / "gptlib")
    for owner in ("someone/book", "some-one/my.book"):
        tools.write_badges(owner)
        project = tomllib.loads((in_copied_book / "pyproject.toml").read_text(encoding="utf-8"))
        assert project["project"]["urls"]["Repository"] == f"https://github.com/{owner}"
        readme = (in_copied_book / "README.md").read_text(encoding="utf-8")
        assert f"\ngit clone https://github.com/{owner} gpt-book\n" in readme
        assert readme.count(f"https://github.com/{owner}/actions/workflows/test.yml") == 2
        for path in tools.notebooks():
            assert badges_fit(Page(path.stem, read_notebook(path), chapters(), tools.repository())) == []
    before = contents_of(in_copied_book)
    tools.write_badges("some-one/my.book")
    assert contents_of(in_copied_book) == before
    assert contents_of(in_copied_book / "gptlib") == package


def contents_of(folder):
    """The bytes of every file."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("value", ["book", "https://github.com/someone/book", "a/b/c", "", "some one/book"])
def test_a_value_that_is_no_repository_is_refused(value, monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "ROOT", tmp_path)  # nothing is read or written before the refusal
    with pytest.raises(SystemExit, match=re.escape(f"{value!r} is no repository: give it as owner/name")):
        tools.write_badges(value)


# --- the tables of contents


def test_the_contents_are_written_from_the_list(in_copied_book):
    before = contents_of(in_copied_book)
    tools.write_contents()
    assert contents_of(in_copied_book) == before
    rows = in_copied_book / "chapters.toml"
    rows.write_text(
        rows.read_text(encoding="utf-8").replace('title = "GPT"', 'title = "G"'), encoding="utf-8"
    )
    tools.write_contents()
    changed = {path for path, content in contents_of(in_copied_book).items() if content != before[path]}
    first = in_copied_book / "notebooks" / "00_start_here.ipynb"
    assert changed == {rows, in_copied_book / "README.md", first}
    for path in (in_copied_book / "README.md", first):
        assert "[07 G](" in path.read_text(encoding="utf-8")
