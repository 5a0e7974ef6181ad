"""The house rules on every notebook, and every rule on planted violations."""

import nbformat
import pytest

import rules
from gptlib.exercises.predictions import hidden, sealed
from rules import Page, book_pages, complaints
from rules.links import broken_links, links_resolve
from tools import notebooks as tools
from tools.captions import SUMMARY as SHOWS
from tools.chapters import ROOT, Chapter
from tools.folding import BY_PROGRAM
from tools.navigation import navigation
from tools.reveals import SUMMARY
from tools.solutions import folded, solutions_of

PAGES = book_pages()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_notebook_keeps_the_house_rules(page):
    found = complaints(page)
    assert not found, f"{page.name}.ipynb:\n" + "\n".join(found)


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("*.md")), ROOT / "data" / "README.md"])
def test_links_of_the_other_pages(path):
    page = path.read_text(encoding="utf-8")
    assert not broken_links(page, path, own_anchors=rules.links.anchors_of(path))


def test_setup_cells_are_the_same_everywhere():
    setups = {"".join(page.code()[0]["source"]) for page in PAGES}
    assert len(setups) == 1, "the setup cells differ: run `make badges` or copy the one of 00_start_here"


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


def figure(alt):
    output = shown(**{"image/png": "", "text/plain": "F"})
    return output | {"metadata": {"image/png": {"alt": alt}}}


BOOK = [
    Chapter(0, "start_here", "Start here", (), "", (55, 0), "core"),
    Chapter(2, "data", "Data", ("data", "shards"), "", (55, 45), "core"),
    Chapter(4, "layers", "Layers", ("layers",), "", (70, 0), "core"),
    Chapter(5, "attention", "Attention", ("attention", "heads"), "", (65, 35), "core"),
    Chapter(6, "block", "Block", ("block",), "", (65, 0), "core"),
    Chapter(18, "more", "More", ("more",), "", (20, 0), "side path"),
]
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
FOLDED_OUTPUT = {"jupyter": {"outputs_hidden": True}, "collapsed": True}
LINE = navigation("05_attention", BOOK)
TITLE = f"""# 05 · Attention

{LINE}

How? See [the data](../data/README.md) and [below](#Second-half:-more).

Time: about 65 minutes for the core, 35 for the second half · core chapter"""
LAYER = '''#| export
import math

from gptlib.layers import Linear

WIDTH = 4


def total(x: Float[Tensor, "B T"]) -> float:
    """The sum."""
    return x.sum()


class Half(nn.Module):
    """x [B, T] / 2; a semicolon in a text joins nothing."""

    def forward(self, x):
        return x / 2
'''
IMPORTS = """# @title Imports
import torch
from gptlib.exercises.chapters import attention as exercises
from gptlib.data import split
"""
STUB = """def leaks(f, T, C):
    raise NotImplementedError


exercises.leaks(leaks)"""


def good_notebook() -> dict:
    """A small notebook against which no rule has anything to say; the keys name its cells."""
    digits, table = sealed("1.235 nats", "1\n2").split("-")
    withheld = hidden("sum", f"{digits}-{table}")
    cells = {
        "title": text(TITLE),
        "setup": code('# @title Setup\nREPOSITORY = ""', "setup", **FOLDED),
        "module": code("#| default_exp attention"),
        "imports": code(IMPORTS, **FOLDED),
        "export": code(LAYER),
        "second": code("#| exporti heads\nfrom gptlib.attention import total", **FOLDED),
        "proof": code("# The sum of nothing\nassert total(torch.zeros(1, 1)) == 0", "proof"),
        "guess": code('predictions.guess("sum", None)'),
        "answer": code(
            'predictions.reveal("sum", 1.2346, "nats")',
            "answer",
            outputs=[shown(**{"text/html": withheld[1], "text/plain": withheld[0]})],
        ),
        "measured": text(f"{SUMMARY}\n\n1.235 nats.\n\n```text\n1\n2\n```\n\n</details>"),
        "folded": code("print(1)", outputs=[printed("1")], **FOLDED_OUTPUT),
        "widget": code("slider", "widget"),
        "driver": code(
            f"{BY_PROGRAM}\nslider.value = 2\nassert slider.state == 2",
            outputs=[figure("The state of the slider.")],
            cellView="form",
            jupyter={"source_hidden": True, "outputs_hidden": True},
            collapsed=True,
        ),
        "caption": text(f"{SHOWS}\n\n*Figure:* the state of the [slider](../data/README.md).\n\n</details>"),
        "clock": code(
            "assert clock() < 5\ntime.perf_counter()", "nbval-ignore-output", outputs=[printed("0.1234567 s")]
        ),
        "exercise": text("## 1 Sums\n\n### Exercise 5.0 · Sums (difficulty 1 of 3, about 57 minutes)"),
        "half": text(
            "## Second half: more\n\n### Exercise 5.1 · A leak (difficulty 1 of 3, about 35 minutes)"
        ),
        "stub": code(STUB, "stub"),
        "solution": text(folded(solutions_of("attention")["leaks"])),
        "board": code("predictions.board()"),
        "last": code('export_chapter("05_attention", globals())', "export-and-prove"),
        "navigation": text(LINE),
    }
    for name, cell in cells.items():
        cell["id"] = name
    for number, cell in enumerate((c for c in cells.values() if c["cell_type"] == "code"), start=1):
        cell["execution_count"] = number
    metadata = {"kernelspec": dict(tools.KERNEL), "language_info": tools.LANGUAGE | {"version": "3.11.7"}}
    return {"cells": list(cells.values()), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def page_of(notebook: dict, name: str = "05_attention") -> Page:
    return Page(name, notebook, BOOK)


def cell_of(notebook: dict, name: str) -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == name)


# Each violation changes a notebook in place.


def source(name, new):
    """Another source in a cell."""
    return lambda notebook: cell_of(notebook, name).update(source=new)


def replaced(name, old, new):
    """`new` in the place of `old` in a cell's source."""

    def violate(notebook):
        cell = cell_of(notebook, name)
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)

    return violate


def output(name, *outputs):
    """Other outputs of a cell."""
    return lambda notebook: cell_of(notebook, name).update(outputs=list(outputs))


def metadata(name, **new):
    """Other metadata of a cell."""
    return lambda notebook: cell_of(notebook, name).update(metadata=new)


def count(name, new):
    """Another execution count of a cell."""
    return lambda notebook: cell_of(notebook, name).update(execution_count=new)


def without(name):
    """A cell is missing."""
    return lambda notebook: notebook["cells"].remove(cell_of(notebook, name))


def of_notebook(**new):
    """Other metadata of the notebook."""
    return lambda notebook: notebook["metadata"].update(new)


VIOLATIONS = {
    "counts_run_from_one": [count("export", 9), count("export", None)],
    "no_errors": [
        output("driver", printed("UserWarning", name="stderr")),
        output("driver", {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}),
    ],
    "metadata_is_what_jupyterlab_writes": [
        metadata("driver", execution={}),
        metadata("title", tags=["proof"]),
        metadata("folded", jupyter={"outputs_hidden": True}),
        lambda notebook: cell_of(notebook, "export").update(id="title"),
        of_notebook(widgets={}),
        of_notebook(kernelspec={"name": "python3", "display_name": "Python 3"}),
        of_notebook(language_info={"name": "python", "version": "3.11.7"}),
        of_notebook(language_info=tools.LANGUAGE),
        lambda notebook: notebook["metadata"].pop("language_info"),
    ],
    "tags_are_known": [metadata("proof", tags=["prof"])],
    "title_fits_the_list": [
        replaced("title", "# 05 · Attention", "# Attention"),
        replaced("title", "65 minutes", "64 minutes"),
        replaced("title", "35 for the second", "34 for the second"),
        replaced("title", "core chapter", "main chapter"),
        without("half"),
    ],
    "headings_count_from_one": [
        replaced("exercise", "## 1 Sums", "## 2 Sums"),
        replaced("half", "## Second half: more", "## Second half: more\n\n## 3 Averages"),
        replaced("half", "## Second half: more", "## Second half: more\n\n## 1 Averages"),
    ],
    "begins_with_setup": [
        metadata("setup", **FOLDED),
        metadata("setup", tags=["setup"]),
        lambda notebook: notebook["cells"].insert(1, notebook["cells"].pop(4)),
    ],
    "badges_fit": [
        source("title", f"# 05 · Attention\n\n{tools.badge('someone/book', '05_attention')}"),
        source("setup", 'REPOSITORY = "https://github.com/someone/book"'),
    ],
    "core_fits_in_sixty_cells": [
        lambda notebook: notebook["cells"].__setitem__(slice(5, 5), [text("more")] * 50)
    ],
    "minutes_are_counted": [
        replaced("exercise", "57", "67"),
        replaced("half", "35", "45"),
        lambda notebook: notebook["cells"].insert(1, text("word " * 1500)),
    ],
    "ends_with_export": [
        lambda notebook: notebook["cells"].append(text("The end.")),
        replaced("last", "05_attention", "06_block"),
        metadata("last"),
    ],
    "has_proofs_and_exercises": [without("proof"), source("proof", "total(1)"), metadata("stub")],
    "exercises_are_complete": [
        replaced("stub", "raise NotImplementedError", "return 2 * x"),
        replaced("stub", "exercises.", "other."),
        replaced("stub", "exercises.leaks", "exercises.twice"),
        without("solution"),
        replaced("solution", "f, T, C", "f, T"),
        lambda notebook: cell_of(notebook, "board")["metadata"].update(tags=["solution"]),
    ],
    "predictions_are_kept": [
        replaced("guess", "None", "3"),
        replaced("guess", "sum", "mean"),
        replaced("answer", "predictions.reveal", "print"),
        metadata("answer"),
        source("answer", 'predictions.reveal("sum", 1)\nprint(1)'),
        source("answer", "1"),
        source("board", "1"),
    ],
    "truths_are_withheld": [
        output("answer", printed("sum: 1.235 nats")),
        output("answer"),
        lambda notebook: cell_of(notebook, "answer")["outputs"].append(printed("1.235")),
        metadata("answer", tags=["answer"], **FOLDED_OUTPUT),
        without("measured"),
        replaced("measured", "1.235", "1.234"),
        replaced("measured", "2\n```", "3\n```"),
    ],
    "widgets_are_driven": [
        output("widget", shown(**{"text/plain": "VBox()"})),
        replaced("driver", "assert slider.state == 2", ""),
        output("driver"),
    ],
    "imports_go_backwards": [
        source("imports", "from gptlib.block import Block"),
        source("imports", "from gptlib import attention"),
        source("imports", "def f():\n    import gptlib.block"),
        source("imports", "import gptlib.more"),
        source("imports", "import gptlib.numbers"),
        replaced("export", "gptlib.layers", "gptlib.widgets"),
        replaced("export", "gptlib.layers", "gptlib.heads"),
        replaced("second", "gptlib.attention", "gptlib.heads"),
    ],
    "exports_are_definitions": [
        replaced("export", "import math", "print(1)"),
        replaced("export", "#| export", "#|export"),
        replaced("export", "#| export", "# A comment\n#| export"),
        replaced("second", "#| exporti heads", "#| exports heads"),
    ],
    "signatures_name_no_class_as_text": [
        replaced("export", "def forward(self, x)", 'def forward(self, x) -> "Half"'),
        replaced("export", "def forward(self, x)", 'def forward(self, x: "Half")'),
    ],
    "exports_are_documented": [
        replaced("export", '"""The sum."""', "'The sum.'.upper()"),
        replaced("export", '"""x [B, T] / 2; a semicolon in a text joins nothing."""', "pass"),
        replaced("export", "x [B, T] / 2;", "half of x;"),
        replaced("export", 'Float[Tensor, "B T"]', "Tensor"),
    ],
    "texts_name_their_encoding": [
        replaced("driver", "value = 2", "value = open(path).read()"),
        replaced("export", "return x.sum()", "return path.read_text()"),
        source("setup", "project = path.read_text()"),
    ],
    "one_statement_a_line": [
        replaced("imports", "import torch", "import torch;"),
        replaced("driver", "slider.value = 2\n", "slider.value = 2; "),
    ],
    "imports_and_drivers_are_folded": [
        metadata("imports"),
        replaced("imports", "# @title Imports\n", ""),
        metadata("driver", **FOLDED),
        metadata("driver", jupyter={"source_hidden": True, "outputs_hidden": True}),
    ],
    "figures_have_captions": [
        without("caption"),
        replaced("caption", "*Figure:*", "Figure:"),
        source("caption", f"{SHOWS}\n\n*Figure:* a curve."),
        replaced("caption", f"{SHOWS}\n\n", ""),
        output("driver", figure("Something else is told here.")),
        output("driver", shown(**{"image/png": "", "text/plain": "F"})),
    ],
    "pictures_are_png": [
        output("driver", shown(**{"image/svg+xml": "<svg/>"})),
        output("driver", shown(**{tools.WIDGET_VIEW: {}})),
    ],
    "unstable_cells_assert": [replaced("clock", "assert clock() < 5", ""), metadata("clock")],
    "outputs_are_stable": [
        output("proof", printed("<function f at 0x7f12ab34cd56>")),
        output("proof", shown(**{"text/plain": "<gptlib.gpt.Thing object>"})),
        output("proof", printed("read /home/somebody/book/data")),
        output("proof", printed("0.123456")),
    ],
    "chapters_are_linked": [
        replaced("title", LINE, ""),
        without("navigation"),
        replaced("navigation", "06", "07"),
        lambda notebook: notebook["cells"].insert(1, text("as in chapter 04")),
    ],
    "links_resolve": [
        source("title", "[x](../data/missing.md)"),
        source("title", "[x](#Third-half)"),
        source("title", "![x](picture.png)"),
        source("title", "[x](../data/README.md#no-such-heading)"),
    ],
}


def test_the_good_notebook_has_no_complaints():
    assert complaints(page_of(good_notebook())) == []


def test_every_rule_has_violations():
    assert VIOLATIONS.keys() == {rule.__name__ for rule in rules.RULES}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_planted_violations_are_caught(rule):
    for number, violate in enumerate(VIOLATIONS[rule.__name__]):
        notebook = good_notebook()
        violate(notebook)
        assert notebook != good_notebook(), f"violation {number} changes nothing"
        assert rule(page_of(notebook)), f"violation {number} is not caught"


def test_a_page_that_is_not_in_the_list_is_noticed():
    assert rules.anatomy.title_fits_the_list(page_of(good_notebook(), "07_attention"))


def test_badges_are_held_against_the_repository():
    page = Page("05_attention", good_notebook(), BOOK, repository="someone/book")
    assert len(rules.anatomy.badges_fit(page)) == 2


def test_links_with_anchors_into_notebooks(tmp_path):
    nbformat.write(nbformat.from_dict(good_notebook()), tmp_path / "05_attention.ipynb")
    (tmp_path / "page.md").write_text("# A `Page` of one's own\n", encoding="utf-8")
    links = "[a](05_attention.ipynb#Second-half:-more) [b](page.md#a-page-of-ones-own)"
    assert links_resolve(Page("06_block", {"cells": [text(links)]}, BOOK, folder=tmp_path)) == []
    links += " [c](05_attention.ipynb#Third-half) [d](page.md#a-book)"
    assert len(links_resolve(Page("06_block", {"cells": [text(links)]}, BOOK, folder=tmp_path))) == 2
