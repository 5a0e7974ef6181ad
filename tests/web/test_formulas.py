"""Formulas in MathML, and the font that sets them."""

import re

from fontTools.ttLib import TTFont

from tools.chapters import ROOT, chapters
from web.book import read
from web.formulas import mathml, write_font


def formulas() -> list[str]:
    """All formulas of the notebooks."""
    found = []
    for chapter in chapters():
        for cell in read(ROOT / "notebooks" / f"{chapter.stem}.ipynb").cells:
            if cell.cell_type == "markdown":
                text = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
                found += re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, flags=re.DOTALL)
    return [block or line for block, line in found]


def test_functions_stand_apart_and_signs_do_not():
    thin = '<mspace width="0.17em" />'
    assert f"<mi>p</mi>{thin}<mi>ln</mi>{thin}<mi>q</mi>" in mathml(r"p \ln q")
    assert '<mo form="prefix">&#x02212;</mo>' in mathml("b = -1")
    assert "form" not in mathml("a - 1")


def test_underscores_in_words():
    assert "n_layer" in mathml(r"\text{n\_layer}")


def test_every_formula_is_understood_and_the_font_has_its_characters(tmp_path):
    path = tmp_path / "math.woff"
    write_font(path)
    there = set(TTFont(path).getBestCmap())
    said = {formula: mathml(formula) for formula in formulas()}
    assert len(said) > 300
    for formula, markup in said.items():
        text = re.sub(r"&#x(\w+);", lambda found: chr(int(found[1], 16)), re.sub(r"<[^>]*>", "", markup))
        assert "\\" not in text, formula
        assert {c for c in text if not c.isspace() and ord(c) not in there} == set(), formula
    assert path.stat().st_size < 150_000
