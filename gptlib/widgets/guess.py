"""The field in which a reader guesses: a number by keyboard, or a slider, and a button to see the answer."""

import math
import re
from collections.abc import Callable

import ipywidgets as widgets

from gptlib.exercises.scale import show
from gptlib.widgets.kit.controls import SLIDER_STYLE, row
from gptlib.widgets.kit.page import message_html

PASS = "pass"


class GuessField(widgets.VBox):
    """The widget. `on_guess` gets a number, or "pass".

    Controls: `text`, `slider` (None without `low` and `high`), `guess_button`, `pass_button`; `message` is
    what stands below them. Enter in the field has the effect of `guess_button`.
    """

    def __init__(
        self,
        name: str,
        on_guess: Callable[[float | str], None],
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        log: bool = False,
    ):
        self.name, self.on_guess, self.moving = name, on_guess, False
        self.text = widgets.Text(
            description="your guess",
            placeholder="a number",
            continuous_update=False,
            style={"description_width": "80px"},
            layout={"width": "200px"},
        )
        self.slider = None if low is None or high is None else slider(low, high, log)
        self.guess_button = widgets.Button(
            description="Guess", button_style="primary", tooltip=f"guess: {name}", layout={"width": "80px"}
        )
        self.pass_button = widgets.Button(
            description="Show me", tooltip=f"show without a guess: {name}", layout={"width": "90px"}
        )
        self.message = widgets.HTML()
        self.controls = [self.text, self.guess_button, self.pass_button]
        if self.slider is not None:
            self.controls.insert(0, self.slider)
            self.slider.observe(self.follow, "value")
            self.slider.add_class(
                "number-slider"
            )  # for the pointer only; the field is for keys and screen readers
        shown = list(self.controls)
        shown.insert(shown.index(self.guess_button), widgets.Label(unit))
        style = widgets.HTML(SLIDER_STYLE, layout={"display": "none"})
        super().__init__([style, row(*shown), self.message])
        self.text.observe(self.typed, "value")
        self.guess_button.on_click(self.guess)
        self.pass_button.on_click(lambda button: self.on_guess(PASS))

    def __repr__(self) -> str:
        return f"a field for your guess: {self.name}"  # the same in every run

    def follow(self, change) -> None:
        """Write the slider's value into the field; it is a guess when the reader says so."""
        self.moving = True
        self.text.value = show(self.slider.value)
        self.moving = False

    def typed(self, change) -> None:
        """Take what the reader has typed."""
        if not self.moving and self.text.value.strip():
            self.guess()

    def guess(self, button=None) -> None:
        """Hand over what stands in the field, or say what is wrong with it."""
        if self.text.value.strip().lower() == PASS:
            self.on_guess(PASS)
        elif (value := number(self.text.value)) is None:
            self.say(f"{self.text.value!r} is no number" if self.text.value else "Write a number first")
        else:
            if self.slider is not None:
                self.slider.unobserve(self.follow, "value")
                self.slider.value = value  # the nearest end where it lies outside
                self.slider.observe(self.follow, "value")
            self.on_guess(value)

    def say(self, text: str) -> None:
        """A line below the controls."""
        self.message.value = message_html(text)

    def close_with(self, text: str) -> None:
        """A last line: the truth is seen, so there is nothing left to guess."""
        for control in self.controls:
            control.disabled = True
        self.say(f"{text[0].upper()}{text[1:]}.")


def slider(low: float, high: float, log: bool):
    """A slider from `low` to `high`, in whole numbers where both are whole and there are enough of them."""
    look = {"readout": False, "description": "", "layout": {"width": "260px"}}
    if log:
        ends = {"min": math.log10(low), "max": math.log10(high)}
        return widgets.FloatLogSlider((low * high) ** 0.5, base=10, step=0.01, **ends, **look)
    whole = isinstance(low, int) and isinstance(high, int) and high - low >= 5
    return widgets.FloatSlider(
        (low + high) / 2, min=low, max=high, step=1 if whole else (high - low) / 100, **look
    )


def number(text: str) -> float | None:
    """The number that a text begins with: "40", "1,000", "0,5", "20 %", "3e8"; None for others."""
    text = text.strip().replace("\u2212", "-")
    if re.match(r"-?\d{1,3}(,\d{3})+(\D|$)", text):
        text = text.replace(",", "")
    found = re.match(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?(?=\s|%|$)", text, re.IGNORECASE)
    return float(found[0].replace(",", ".")) if found else None
