"""What counts as Python, where a text is cut, and how sure a share is."""

import pytest

from gptlib.programs import PYTHON_PRESETS, compiles, interval, parses, statements, whole_statements


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("import os\n\n\ndef f(x):\n    ret", "import os\n\n\n"),
        ("x = (\n    1,\n)\ny = ", "x = (\n    1,\n)\n"),
        ("if a:\n    b()\nelse:\n    c(", ""),
        ("a = 1\nif a:\n    b()\nelif c:\n    d()\ne", "a = 1\nif a:\n    b()\nelif c:\n    d()\n"),
        ("def f():\n    pass", ""),
        ("", ""),
        ("    indented", ""),
    ],
)
def test_the_last_statement_is_cut_off(text, whole):
    assert whole_statements(text) == whole


def test_parsing_and_compiling():
    assert parses("x = 1\n") and compiles("x = 1\n")
    assert parses("return 1\n") and not compiles("return 1\n")
    assert parses("def f(a, a): pass\n") and not compiles("def f(a, a): pass\n")
    for text in ("x = (1,", "print 'a'", "", "# nothing but a comment\n", "a\0b", "x = " + "(" * 5000):
        assert not parses(text) and not compiles(text)
    assert len(statements("import os\nx = '\\d'\n")) == 2


def test_nothing_is_run(tmp_path):
    assert compiles(f"open({str(tmp_path / 'made')!r}, 'w', encoding='utf-8')\n")
    assert not (tmp_path / "made").exists()


def test_intervals():
    low, high = interval(30, 100)
    assert (round(low, 3), round(high, 3)) == (0.219, 0.396)  # Wilson's by hand
    assert interval(0, 20)[0] == 0 and interval(20, 20)[1] == pytest.approx(1)
    wide, narrow = interval(5, 10), interval(500, 1000)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_the_preset_fits_its_tokenizer():
    preset = PYTHON_PRESETS["python-gpu"]
    assert preset.model.vocab_size == 4096 and preset.tokenizer == "bpe"
