"""tools/minutes.py: the rule by hand, and where the minutes are written."""

import pytest
from nbformat import v4

from tools.chapters import LIST, chapters
from tools.minutes import minutes_of, with_minutes, with_time

FOLDED = {"jupyter": {"source_hidden": True}}


def test_words_cells_and_exercises_make_the_minutes():
    prose = v4.new_markdown_cell(
        "[Contents](#x)\n\n" + "word " * 1500 + "\n\n<details>" + "word " * 900 + "</details>"
    )
    code = [v4.new_code_cell("1") for _ in range(7)]
    hidden = [
        v4.new_code_cell("1", metadata=FOLDED),
        v4.new_code_cell("1", metadata={"tags": ["proof"]}),
    ] * 20
    exercise = v4.new_markdown_cell("### Exercise 5.1 · What came (difficulty 1 of 3, about 12 minutes)")
    core = [prose, *code, *hidden, exercise]
    assert minutes_of({"cells": core}) == (30, 0)  # 10 + 7 + 12
    second = [v4.new_markdown_cell("## Second half: more"), *code[:6]]
    assert minutes_of({"cells": core + second}) == (30, 5)


@pytest.mark.parametrize("old", ["60 minutes", "60 minutes for the core, 30 for the second half"])
def test_the_title_says_the_minutes(old):
    title = "# 05 · A\n\nTime: about {} · core chapter"
    assert with_time(title.format(old), (40, 0)) == title.format("40 minutes")
    both = title.format("40 minutes for the core, 5 for the second half")
    assert with_time(title.format(old), (40, 5)) == both
    with pytest.raises(ValueError, match="'# 05 · A' has no line that begins 'Time: about"):
        with_time("# 05 · A", (40, 0))


def test_a_row_of_the_list_gets_them(tmp_path):
    path = tmp_path / "chapters.toml"
    rows = LIST.read_text(encoding="utf-8")
    for minutes in ((1, 2), (3, 0)):
        path.write_text(with_minutes(rows, "05_attention", minutes), encoding="utf-8")
        assert [c.minutes for c in chapters(path) if c.name == "attention"] == [minutes]
        others = [c for c in chapters() if c.name != "attention"]
        assert [c for c in chapters(path) if c.name != "attention"] == others
