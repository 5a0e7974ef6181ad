"""The biography of one weight: every number of AdamW's arithmetic, at any of its recorded steps.

Three layers: `compute` (recorded gradients in, a frozen life out), `page` and `render` (a life and a step in, HTML
and PNG bytes out), and the widget, which only carries values between the controls and these.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.pen import BLACK, BLUE, GREY, ORANGE, SOFT, Pen, at
from gptlib.widgets.kit.text import message_html


@dataclass(frozen=True, eq=False)
class Life:
    """One weight under AdamW. Row n - 1 of the arrays belongs to step n; `weights` has the first weight in front."""

    name: str
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    gradients: np.ndarray  # [n]
    m: np.ndarray  # [n]: running mean of the gradients, not corrected
    v: np.ndarray  # [n]: running mean of their squares, not corrected
    mean: np.ndarray  # [n]: m, corrected
    size: np.ndarray  # [n]: the root of v, corrected
    steps: np.ndarray  # [n]: what the gradients move the weight by
    decays: np.ndarray  # [n]: what the decay moves it by
    weights: np.ndarray  # [n + 1]


def compute(
    name: str,
    gradients: Sequence[float],
    weight: float,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    eps: float = 1e-8,
) -> Life:
    """The life of a weight that meets these gradients. ValueError when there are none, or one is not finite."""
    gradients = np.asarray(gradients, dtype=np.float64)
    if gradients.ndim != 1 or len(gradients) == 0:
        raise ValueError(f"gradients of shape {gradients.shape}: give one number for each step")
    if not np.isfinite(gradients).all() or not np.isfinite(weight):
        raise ValueError("the gradients and the weight must be finite")
    m = v = 0.0
    rows, weights = [], [float(weight)]
    for n, g in enumerate(gradients, start=1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        mean, size = m / (1 - betas[0] ** n), np.sqrt(v / (1 - betas[1] ** n))
        step, decay = -lr * mean / (size + eps), -lr * weight_decay * weights[-1]
        weights.append(weights[-1] + step + decay)
        rows.append((m, v, mean, size, step, decay))
    columns = np.array(rows).T
    return Life(name, lr, tuple(betas), weight_decay, gradients, *columns, np.array(weights))


def number(x: float) -> str:
    """Three digits, with a minus sign as wide as a plus: 0.00123 is "0.00123", -1.5e-7 is "−1.5e−07"."""
    return f"{x:.3g}".replace("-", "−")


def lines(life: Life, step: int) -> list[tuple[str, str]]:
    """What happens at a step (1, 2, …), in order: a name, and the arithmetic with its numbers."""
    check(life, step)
    i = step - 1
    b1, b2 = life.betas
    before_m, before_v = (life.m[i - 1], life.v[i - 1]) if i else (0.0, 0.0)
    g, m, v, mean, size = (number(a[i]) for a in (life.gradients, life.m, life.v, life.mean, life.size))
    agreement = abs(life.steps[i]) / life.lr
    return [
        ("gradient", f"g = {g}"),
        ("mean", f"m ← {b1:g} · {number(before_m)} + {1 - b1:.4g} · {g} = {m}"),
        (
            "mean square",
            f"v ← {b2:g} · {number(before_v)} + {1 - b2:.4g} · {number(life.gradients[i] ** 2)} = {v}",
        ),
        (
            "corrected",
            f"m̂ = {m} / {number(1 - b1**step)} = {mean}     √v̂ = √({v} / {number(1 - b2**step)}) = {size}",
        ),
        ("step", f"−{life.lr:g} · {mean} / {size} = {number(life.steps[i])}     ({agreement:.0%} of lr)"),
        (
            "decay",
            f"−{life.lr:g} · {life.weight_decay:g} · {number(life.weights[i])} = {number(life.decays[i])}",
        ),
        (
            "weight",
            f"{life.weights[i]:.5f} → {life.weights[i + 1]:.5f}".replace("-", "−"),
        ),
    ]


def check(life: Life, step: int) -> None:
    """ValueError for a step outside the life."""
    if not 1 <= step <= len(life.gradients):
        raise ValueError(f"step={step} must lie between 1 and {len(life.gradients)}")


def page(life: Life, step: int) -> str:
    """HTML: the arithmetic of one step, a row for each line."""
    rows = "".join(
        f'<tr><th style="text-align:left;padding:1px 14px 1px 0">{html.escape(name)}</th>'
        f'<td style="white-space:pre-wrap;text-align:left">{html.escape(words)}</td></tr>'
        for name, words in lines(life, step)
    )
    style = "background:#fff;color:#000;font:14px/1.5 Menlo,Consolas,'DejaVu Sans Mono',monospace"
    return f'<div style="{style};padding:6px 8px"><b>Step {step} of {html.escape(life.name)}</b><table>{rows}</table></div>'


SIZE = (900, 430)
LEFT, RIGHT = 84, 880
STRIPS = {"gradient": (34, 174), "step and decay": (206, 296), "weight": (328, 388)}  # top and bottom


def render(life: Life, step: int, words: bool = False) -> bytes:
    """PNG: gradient, mean and usual size; step and decay; the weight; over all steps, the chosen one marked.

    With `words`, the arithmetic of the chosen step stands below.
    """
    check(life, step)
    n = len(life.gradients)
    told = lines(life, step) if words else []
    pen, x = Pen((SIZE[0], SIZE[1] + 21 * len(told))), np.arange(1, n + 1)
    curves = {
        "gradient": [
            (life.gradients, SOFT, 1, "gradient g"),
            (life.size, ORANGE, 1.5, "usual size √v̂"),
            (life.mean, BLUE, 2, "mean m̂"),
        ],
        "step and decay": [(life.steps, BLUE, 1.5, "step"), (life.decays, BLACK, 1.5, "decay")],
        "weight": [(life.weights[1:], BLACK, 1.5, "weight")],
    }
    for title, (top, bottom) in STRIPS.items():
        frame = (LEFT, top, RIGHT, bottom)
        values = np.concatenate([c[0] for c in curves[title]])
        low, high = values.min(), values.max()
        room = 0.05 * (high - low) or 1.0
        y_range = low - room, high + room
        if y_range[0] < 0 < y_range[1]:
            pen.line(at([(0, 0), (n, 0)], (0, n), y_range, frame), GREY)
        for values, colour, width, _ in curves[title]:
            pen.line(at(np.stack([x, values], axis=1), (0, n), y_range, frame), colour, width, frame)
        now = [(step, c[0][step - 1]) for c in curves[title]]
        pen.line(at([(step, y_range[0]), (step, y_range[1])], (0, n), y_range, frame), GREY)
        for point, (_, colour, _, _) in zip(now, curves[title], strict=True):
            pen.dots(at([point], (0, n), y_range, frame), colour, frame, 4)
        pen.box(frame)
        for value, place in ((low, bottom - 8), (high, top + 8)):
            pen.text(LEFT - 6, place, number(value), 12, "rm")
        left = LEFT
        for _, colour, width, label in curves[title]:
            pen.line([(left, top - 12), (left + 22, top - 12)], colour, width + 1)
            pen.text(left + 28, top - 12, label, 13)
            left += 170
    for label in range(0, n + 1, max(1, n // 4)):
        pen.text(LEFT + (RIGHT - LEFT) * label / n, 402, f"{label}", 12, "mm")
    pen.text((LEFT + RIGHT) / 2, 419, f"step of {life.name}; marked: step {step}", 13, "mm")
    for i, (name, arithmetic) in enumerate(told):
        pen.text(8, 442 + 21 * i, name, 13)
        pen.text(110, 442 + 21 * i, arithmetic, 13)
    return pen.png()


def figure(life: Life, step: int) -> StaticImage:
    """The picture with the words, for a page without a kernel: `display(figure(biography.life, 37))`."""
    return StaticImage(render(life, step, words=True))


class WeightBiography(widgets.VBox):
    """The widget: which weight, and a slider through its steps (also with the arrow keys).

    The controls are attributes (`weight`, `step`), and setting their `.value` does what the reader's hand does;
    `life` is the life that is shown.
    """

    def __init__(self, lives: Sequence[Life]):
        if not lives:
            raise ValueError("no weights: give at least one life")
        self.lives = {life.name: life for life in lives}
        self.life = lives[0]
        wide = widgets.Layout(width="98%", max_width="900px")
        self.weight = widgets.Dropdown(
            options=list(self.lives), value=self.life.name, description="weight", layout=wide
        )
        self.step = widgets.IntSlider(
            1, min=1, max=min(len(life.gradients) for life in lives), description="step", layout=wide
        )
        # without align_self a VBox stretches the picture to its own width
        self.image = widgets.Image(layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.message, self.page = widgets.HTML(), widgets.HTML()
        super().__init__([self.weight, self.step, self.message, self.page, self.image])
        for control in (self.weight, self.step):
            control.observe(self.redraw, "value")
        self.redraw()

    def __repr__(self) -> str:
        return "WeightBiography: run this notebook to use it"

    def redraw(self, change=None) -> None:
        """Show the chosen weight at the chosen step; a step that cannot be shown leaves a message."""
        self.life = self.lives[self.weight.value]
        try:
            words, picture = page(self.life, self.step.value), render(self.life, self.step.value)
        except ValueError as error:
            self.message.value = message_html(str(error))
            return
        self.message.value, self.page.value, self.image.value = "", words, picture
