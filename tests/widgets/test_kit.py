"""The kit: text, HTML, pictures, figure style, and what the base class does for every widget."""

import base64
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import HTML, IntSlider
from PIL import Image

import gptlib.widgets
from gptlib.widgets import (
    merge_theatre,
    next_token_sampler,
    softmax_playground,
    surprise,
    trajectory_explorer,
    weight_biography,
)
from gptlib.widgets.kit.controls import log_slider, slider, whole_slider
from gptlib.widgets.kit.palette import BLUE
from gptlib.widgets.kit.pen import Pen, at
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.style import book_style
from gptlib.widgets.kit.text import complaint, typed, untyped, visible
from gptlib.widgets.kit.widget import BookWidget, Picture

WIDGETS = Path(gptlib.widgets.__file__).parent
HOSTILE = '<img src=x onerror="alert(1)">'


class Reciprocal(BookWidget):
    """Shows 1 / slider; 7 fails with two lines of markup."""

    def __init__(self):
        self.slider = IntSlider(1)
        self.shown = HTML()
        super().__init__([self.slider], [self.shown])
        self.follow(self.recompute, self.slider)
        self.recompute()

    def new_state(self):
        if self.slider.value == 7:
            raise ValueError(f"{HOSTILE}\nsecond line")
        return 1 / self.slider.value

    def show_state(self):
        self.shown.value = f"{self.state:.2f}"


def test_an_error_becomes_a_line_and_the_last_state_stays():
    widget = Reciprocal()
    widget.slider.value = 4
    assert widget.shown.value == "0.25" and widget.error == widget.message.value == ""
    widget.slider.value = 0
    assert "ZeroDivisionError: division by zero. Below is still" in widget.message.value
    assert widget.shown.value == "0.25"
    widget.slider.value = 7
    assert "&lt;img" in widget.message.value and "second" not in widget.message.value
    widget.slider.value = 2
    assert widget.shown.value == "0.50" and widget.error == widget.message.value == ""


def test_an_error_before_the_first_state_shows_nothing(monkeypatch):
    monkeypatch.setattr(Reciprocal, "new_state", lambda self: 1 / 0)
    widget = Reciprocal()
    assert widget.state is None and widget.shown.value == "" and "Below" not in widget.error


def test_notes_follow_the_error():
    class State:
        notes = ("The text is cut.",)

    widget = Reciprocal()
    widget.show_state = lambda: None
    widget.attempt(State)
    assert "The text is cut." in widget.message.value
    widget.slider.value = 0
    assert widget.message.value.endswith("last input that worked. The text is cut.</div>")


def test_two_widgets_have_two_names_and_one_repr():
    first, second = Reciprocal(), Reciprocal()
    assert first.css_class != second.css_class
    assert repr(first) == repr(second) == "Reciprocal: run this notebook to use it"


def test_a_picture_is_sharp_says_what_it_shows_and_takes_no_space_when_empty():
    picture, pen = Picture(), Pen((40, 30))
    assert picture.layout.display == "none" and "<img" not in picture.value
    picture.show(pen.png(), 'a "quoted" <b>word</b>')
    assert picture.layout.display is None and picture.png == pen.png()
    assert 'alt="a &quot;quoted&quot; &lt;b&gt;word&lt;/b&gt;"' in picture.value
    assert 'width="40"' in picture.value  # of 80 pixels
    assert Image.open(io.BytesIO(pen.png())).size == (80, 60)
    file = picture.value.split("base64,")[1].split('"')[0]
    assert base64.b64decode(file) == pen.png()
    picture.show(b"", "nothing")
    assert picture.layout.display == "none" and picture.value == ""  # no icon of a broken image


def test_a_stored_picture_keeps_its_text_and_its_width():
    data, metadata = static_picture(Pen((40, 30)).png(), "forty pixels")._repr_png_()
    assert metadata == {"alt": "forty pixels", "width": 40} and data


def test_a_number_slider_is_one_control():
    """Its two parts hold one value, whichever the reader moves, and the field has the name."""
    seen = []
    control = slider(0.5, 0, 2, 0.1, "temperature")
    control.observe(lambda change: seen.append(change.new), "value")
    assert control.description == control.field.description == "temperature" and control.value == 0.5
    control.slider.value = 0.9000000000000001
    assert control.value == control.field.value == 0.9
    control.field.value = 1.5
    assert control.value == control.slider.value == 1.5
    control.value = 0.1
    assert control.field.value == control.slider.value == 0.1
    control.value = 7
    assert control.value == control.field.value == control.slider.value == 2
    assert seen == [0.9, 1.5, 0.1, 2]
    control.max = 9
    control.value = 7
    assert control.value == control.slider.value == 7 and control.max == 9
    control.disabled = True
    assert control.field.disabled and control.slider.disabled


def test_number_sliders_keep_the_kind_of_number():
    whole = whole_slider(80, 1, 300, "steps")
    whole.slider.value = 81
    assert whole.value == 81 and isinstance(whole.value, int)
    rate = log_slider(0.019, -4, 1, 0.02, "learning rate")
    assert rate.value == rate.slider.value == 0.019
    rate.slider.value = 10 ** (-0.52)
    assert rate.value == rate.field.value == 0.302


def test_a_page_that_rounds_to_a_step_of_the_slider_changes_nothing():
    """JupyterLab sends 10^-0.52 for 0.3 as soon as the slider is shown."""
    rate = log_slider(0.3, -4, 1, 0.02, "learning rate")
    rate.slider.value = 10 ** (-0.52)
    assert rate.value == rate.field.value == 0.3
    rate.slider.value = 10 ** (-0.54)
    assert rate.value == 0.2884
    temperature = slider(1, 0, 2, 0.1, "temperature")
    temperature.field.value = 0.55
    temperature.slider.value = 0.6
    assert temperature.value == 0.55


def test_every_picture_has_a_text():
    """No widget shows an image without an alternative text, and each stored figure has one."""
    losses = [float("nan"), 1.0]
    figures = {
        merge_theatre.figure(merge_theatre.compute("aaab")): "aaab after each of 1 merges",
        softmax_playground.figure(softmax_playground.compute("ab", [1.0, 0.0])): "a: 73.1 %",
        surprise.figure(surprise.compute("ab", losses)): "ab, coloured by the loss",
        trajectory_explorer.figure(
            trajectory_explorer.compute("SGD", trajectory_explorer.RULES["SGD"])
        ): "SGD: after",
        weight_biography.figure(weight_biography.compute("w", [0.5], 2.0), 1): "gradient: g = 0.5",
        next_token_sampler.figure(
            next_token_sampler.compute("x", "ab", torch.zeros(2))
        ): "a: 50.0 %, then 50.0 %",
    }
    for figure, words in figures.items():
        data, metadata = figure._repr_png_()
        assert words in metadata["alt"] and metadata["width"] > 300
    sources = [path.read_text(encoding="utf-8") for path in WIDGETS.rglob("*.py")]
    assert len(sources) > 15
    for source in sources:
        assert "widgets.Image(" not in source and "StaticImage(render" not in source
        for tag in re.findall(r"<img[^>]*", source):
            assert " alt=" in tag, tag


def test_text():
    assert visible(" a\n\t") == "␣a⏎⇥" and visible("") == "∅" and visible("\x07") == "\\x07"
    assert visible("\u202e") == "\\u202e"  # it would reverse the direction of what follows
    assert untyped(typed("two\nlines")) == "two\nlines" and "\n" not in typed("two\nlines")
    assert complaint(ValueError("a\nb")) == "a" and complaint(KeyError("a")) == "KeyError: 'a'"
    assert complaint(ValueError()) == "ValueError: "


def test_the_pen_clips_lines_at_the_frame(pixels, painted):
    pen, frame = Pen((40, 30)), (10, 5, 30, 20)
    pen.line(at([(-1e9, 0.5), (1e9, 0.5)], (0, 1), (0, 1), frame), BLUE, 2, frame)
    rows, columns = np.nonzero(painted(pen.png(), BLUE))
    assert (columns.min(), columns.max()) == (10, 29) and set(rows) <= {11, 12, 13}
    pen.line([(0, 25), (40, 25)], BLUE, 2)
    assert painted(pen.png(), BLUE)[25].all() and pixels(pen.png()).shape == (30, 40, 3)


def test_figures_can_be_read():
    """No font below ten points; lines differ in colour, and in pattern for a grey copy."""
    book_style()
    names = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "legend.fontsize")
    assert all(plt.rcParams[name] >= 10 for name in names)
    styles = list(plt.rcParams["axes.prop_cycle"])
    for name in ("color", "linestyle"):
        assert len({str(style[name]) for style in styles}) == 6
