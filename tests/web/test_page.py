"""A chapter as a page: what of its notebook stands there, and how."""

import base64
import io

import pytest
from nbformat import v4
from PIL import Image

from gptlib.exercises.notebook import tags_of
from tools.chapters import ROOT, Chapter, chapters
from web import figures
from web.book import read
from web.page import Pages, anchor, code_of, without_fold

CHAPTER = Chapter(5, "attention", "Attention", ("attention",), "x", (10, 0), "core")
HIDDEN = {"source_hidden": True, "outputs_hidden": True}


def png() -> str:
    """A small picture as notebooks store it."""
    written = io.BytesIO()
    Image.new("RGBA", (20, 10), "white").save(written, format="PNG")
    return base64.b64encode(written.getvalue()).decode()


def picture() -> dict:
    return v4.new_output(
        "display_data",
        data={"image/png": png()},
        metadata={"image/png": {"alt": "Dots & lines", "width": 10}},
    )


def code(source: str, *tags: str, outputs=(), **jupyter) -> dict:
    return v4.new_code_cell(
        source,
        id=f"id{len(source)}",
        outputs=list(outputs),
        metadata={"tags": list(tags), "jupyter": jupyter},
    )


def page_of(tmp_path, *cells, places=None):
    """The cells of the page after its heading."""
    title = v4.new_markdown_cell("# 05 · Attention\n\n[Contents](00_start_here.ipynb#x)\n\n> Words.")
    notebook = v4.new_notebook(cells=[title, *cells])
    return Pages(tmp_path, places or {}).page(notebook, CHAPTER, "HEADER").cells


def html_of(cell) -> str:
    """The HTML that a cell puts out."""
    return "".join(output.data["text/html"] for output in cell.outputs)


def test_navigation_gives_way_to_the_header(tmp_path):
    end = v4.new_markdown_cell("[Contents](00_start_here.ipynb#x)")
    (first,) = page_of(tmp_path, end)
    assert first.source == "# 05 · Attention\n\nHEADER\n\n> Words."


def test_marks_of_the_code_become_notes():
    source = "#| export\n# @title The Mask\ndef f():\n    # blank\n    return 1\n    # end\n\n\ng = 2"
    shown, about = code_of(code(source, "proof", source_hidden=True), "attention")
    assert shown == "def f():\n    return 1\n\n\ng = 2"
    assert about["blank"] == [2] and about["module"] == "attention" and about["proof"]
    assert about["code"] == "Show code: the Mask"
    assert code_of(code("#| export other\nx = 1"), "attention")[1]["module"] == "other"
    assert code_of(code("x = 1"), "attention")[1]["code"] is None


def test_a_guess_is_asked_for_and_its_call_is_gone(tmp_path):
    call = 'predictions.guess("loss <1>", None, low=1, high=4.2, unit="nats")'
    alone = page_of(tmp_path, code(call))[1:]
    assert [cell.cell_type for cell in alone] == ["markdown"]
    assert 'data-name="loss &lt;1&gt;"' in alone[0].source and "nats" in alone[0].source
    asked, rest = page_of(tmp_path, code(f"{call}\n\n\nx = 1"))[1:]
    assert asked.cell_type == "markdown" and rest.source == "x = 1"


def test_what_waits_for_a_reader_is_no_output(tmp_path):
    sealed = v4.new_output("display_data", data={"text/html": '<div data-sealed="1">no guess yet</div>'})
    printed = v4.new_output("stream", name="stdout", text="f: not attempted yet\n")
    cells = page_of(
        tmp_path,
        code("predictions.reveal('a', 1)", "answer", outputs=[sealed]),
        code("def f(): ...", "stub", outputs=[printed]),
        code("predictions.board()", outputs=[sealed]),
    )
    assert [cell.get("outputs", []) for cell in cells[1:]] == [[], [], []]


def test_a_widget_shows_the_picture_of_the_cell_that_drives_it(tmp_path):
    driver = code("w.value = 1", outputs=[v4.new_output("stream", text="told\n"), picture()], **HIDDEN)
    widget, driven = page_of(tmp_path, code("w", "widget"), driver)[1:]
    assert 'alt="Dots &amp; lines" width="10" height="5"' in html_of(widget) and "still" in html_of(widget)
    assert [output.output_type for output in driven.outputs] == ["stream"]  # it may tell the answer: folded
    assert driven.metadata.page["output"] and driven.metadata.page["code"] == "Show code"
    (alone,) = page_of(tmp_path, code("w", "widget"))[1:]
    assert "In the notebook a widget stands here" in html_of(alone)


def test_a_live_widget_takes_the_place_and_keeps_the_picture_until_then(tmp_path):
    widget, driver = code("w", "widget"), code("w.value = 1", outputs=[picture()], **HIDDEN)
    places = {CHAPTER.stem: {widget.id: {"live": "explorer", "options": {"text": 'a "b"'}}}}
    shown = page_of(tmp_path, widget, driver, places=places)[1]
    html = html_of(shown)
    assert html.startswith('<div class="live" data-live="explorer" data-options="{&quot;text&quot;')
    assert "<img" in html and html.endswith("</div>") and "still" not in html
    assert shown.metadata.page["code"] == "Show code"


@pytest.mark.parametrize(
    "text, hidden, caption",
    [
        ("*Figure:* dots.\n\nMore.", False, "Dots.\n\nMore."),
        (
            "<details><summary>What was measured</summary>\n\n*Figure:* dots.\n\nIt is 1.\n\n</details>",
            True,
            None,
        ),
        (
            "<details><summary>What the figure shows</summary>\n\n*Figure:* dots.\n\n</details>\n\nB",
            True,
            "Dots.\n\nB",
        ),
    ],
)
def test_the_caption_goes_where_its_figure_is(tmp_path, text, hidden, caption):
    figure, words = page_of(
        tmp_path, code("plot()", outputs=[picture()], outputs_hidden=hidden), v4.new_markdown_cell(text)
    )[1:]
    assert figure.metadata.page["caption"]
    assert figure.metadata.page["output"] == ("Show the figure" if hidden else None)
    measured = (
        'Dots.\n\n<details class="measured"><summary>What was measured</summary>\n\nIt is 1.\n\n</details>'
    )
    assert words.source == (caption or measured)


def test_a_caption_that_is_folded_beside_an_open_figure_stays_so(tmp_path):
    text = "<details><summary>What the figure shows</summary>\n\n*Figure:* dots.\n\n</details>"
    figure, words = page_of(tmp_path, code("plot()", outputs=[picture()]), v4.new_markdown_cell(text))[1:]
    assert not figure.metadata.page["caption"] and '<details class="caption">' in words.source
    assert without_fold("Words.") == "Words."


def test_anchors_are_those_of_jupyterlab():
    assert anchor("2 What you will build") == "2-What-you-will-build"


def test_every_cell_of_every_chapter_has_its_place(tmp_path, monkeypatch):
    """But for directives, guesses, boards and the navigation no cell is lost; its id is on the page."""
    monkeypatch.setattr(
        figures, "smaller", bytes
    )  # pictures as they are: to make them smaller takes its time
    for chapter in chapters():
        notebook = read(ROOT / f"notebooks/{chapter.stem}.ipynb")
        page = Pages(tmp_path, {}).page(notebook, chapter, "")
        there = {cell.id for cell in page.cells}
        for cell in notebook.cells[:-1]:
            gone = cell.id not in there
            assert (
                not gone or f"{cell.id}-guess" in there or cell.source.startswith(("#|", "predictions.board"))
            )
        assert any("setup" in tags_of(cell) for cell in notebook.cells)
