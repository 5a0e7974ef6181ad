"""A slider through a training: at each kept step the loss on the ladder, where the heads look, and a sample.

Three layers: `Moment` and `compute` (what was measured at a step, a frozen state), `page` and `render` (a state in,
HTML and PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage
from matplotlib import colormaps

from gptlib.widgets.kit.controls import row, whole_slider
from gptlib.widgets.kit.page import box, written
from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, LIGHT_GREY
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import visible
from gptlib.widgets.kit.widget import BookWidget, Picture

Ladder = Sequence[tuple[str, float]]  # names and losses of simple models, the highest loss first


@dataclass(frozen=True, eq=False)
class Moment:
    """A model at one step of its training."""

    step: int
    loss: float  # nats per token
    tokens: tuple[str, ...]  # a text, [T]
    weights: np.ndarray  # where its heads look on that text, [n_layer, n_head, T, T]
    guesses: tuple[str, ...]  # the likeliest next token after each of its tokens, [T]
    prompt: str
    sample: str


# --- compute


@dataclass(frozen=True, eq=False)
class TimeState:
    """A moment, its place among all, and the ladder."""

    moment: Moment
    place: int
    losses: tuple[tuple[int, float], ...]  # step and loss of all moments
    ladder: tuple[tuple[str, float], ...]


def compute(moments: Sequence[Moment], place: int, ladder: Ladder) -> TimeState:
    """The state at a place, 0 … len(moments) − 1. ValueError for another place, and for a ladder that rises."""
    if not 0 <= place < len(moments):
        raise ValueError(f"place={place} must lie in 0 … {len(moments) - 1}")
    heights = [loss for _, loss in ladder]
    if heights != sorted(heights, reverse=True):
        raise ValueError(f"the ladder's losses {heights} must fall")
    return TimeState(moments[place], place, tuple((m.step, m.loss) for m in moments), tuple(ladder))


def rung(state: TimeState) -> str:
    """Between which rungs the loss lies, in words."""
    loss = state.moment.loss
    below = [name for name, height in state.ladder if height <= loss]
    above = [name for name, height in state.ladder if height > loss]
    if not above:
        return f"above every rung, the highest is {state.ladder[0][0]}"
    return f"past {above[-1]}" + (f", not yet past {below[0]}" if below else "")


# --- page and render


def summary(state: TimeState) -> str:
    """Step, loss and rung in one line."""
    return f"Step {state.moment.step:,}: loss {state.moment.loss:.3f} nats, {rung(state)}."


def page(state: TimeState) -> str:
    """HTML: the line about the step, what the model guesses, and what it writes."""
    text = "".join(map(visible, state.moment.tokens))
    guesses = "".join(map(visible, state.moment.guesses))
    lines = f"<b>{html.escape(summary(state))}</b><br>After each character of <code>{html.escape(text)}</code> it "
    lines += f"guesses <code>{html.escape(guesses)}</code>. It writes:"
    return box(lines, attributes='role="status"') + written(state.moment.prompt, state.moment.sample)


WIDTH, HEIGHT = 880, 330
LOSSES = (60, 30, 400, 280)  # the frame of the curve
MAPS = (470, 30)  # the upper left corner of the heads


def render(state: TimeState) -> bytes:
    """PNG: the loss over the steps with the ladder's rungs on the left, the heads' weights on the right."""
    pen = Pen((WIDTH, HEIGHT))
    left, top, right, bottom = LOSSES
    steps = np.array([step for step, _ in state.losses])
    losses = np.array([loss for _, loss in state.losses])
    low, high = min(1.2, losses.min() - 0.1), max(4.4, losses.max() + 0.1)
    far = np.log2(steps.max() + 1)

    def place(step, loss):
        x = left + np.log2(step + 1) / far * (right - left)
        return x, bottom - (loss - low) / (high - low) * (bottom - top)

    pen.text(left, 14, "loss on the validation text, nats", 13)
    above = top - 100.0
    for name, height in state.ladder:
        y = place(0, height)[1]
        pen.line([(left, y), (right, y)], LIGHT_GREY)
        x, anchor = (right - 4, "rm") if height > 4 else (left + 4, "lm")  # where the curve is not
        side = 7 if y - above < 14 else -7  # below its line where the next rung is too near
        pen.text(x, y + side, f"{name} {height:.2f}", 11, anchor, DARK_GREY)
        above = y
    pen.line([place(step, loss) for step, loss in state.losses], BLUE, 2)
    pen.dots([place(step, loss) for step, loss in state.losses], BLUE, LOSSES, 2.5)
    pen.dots([place(state.moment.step, state.moment.loss)], BLACK, LOSSES, 6)
    pen.box(LOSSES)
    for loss in (2, 3, 4):
        pen.text(left - 6, place(0, loss)[1], f"{loss}", 12, "rm")
    for step in steps[steps > 4].tolist():
        if np.log2(step) % 2 == 1 or step == steps.max():
            pen.text(place(step, low)[0], bottom + 12, f"{step}", 12, "mm")
    pen.text(left, bottom + 12, "0", 12, "mm")
    pen.text((left + right) / 2, bottom + 32, "step", 13, "mm")
    draw_heads(pen, state.moment)
    return pen.png()


def draw_heads(pen: Pen, moment: Moment) -> None:
    """Each head's weights as a square, a row for each layer."""
    n_layer, n_head = moment.weights.shape[:2]
    x0, y0 = MAPS
    side = min(86, (HEIGHT - 60) // n_layer - 18, (WIDTH - x0 - 40) // n_head - 6)
    pen.text(x0, 14, "where the heads look (rows look at columns)", 13)
    for layer in range(n_layer):
        for head in range(n_head):
            x, y = x0 + (side + 8) * head, y0 + (side + 18) * layer
            colours = (255 * colormaps["cividis"](moment.weights[layer, head])[..., :3]).astype(np.uint8)
            pen.pixels(colours, (x, y, x + side, y + side))
            pen.text(x, y + side + 8, f"{layer}.{head}", 11)


def alt(state: TimeState) -> str:
    """What the picture shows, in words."""
    return f"The loss over the training with the ladder's rungs, and all heads' weights. {summary(state)}"


def figure(state: TimeState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(slider.state))`."""
    return static_picture(render(state), alt(state))


# --- the widget


class TimeSlider(BookWidget):
    """The widget. `moment_at(place)` measures the model at a kept step, 0 … count − 1. Control: `place`.

    All moments are measured at the beginning. ValueError as for `compute`.
    """

    def __init__(self, moment_at: Callable[[int], Moment], count: int, ladder: Ladder):
        self.moments = [moment_at(place) for place in range(count)]
        self.ladder = tuple(ladder)
        self.place = whole_slider(0, 0, count - 1, "kept step")
        self.page, self.image = widgets.HTML(), Picture()
        super().__init__([row(self.place)], [self.image, self.page])
        self.follow(self.recompute, self.place)
        self.recompute()

    def new_state(self) -> TimeState:
        return compute(self.moments, self.place.value, self.ladder)

    def show_state(self) -> None:
        self.page.value = page(self.state)
        self.image.show(render(self.state), alt(self.state))
