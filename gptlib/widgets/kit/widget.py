"""The base class of the widgets, and the picture that they show."""

import itertools
from collections.abc import Callable

import ipywidgets as widgets

from gptlib.widgets.kit.controls import SLIDER_STYLE
from gptlib.widgets.kit.page import message_html
from gptlib.widgets.kit.picture import picture_html
from gptlib.widgets.kit.text import complaint


class Picture(widgets.HTML):
    """A PNG with a text for who cannot see it, sharp on screens with twice the pixels. `png` is the file.

    An HTML widget, because ipywidgets' Image has no alternative text before version 8, and because the page
    keeps the file when the kernel is gone. An empty picture takes no space.
    """

    def __init__(self):
        self.png = b""
        # without align_self a VBox stretches the picture to its own width
        super().__init__(layout=widgets.Layout(max_width="100%", align_self="flex-start", display="none"))

    def show(self, png: bytes, alt: str) -> None:
        """Show a PNG; `alt` says in words what it shows. b"" shows nothing."""
        self.png = png
        self.value = picture_html(png, alt) if png else ""
        self.layout.display = None if png else "none"


class BookWidget(widgets.VBox):
    """Controls, a message line, and what the state looks like, from top to bottom.

    The controls are attributes: setting their `.value` has the effect of the reader's input. `state` is what
    is shown, `error` the last error's message or "". A subclass defines `new_state`, which computes a state
    from the values of the controls, and `show_state`, which renders `self.state`.
    """

    state = None
    error = ""
    numbers = itertools.count()

    def __init__(self, controls: list[widgets.Widget], shown: list[widgets.Widget]):
        self.message = widgets.HTML()
        self.css_class = f"{type(self).__name__}-{next(self.numbers)}"  # separates two widgets on one page
        style = widgets.HTML(SLIDER_STYLE, layout=widgets.Layout(display="none"))
        super().__init__([style, *controls, self.message, *shown])
        self.add_class(self.css_class)

    def __repr__(self) -> str:
        # the stored notebook holds this line, so it must not differ between runs
        return f"{type(self).__name__}: run this notebook to use it"

    def follow(self, action: Callable, *controls: widgets.Widget) -> None:
        """Call `action` when the value of one of the controls changes."""
        for control in controls:
            control.observe(action, "value")

    def recompute(self, change=None) -> None:
        """Compute the state anew and show it."""
        self.attempt(self.new_state)

    def attempt(self, new_state: Callable) -> None:
        """Show the state that `new_state()` returns; if it raises, show the error and keep the last state."""
        try:
            self.state = new_state()
            self.error = ""
        except Exception as error:  # a model may raise anything: the reader gets a line, no traceback
            self.error = complaint(error)
            if self.state is not None:
                self.error += ". Below is still the last input that worked."
        self.redraw()

    def redraw(self, change=None) -> None:
        """Show the message and the state."""
        notes = getattr(self.state, "notes", ())
        self.message.value = message_html(" ".join(filter(None, (self.error, *notes))))
        if self.state is not None:
            self.show_state()
