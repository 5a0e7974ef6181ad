"""The softmax playground: a few scores, a temperature, and the probabilities that follow from them.

Three layers: `compute` (numbers in, a frozen state out), `render` (a state in, PNG bytes out), and the
widget, which carries values between its controls and these functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, row, slider
from gptlib.widgets.kit.palette import BLUE, GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import visible
from gptlib.widgets.kit.widget import BookWidget, Picture

MAX_LABELS = 8
LOWEST, HIGHEST = -6.0, 6.0  # of a score's slider


@dataclass(frozen=True, eq=False)
class SoftmaxState:
    """What the playground shows. The gradient is the loss's with respect to logits / temperature."""

    labels: tuple[str, ...]
    logits: np.ndarray  # [n]
    temperature: float
    target: int
    probabilities: np.ndarray  # [n]
    gradient: np.ndarray  # [n]: p - y
    loss: float  # -ln p of the target, nats
    entropy: float  # nats
    choices: float  # e^entropy: the number of equally likely labels with this entropy


def compute(labels: Sequence[str], logits, temperature: float = 1.0, target: int = 0) -> SoftmaxState:
    """Softmax of logits / temperature, and its loss, gradient and entropy.

    ValueError for fewer than two or more than MAX_LABELS labels, scores that are not finite, a temperature
    that is not above 0, and a target that is not the index of a label.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if not 2 <= len(labels) <= MAX_LABELS or logits.shape != (len(labels),):
        raise ValueError(
            f"{len(labels)} labels, {logits.size} scores: give 2 to {MAX_LABELS}, a score for each"
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"scores {logits.tolist()} must be finite")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature={temperature} must be above 0")
    if not 0 <= target < len(labels):
        raise ValueError(f"target={target} must be the number of one of {len(labels)} labels")
    scores = logits / temperature
    scores = scores - scores.max()
    log_p = scores - np.log(np.exp(scores).sum())
    p = np.exp(log_p)
    entropy = -float(np.where(p > 0, p * log_p, 0).sum()) + 0.0  # + 0.0 turns -0.0 into 0.0
    return SoftmaxState(
        labels=tuple(labels),
        logits=logits,
        temperature=float(temperature),
        target=target,
        probabilities=p,
        gradient=p - np.eye(len(labels))[target],
        loss=-float(log_p[target]) + 0.0,
        entropy=entropy,
        choices=float(np.exp(entropy)),
    )


def summary(state: SoftmaxState) -> str:
    """Entropy and loss in one line."""
    return (
        f"entropy {state.entropy:.2f} nats, as {state.choices:.1f} equal choices; "
        f"loss of {visible(state.labels[state.target])} {state.loss:.2f} nats"
    )


ROW, TOP, WIDTH = 34, 62, 700  # pixels: a row's height, the first row's place, the picture's width
SCORES, BARS, BAR_WIDTH = 120, 190, 230
ZERO, UNIT = 580, 90  # where the gradient is 0, and the length of a gradient of 1


def render(state: SoftmaxState) -> bytes:
    """PNG: a row for each label with its score, its probability as a bar, and the gradient p - y as a bar."""
    bottom = TOP + len(state.labels) * ROW
    pen = Pen((WIDTH, bottom + 34))
    pen.text(8, 22, f"temperature T = {state.temperature:.2f}", 16)
    titles = ((SCORES, "score ÷ T", "ms"), (BARS, "probability p", "ls"), (ZERO, "gradient p − y", "ms"))
    for x, title, anchor in titles:
        pen.text(x, TOP - 10, title, 14, anchor)
    rows = zip(state.labels, state.logits, state.probabilities, state.gradient, strict=True)
    for i, (label, logit, p, gradient) in enumerate(rows):
        y = TOP + i * ROW + ROW / 2
        if i == state.target:
            pen.box((2, y - ROW / 2 + 1, WIDTH - 3, y + ROW / 2 - 2), width=2)
        pen.text(14, y, visible(label)[:6], 17, mono=True)
        pen.text(SCORES, y, f"{logit / state.temperature:.2f}", 14, "mm")
        pen.box((BARS, y - 9, BARS + BAR_WIDTH, y + 9), GREY)
        pen.fill((BARS, y - 9, BARS + BAR_WIDTH * p, y + 9), BLUE)
        pen.text(BARS + BAR_WIDTH + 6, y, f"{100 * p:.1f} %", 14)
        left, right = sorted((ZERO, ZERO + UNIT * gradient))
        pen.fill((left, y - 9, right, y + 9), VERMILLION)
        beside, anchor = (6, "lm") if gradient < 0 else (-6, "rm")  # on the side without the bar
        pen.text(ZERO + beside, y, f"{gradient:+.2f}", 14, anchor)
    pen.line([(ZERO, TOP), (ZERO, bottom)])
    pen.text(8, bottom + 17, summary(state), 14)
    return pen.png()


def alt(state: SoftmaxState) -> str:
    """What the picture shows, in words."""
    rows = zip(state.labels, state.probabilities, state.gradient, strict=True)
    parts = [f"{visible(label)}: {100 * p:.1f} %, gradient {gradient:+.2f}" for label, p, gradient in rows]
    return f"Probabilities at temperature {state.temperature:.2f}: {'; '.join(parts)}. {summary(state)}"


def figure(state: SoftmaxState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(playground.state))`."""
    return static_picture(render(state), alt(state))


class SoftmaxPlayground(BookWidget):
    """The widget: a slider for each score, one for the temperature, and the choice of the target.

    Controls: `scores` (a list), `temperature`, `target`. ValueError as for `compute`.
    """

    def __init__(self, labels: Sequence[str], logits: Sequence[float], target: int = 0):
        self.state = compute(labels, logits, target=target)
        self.scores = [
            slider(score, min(LOWEST, score), max(HIGHEST, score), 0.1, f"score of {visible(label)}")
            for label, score in zip(labels, logits, strict=True)
        ]
        self.temperature = slider(1.0, 0.1, 5, 0.1, "temperature")
        options = [(visible(label), i) for i, label in enumerate(labels)]
        self.target = widgets.Dropdown(options=options, value=target, description="what comes", style=LABEL)
        self.image = Picture()
        super().__init__([row(*self.scores), row(self.temperature, self.target)], [self.image])
        self.follow(self.recompute, *self.scores, self.temperature, self.target)
        self.redraw()

    def new_state(self) -> SoftmaxState:
        scores = [score.value for score in self.scores]
        return compute(self.state.labels, scores, self.temperature.value, self.target.value)

    def show_state(self) -> None:
        self.image.show(render(self.state), alt(self.state))
