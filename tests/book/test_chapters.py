"""chapters.toml: what it may hold, the tables made of it, and the modules that the notebooks export."""

import pytest

from gptlib.exercises.notebook import modules_of
from rules import book_pages
from tools.chapters import ROOT, Chapter, chapters, contents, row_of, with_contents

BOOK = chapters()
BY_HAND = {"files", "cli", "mine"}  # modules beside those that the notebooks export
ROW = """
[05_attention]
title = "Attention"
modules = ["attention"]
build = "attention"
minutes = { core = 65, second_half = 35 }
kind = "core"
"""


def test_every_notebook_has_its_row_and_every_row_its_notebook():
    assert [page.name for page in book_pages()] == [chapter.stem for chapter in BOOK]


def test_every_module_has_its_notebook_and_every_notebook_its_modules():
    listed = {chapter.stem: sorted(chapter.modules) for chapter in BOOK}
    assert {page.name: sorted(modules_of(page.notebook)) for page in book_pages()} == listed
    there = {path.stem for path in (ROOT / "gptlib").glob("[a-z]*.py")} - BY_HAND
    assert there == {module for modules in listed.values() for module in modules}


def test_the_tables_of_contents_are_the_list():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start_here = "\n\n".join(book_pages()[0].markdown())
    for page, folder in ((readme, "notebooks/"), (start_here, "")):
        shown = with_contents(page, contents(BOOK, folder)) == page
        assert shown, "run `python -m tools.notebooks contents`"


def test_a_row_is_read_as_it_is_written(tmp_path):
    number = BOOK[-1].number + 1
    more = Chapter(number, "more_data", "More data", ("more_data", "most"), "a lot", (20, 0), "side path")
    book = [*BOOK, more]
    path = tmp_path / "chapters.toml"
    path.write_text("".join(map(row_of, book)), encoding="utf-8")
    assert chapters(path) == book
    assert (more.stem, more.heading) == (f"{number}_more_data", f"# {number} · More data")


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        ("05_attention", "5_attention", "a chapter is called by number and name, such as"),
        ('kind = "core"', 'kind = "optional"', "kind 'optional' is none of core, side path"),
        ('build = "attention"', "", r"\[05_attention\] lacks 'build'"),
        ('"core"\n', '"core"\n' + ROW.replace("05_a", "04_b"), "the numbers .5, 4. must rise"),
        ('"core"\n', '"core"\n' + ROW.replace("05_a", "06_b"), "attention belongs to one chapter, not two"),
    ],
)
def test_a_wrong_row_is_named(old, new, complaint, tmp_path):
    path = tmp_path / "chapters.toml"
    path.write_text(ROW.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=complaint):
        chapters(path)


def test_a_table_takes_the_place_of_the_old_one():
    old, new = contents(BOOK[:3], "x/"), contents(BOOK)
    assert with_contents(f"before\n\n{old}\n\nafter | this\n", new) == f"before\n\n{new}\n\nafter | this\n"
    assert with_contents(old, new) == new
    for (core, second), kind in {(c.minutes, c.kind) for c in BOOK}:
        assert f"| {core} + {second} | {kind} |" in new or f"| {core} | {kind} |" in new and not second
    with pytest.raises(ValueError, match="the page has no table"):
        with_contents("no table", new)
