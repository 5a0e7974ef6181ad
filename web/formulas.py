"""Formulas: MathML, made from LaTeX when the pages are built, and the font that sets them.

Browsers set MathML themselves, so no page runs a program for its formulas, and screen readers read them.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert

from gptlib.files import replacing

# The package is found, not imported: only its font is used (STIX Two Math, SIL Open Font License).
FONT = Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
# Latin and Greek letters, upright and italic; punctuation, arrows, operators, brackets
RANGES = "20-7e af b1 b7 d7 f7 131 237 2c6 2dc 391-3f5 2013-2026 2032 2061-2064 2190-2194 21d2 210e 2202-221e"
RANGES += " 2223-222b 223c 2248 2260-2265 22a4 22c5 22ef 2308-230b 27e8-27e9"
RANGES += " 1d434-1d467 1d6a8-1d71b"


# In TeX a function's name stands apart from what is beside it; MathML Core asks for that space by hand.
FUNCTION = re.compile(
    r"(</m(?:i|n|sub|sup|row|frac)>)?(<mi>(?:ln|log|max|min|sin|cos|tanh)</mi>)(<m(?:i|n|sub|sup|frac)>)?"
)
# A minus after a relation, a comma or an opening bracket is a sign: nothing stands between it and its number.
SIGN = re.compile(
    r"(<mo[^>]*>&#x(?:0003D|0002C|00028|02264|02265|02248);</mo>(?:<mspace[^>]*>)?)<mo>(&#x02212;)</mo>"
)
TEXT = re.compile(r"\\text\{[^}]*\}")
THIN = '<mspace width="0.17em" />'


def mathml(latex: str, display: str = "inline") -> str:
    """A formula in MathML."""
    latex = TEXT.sub(lambda found: found[0].replace(r"\_", "_"), latex)  # the converter takes text as it is
    formula = SIGN.sub(r'\1<mo form="prefix">\2</mo>', convert(latex, display=display))
    return FUNCTION.sub(spaced, formula)


def spaced(found: re.Match) -> str:
    """A function's name with a thin space towards letters and numbers."""
    before, name, after = found.groups()
    return (before + THIN if before else "") + name + (THIN + after if after else "")


def visit_inline(translator, node) -> None:
    """Write a formula in a line."""
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node) -> None:
    """Write a formula that stands by itself."""
    translator.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def write_font(path: Path) -> None:
    """Write the characters that formulas need, as a web font."""
    if path.exists():
        return
    characters = []
    for part in RANGES.split():
        first, _, last = part.partition("-")
        characters += range(int(first, 16), int(last or first, 16) + 1)
    options = subset.Options(
        flavor="woff", hinting=False, layout_features=["ssty", "dtls", "flac"], name_IDs=[0, 1, 2, 13, 14]
    )
    font = subset.load_font(str(FONT), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        subset.save_font(font, str(temporary), options)
