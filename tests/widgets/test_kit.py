"""The kit: text, HTML, pictures, figure style, and what the base class does for every widget."""

import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import HTML, IntSlider

from gptlib.widgets.kit.palette import BLUE
from gptlib.widgets.kit.pen import Pen, at
from gptlib.widgets.kit.style import book_style
from gptlib.widgets.kit.text import complaint, typed, untyped, visible
from gptlib.widgets.kit.widget import BookWidget, Picture

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


def test_an_empty_picture_takes_no_space():
    picture = Picture()
    assert picture.layout.display == "none"
    picture.value = b"png"
    assert picture.layout.display is None


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
