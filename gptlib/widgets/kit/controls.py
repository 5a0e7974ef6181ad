"""The controls that several widgets use."""

from collections.abc import Callable
from math import log10

import ipywidgets as widgets

from gptlib.widgets.kit.palette import BLUE, GREY, WHITE
from gptlib.widgets.kit.text import typed

LABEL = {"description_width": "110px"}
WIDE = {"width": "98%", "max_width": "760px"}
FIELD = {"width": "200px"}
SLIDER = {"width": "200px"}


# ipywidgets gives a slider's handle no name. So the handle is hidden, also from the keyboard and screen readers,
# which have the number field; what the pointer drags is the area inside the handle, which gets its looks.
SLIDER_STYLE = f"""<style>
.number-slider .noUi-handle{{visibility:hidden}}
.number-slider .noUi-touch-area{{visibility:visible;width:100%;height:100%;border-radius:50%;box-sizing:border-box;
 background:{WHITE};border:1px solid {GREY};cursor:pointer}}
.number-slider .noUi-touch-area:hover{{background:{BLUE}}}
.number-slider [disabled] .noUi-touch-area{{background:{GREY}}}
</style>"""


class NumberSlider(widgets.HBox):
    """A number field with a name, and a slider beside it that has the same value.

    The field is for typing, the arrow keys, and screen readers; the slider for the pointer. `value`, `min`,
    `max`, `disabled` and `description` are those of one control.
    """

    def __init__(self, field: widgets.Widget, slider: widgets.Widget, place: Callable = float):
        self.field = field
        self.slider = slider
        self.place = place  # a value -> where it lies on the slider
        super().__init__([field, slider])
        self.add_class("number-slider")
        field.observe(self.typed, "value")
        slider.observe(self.dragged, "value")

    @property
    def value(self) -> float:
        """The number."""
        return self.field.value

    @value.setter
    def value(self, value: float) -> None:
        self.field.value = value

    def observe(self, handler: Callable, names="value", type: str = "change") -> None:
        """Call `handler` at a change; the value is the field's."""
        if names == "value":
            self.field.observe(handler, names, type)
        else:
            super().observe(handler, names, type)

    def typed(self, change) -> None:
        """The field has changed."""
        self.slider.value = change.new

    def dragged(self, change) -> None:
        """The slider has changed. The page rounds 0.3 to a step of the slider at once, which is no drag."""
        if abs(self.place(change.new) - self.place(self.value)) > 0.51 * self.slider.step:
            # 0.9000000000000001 is 0.9
            self.value = float(f"{change.new:.4g}") if isinstance(change.new, float) else change.new

    @property
    def description(self) -> str:
        """The name."""
        return self.field.description

    @property
    def min(self) -> float:
        """The lowest value."""
        return self.field.min

    @property
    def max(self) -> float:
        """The highest value."""
        return self.field.max

    @max.setter
    def max(self, highest: float) -> None:
        self.field.max = self.slider.max = highest

    @property
    def disabled(self) -> bool:
        """Whether it takes no input."""
        return self.field.disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self.field.disabled = self.slider.disabled = disabled


def row(*controls: widgets.Widget) -> widgets.HBox:
    """Controls side by side, on several lines where there are many or the page is narrow."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", max_width="900px"))


def text_field(text: str, description: str, every_key: bool = False) -> widgets.Text:
    """A one-line field that reports its text on Enter, or with `every_key` on each change."""
    return widgets.Text(
        typed(text), description=description, continuous_update=every_key, style=LABEL, layout=WIDE
    )


def slider(value: float, low: float, high: float, step: float, description: str) -> NumberSlider:
    """A number from `low` to `high`."""
    limits = {"min": low, "max": high, "step": step}
    return NumberSlider(
        widgets.BoundedFloatText(value, **limits, description=description, style=LABEL, layout=FIELD),
        widgets.FloatSlider(value, **limits, readout=False, layout=SLIDER),
    )


def whole_slider(value: int, low: int, high: int, description: str, step: int = 1) -> NumberSlider:
    """A whole number from `low` to `high`."""
    limits = {"min": low, "max": high, "step": step}
    return NumberSlider(
        widgets.BoundedIntText(value, **limits, description=description, style=LABEL, layout=FIELD),
        widgets.IntSlider(value, **limits, readout=False, layout=SLIDER),
    )


def log_slider(value: float, low: int, high: int, step: float, description: str) -> NumberSlider:
    """A number from 10^low to 10^high; the slider's steps are powers of ten."""
    return NumberSlider(
        widgets.BoundedFloatText(
            value,
            min=10.0**low,
            max=10.0**high,
            step=None,
            description=description,
            style=LABEL,
            layout=FIELD,
        ),
        widgets.FloatLogSlider(value, min=low, max=high, step=step, readout=False, layout=SLIDER),
        place=log10,
    )


def temperature_slider(temperature: float) -> NumberSlider:
    """The temperature of sampling; 0 takes the most probable token."""
    return slider(temperature, 0, 2, 0.1, "temperature")


def top_k_choice() -> widgets.Dropdown:
    """How many of the most probable tokens may be drawn; the value 0 means all."""
    # A Dropdown takes None for no choice, so 0 stands for `top_k=None`.
    choices = [("all", 0), *((str(k), k) for k in (1, 2, 3, 5, 10, 20, 40))]
    return widgets.Dropdown(options=choices, value=0, description="top-k", style=LABEL, layout=FIELD)


def seed_field() -> widgets.BoundedIntText:
    """The seed of the random numbers."""
    return widgets.BoundedIntText(1, 0, 2**31 - 1, description="seed", style=LABEL, layout=FIELD)
