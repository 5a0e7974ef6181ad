"""The controls that several widgets use."""

import ipywidgets as widgets

from gptlib.widgets.kit.text import typed

LABEL = {"description_width": "110px"}
WIDE = {"width": "98%"}
SLIDER = {"width": "340px"}


def row(*controls: widgets.Widget) -> widgets.HBox:
    """Controls side by side, on several lines where the page is narrow."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))


def text_field(text: str, description: str, every_key: bool = False) -> widgets.Text:
    """A one-line field that reports its text on Enter, or with `every_key` on each change."""
    return widgets.Text(
        typed(text), description=description, continuous_update=every_key, style=LABEL, layout=WIDE
    )


def slider(
    value: float, low: float, high: float, step: float, description: str, digits: int = 1
) -> widgets.FloatSlider:
    """A slider whose readout has `digits` decimals."""
    return widgets.FloatSlider(
        value,
        min=low,
        max=high,
        step=step,
        readout_format=f".{digits}f",
        description=description,
        style=LABEL,
        layout=SLIDER,
    )


def temperature_slider(temperature: float) -> widgets.FloatSlider:
    """The temperature of sampling; 0 takes the most probable token."""
    return slider(temperature, 0, 2, 0.1, "temperature")


def top_k_choice() -> widgets.Dropdown:
    """How many of the most probable tokens may be drawn; the value 0 means all."""
    # A Dropdown takes None for no choice, so 0 stands for `top_k=None`.
    choices = [("all", 0), *((str(k), k) for k in (1, 2, 3, 5, 10, 20, 40))]
    return widgets.Dropdown(options=choices, value=0, description="top-k", style=LABEL)


def seed_field() -> widgets.BoundedIntText:
    """The seed of the random numbers."""
    return widgets.BoundedIntText(1, 0, 2**31 - 1, description="seed", style=LABEL)
