"""The biography of one weight: AdamW's arithmetic with its numbers, at any recorded step.

Three layers: `compute` (recorded gradients in, a frozen life out), `page` and `render` (a life and a step in,
HTML and PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, WIDE, row, whole_slider
from gptlib.widgets.kit.page import MONOSPACE, box
from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, GREY, LIGHT_GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen, at
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.widget import BookWidget, Picture

EPS = 1e-8


@dataclass(frozen=True, eq=False)
class Life:
    """One weight under AdamW. Row n - 1 of an array belongs to step n; `weights` begins before step 1."""

    name: str
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    gradients: np.ndarray  # [n]
    m: np.ndarray  # [n]: running mean of the gradients
    v: np.ndarray  # [n]: running mean of the squared gradients
    mean: np.ndarray  # [n]: m with bias correction
    size: np.ndarray  # [n]: root of v with bias correction
    steps: np.ndarray  # [n]: the change that follows from the gradients
    decays: np.ndarray  # [n]: the change that follows from weight decay
    weights: np.ndarray  # [n + 1]


def compute(
    name: str,
    gradients: Sequence[float],
    weight: float,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.01,
) -> Life:
    """The life of a weight with these gradients, one for each step.

    ValueError when there are no gradients, or a number is not finite.
    """
    gradients = np.asarray(gradients, dtype=np.float64)
    if gradients.ndim != 1 or len(gradients) == 0:
        raise ValueError(f"gradients of shape {gradients.shape}: give one number for each step")
    if not np.isfinite(gradients).all() or not np.isfinite(weight):
        raise ValueError("the gradients and the weight must be finite")
    m = v = 0.0
    rows, weights = [], [float(weight)]
    for n, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        mean = m / (1 - betas[0] ** n)
        size = np.sqrt(v / (1 - betas[1] ** n))
        step = -lr * mean / (size + EPS)
        decay = -lr * weight_decay * weights[-1]
        weights.append(weights[-1] + step + decay)
        rows.append((m, v, mean, size, step, decay))
    columns = np.array(rows).T
    return Life(name, lr, tuple(betas), weight_decay, gradients, *columns, np.array(weights))


def number(x: float) -> str:
    """Three digits and a typographic minus sign: 0.00123 is "0.00123", -1.5e-7 is "−1.5e−07"."""
    return f"{x:.3g}".replace("-", "−")


def lines(life: Life, step: int) -> list[tuple[str, str]]:
    """The arithmetic of a step (1, 2, …) in order: a name, and the formula with its numbers."""
    check(life, step)
    i = step - 1
    b1, b2 = life.betas
    before_m = number(life.m[i - 1] if i else 0.0)
    before_v = number(life.v[i - 1] if i else 0.0)
    g, m, v, mean, size = (number(a[i]) for a in (life.gradients, life.m, life.v, life.mean, life.size))
    square = number(life.gradients[i] ** 2)
    change, decay = number(life.steps[i]), number(life.decays[i])
    share = abs(life.steps[i]) / life.lr
    return [
        ("gradient", f"g = {g}"),
        ("mean", f"m ← {b1:g} · {before_m} + {1 - b1:.4g} · {g} = {m}"),
        ("mean square", f"v ← {b2:g} · {before_v} + {1 - b2:.4g} · {square} = {v}"),
        (
            "corrected",
            f"m̂ = {m} / {number(1 - b1**step)} = {mean}     √v̂ = √({v} / {number(1 - b2**step)}) = {size}",
        ),
        ("step", f"−{life.lr:g} · {mean} / {size} = {change}     ({share:.0%} of lr)"),
        ("decay", f"−{life.lr:g} · {life.weight_decay:g} · {number(life.weights[i])} = {decay}"),
        ("weight", f"{life.weights[i]:.5f} → {life.weights[i + 1]:.5f}".replace("-", "−")),
    ]


def check(life: Life, step: int) -> None:
    """ValueError for a step that was not recorded."""
    if not 1 <= step <= len(life.gradients):
        raise ValueError(f"step={step} must lie between 1 and {len(life.gradients)}")


def page(life: Life, step: int) -> str:
    """HTML: the arithmetic of one step as a table."""
    rows = "".join(
        f'<tr><th style="text-align:left;padding:1px 14px 1px 0">{html.escape(name)}</th>'
        f'<td style="white-space:pre-wrap;text-align:left">{html.escape(formula)}</td></tr>'
        for name, formula in lines(life, step)
    )
    title = f"<b>Step {step} of {html.escape(life.name)}</b>"
    return box(f"{title}<table>{rows}</table>", f"font:14px/1.5 {MONOSPACE}")


WIDTH, HEIGHT = 900, 430
LEFT, RIGHT = 84, 880
PANELS = {"gradient": (34, 174), "step and decay": (206, 296), "weight": (328, 388)}  # top and bottom
LINE_HEIGHT = 21  # of the arithmetic


def curves_of(life: Life) -> dict[str, list[tuple[np.ndarray, str, float, str]]]:
    """The curves of each panel: values, colour, line width, label."""
    return {
        "gradient": [
            (life.gradients, GREY, 1, "gradient g"),
            (life.size, VERMILLION, 1.5, "usual size √v̂"),
            (life.mean, BLUE, 2, "mean m̂"),
        ],
        "step and decay": [(life.steps, BLUE, 1.5, "step"), (life.decays, BLACK, 1.5, "decay")],
        "weight": [(life.weights[1:], BLACK, 1.5, "weight")],
    }


def render(life: Life, step: int, words: bool = False) -> bytes:
    """PNG: three panels over all steps, in which the chosen step is marked.

    With `words`, the arithmetic of the chosen step stands below.
    """
    check(life, step)
    n = len(life.gradients)
    arithmetic = lines(life, step) if words else []
    pen = Pen((WIDTH, HEIGHT + LINE_HEIGHT * len(arithmetic)))
    for title, curves in curves_of(life).items():
        draw_panel(pen, PANELS[title], curves, step)
    for label in range(0, n + 1, max(1, n // 4)):
        pen.text(LEFT + (RIGHT - LEFT) * label / n, 402, f"{label}", 12, "mm")
    pen.text((LEFT + RIGHT) / 2, 419, f"step of {life.name}; marked: step {step}", 13, "mm")
    for i, (name, formula) in enumerate(arithmetic):
        y = HEIGHT + 12 + LINE_HEIGHT * i
        pen.text(8, y, name, 13)
        pen.text(110, y, formula, 13)
    return pen.png()


def ticks(low: float, high: float, at_most: int) -> list[float]:
    """Round numbers between two values: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10((high - low) / at_most))
    distance = next(step for step in (1, 2, 5, 10) if (high - low) / (step * power) <= at_most) * power
    first = int(np.ceil(low / distance))
    return [float(f"{i * distance:.6g}") for i in range(first, int(np.floor(high / distance)) + 1)]


def draw_panel(pen: Pen, edges: tuple[int, int], curves: list[tuple], step: int) -> None:
    """One panel with its curves, its legend above, and a mark at the chosen step."""
    top, bottom = edges
    frame = (LEFT, top, RIGHT, bottom)
    n = len(curves[0][0])
    everything = np.concatenate([values for values, *_ in curves])
    low, high = everything.min(), everything.max()
    margin = 0.05 * (high - low) or 1.0
    y_range = (low - margin, high + margin)

    def place(points):
        return at(points, (0, n), y_range, frame)

    for y in ticks(*y_range, at_most=2 + (bottom - top) // 40):
        pen.line(place([(0, y), (n, y)]), DARK_GREY if y == 0 else LIGHT_GREY)
        pen.text(LEFT - 6, place([(0, y)])[0, 1], f"{y:g}".replace("-", "−"), 12, "rm")
    for values, colour, width, _ in curves:
        pen.line(place(np.stack([np.arange(1, n + 1), values], axis=1)), colour, width, frame)
    pen.line(place([(step, y) for y in y_range]), DARK_GREY)
    for values, colour, _, _ in curves:
        pen.dots(place([(step, values[step - 1])]), colour, frame, 4)
    pen.box(frame)
    for i, (_, colour, width, label) in enumerate(curves):
        left = LEFT + 170 * i
        pen.line([(left, top - 12), (left + 22, top - 12)], colour, width + 1)
        pen.text(left + 28, top - 12, label, 13)


def alt(life: Life, step: int) -> str:
    """What the picture shows, in words."""
    words = "; ".join(f"{name}: {formula}" for name, formula in lines(life, step))
    return f"{life.name} over {len(life.gradients)} steps: its gradient, its steps, the weight. Step {step}: {words}"


def figure(life: Life, step: int) -> StaticImage:
    """The picture with the arithmetic, for a page without a kernel: `display(figure(biography.life, 37))`."""
    return static_picture(render(life, step, words=True), alt(life, step))


class WeightBiography(BookWidget):
    """The widget: a choice of weights and a slider through the steps.

    Controls: `weight`, `step`. `state` is the life and the step that are shown. ValueError for no lives.
    """

    def __init__(self, lives: Sequence[Life]):
        if not lives:
            raise ValueError("no weights: give at least one life")
        self.lives = {life.name: life for life in lives}
        self.weight = widgets.Dropdown(
            options=list(self.lives), description="weight", style=LABEL, layout=WIDE
        )
        self.step = whole_slider(1, 1, min(len(life.gradients) for life in lives), "step")
        self.page = widgets.HTML()
        self.image = Picture()
        super().__init__([self.weight, row(self.step)], [self.page, self.image])
        self.follow(self.recompute, self.weight, self.step)
        self.recompute()

    @property
    def life(self) -> Life:
        """The life that is shown."""
        return self.state[0]

    def new_state(self) -> tuple[Life, int]:
        life, step = self.lives[self.weight.value], self.step.value
        check(life, step)
        return life, step

    def show_state(self) -> None:
        self.page.value = page(*self.state)
        self.image.show(render(*self.state), alt(*self.state))
