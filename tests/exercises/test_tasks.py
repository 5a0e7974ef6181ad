"""The tasks of the workbooks: their checks accept what is right, in any style, and name what is wrong."""

import importlib
import os
import re

import pytest
import torch
from mutants import mutants

from gptlib.exercises.checks import checks_of
from gptlib.exercises.notebook import modules_of, read_notebook, source_of
from gptlib.exercises.workbook import source_of_definition
from tools.chapters import ROOT, chapters

BLANK = re.compile(r"# blank\n(.*?)# end", re.DOTALL)


def tasks() -> dict[str, tuple[str, str]]:
    """The module and the text of each definition that has a check."""
    found = {}
    for chapter in chapters():
        notebook = read_notebook(ROOT / "notebooks" / f"{chapter.stem}.ipynb")
        for module in modules_of(notebook):
            for name in checks_of(module):
                found[name] = module, source_of_definition(notebook, name)
    return found


TASKS = tasks()
WRITTEN = {module: importlib.import_module(f"tasks.{module}") for module, _ in TASKS.values()}


def complaint(name: str, source: str) -> str | None:
    """What the check says of a definition, None if nothing. The module's other names are the book's."""
    module, _ = TASKS[name]
    namespace = dict(vars(importlib.import_module(f"gptlib.{module}")))
    torch.manual_seed(0)
    try:
        exec(compile(source, f"<{name}>", "exec"), namespace)
        checks_of(module)[name](namespace[name])
    except Exception as error:
        return str(error) or type(error).__name__
    return None


@pytest.mark.parametrize("name", TASKS)
def test_the_books_version_and_other_styles_are_right(name):
    module, source = TASKS[name]
    assert "# blank" in source, "a task without a blank"
    for right in [source, *WRITTEN[module].RIGHT.get(name, [])]:
        assert complaint(name, right) is None


@pytest.mark.parametrize("name", TASKS)
def test_mistakes_are_named(name):
    module, source = TASKS[name]
    bugs = WRITTEN[module].BUGS[name]
    assert len(bugs) >= 5
    for before, after, word in bugs:
        assert before in source, before
        said = complaint(name, source.replace(before, after))
        assert said is not None and word in said, f"{before} → {after}: {said}"


@pytest.mark.parametrize("name", TASKS)
def test_small_changes_are_noticed(name):
    """Those that compute the same are listed with the reason. A sample; all of them under GPTLIB_STRESS."""
    module, source = TASKS[name]
    same = getattr(WRITTEN[module], "SAME", {}).get(name, {})
    found = []
    for blank in BLANK.finditer(source):
        first = source[: blank.start()].count("\n") + 1
        found += mutants(source, range(first, first + blank[1].count("\n") + 1))
    chosen = found if os.environ.get("GPTLIB_STRESS") else found[::5]
    survivors = [change for change, changed in chosen if complaint(name, changed) is None]
    assert [change for change in survivors if change.split(": ", 1)[1] not in same] == []


def test_every_blank_has_a_check():
    for chapter in chapters():
        for cell in read_notebook(ROOT / "notebooks" / f"{chapter.stem}.ipynb")["cells"]:
            source = source_of(cell)
            if cell["cell_type"] == "code" and "# blank" in source:
                names = re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE)
                assert len(names) == 1 and names[0] in TASKS, names
                assert source.count("# blank") == source.count("# end")
