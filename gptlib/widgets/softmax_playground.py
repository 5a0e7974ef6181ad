"""The softmax playground: a handful of scores, a temperature, and the probabilities they make.

Three layers: `compute` (numbers in, a frozen state out), `render` (a state in, PNG bytes out), and the widget,
which only carries values between the controls and these.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage
from PIL import Image, ImageDraw

from gptlib.widgets.attention_picture import font
from gptlib.widgets.kit.text import message_html, visible

MAX_LABELS = 8
LOWEST, HIGHEST = -6.0, 6.0  # of a score's slider
WHITE, BLACK, PALE, BLUE, ORANGE = (255, 255, 255), (0, 0, 0), (170, 170, 170), (0, 114, 178), (213, 94, 0)


@dataclass(frozen=True, eq=False)
class SoftmaxState:
    """What the playground shows. The gradient is that of the target's loss with respect to logits / temperature."""

    labels: tuple[str, ...]
    logits: np.ndarray  # [n]
    temperature: float
    target: int
    probabilities: np.ndarray  # [n]
    gradient: np.ndarray  # [n]: p - y
    loss: float  # -ln p of the target, nats
    entropy: float  # nats
    choices: float  # e^entropy: among how many equally likely labels it hesitates


def compute(labels: Sequence[str], logits, temperature: float = 1.0, target: int = 0) -> SoftmaxState:
    """Softmax of logits / temperature and what follows from it.

    ValueError for fewer than two or more than MAX_LABELS labels, scores that are not finite, a temperature that is
    not above 0, and a target that is no label's number.
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
    entropy = -float(np.where(p > 0, p * log_p, 0).sum()) + 0.0  # + 0.0: never "-0.00"
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
    """The numbers in one line."""
    return (
        f"entropy {state.entropy:.2f} nats, as {state.choices:.1f} equal choices; "
        f"loss of {visible(state.labels[state.target])} {state.loss:.2f} nats"
    )


def render(state: SoftmaxState) -> bytes:
    """PNG: a row for each label with its score, its probability as a bar, and the gradient p - y as a bar."""
    row, top, width = 34, 62, 700
    n = len(state.labels)
    canvas = Image.new("RGB", (width, top + n * row + 34), WHITE)
    draw = ImageDraw.Draw(canvas)
    bars, bar_width, zero, half = 190, 230, 580, 90  # the probabilities' bars; the gradients' zero line
    for x, title, anchor in (
        (120, "score ÷ T", "ms"),
        (bars, "probability p", "ls"),
        (zero, "gradient p − y", "ms"),
    ):
        draw.text((x, top - 10), title, BLACK, font(14), anchor=anchor)
    draw.text((8, 22), f"temperature T = {state.temperature:.2f}", BLACK, font(16), anchor="lm")
    rows = zip(state.labels, state.logits, state.probabilities, state.gradient, strict=True)
    for i, (label, logit, p, slope) in enumerate(rows):
        y = top + i * row + row / 2
        if i == state.target:
            draw.rectangle((2, y - row / 2 + 1, width - 3, y + row / 2 - 2), outline=BLACK, width=2)
        draw.text((14, y), visible(label)[:6], BLACK, font(17, mono=True), anchor="lm")
        draw.text((120, y), f"{logit / state.temperature:.2f}", BLACK, font(14), anchor="mm")
        draw.rectangle((bars, y - 9, bars + bar_width, y + 9), outline=PALE)
        draw.rectangle((bars, y - 9, bars + round(bar_width * p), y + 9), fill=BLUE)
        draw.text((bars + bar_width + 6, y), f"{100 * p:.1f} %", BLACK, font(14), anchor="lm")
        left, right = sorted((zero, zero + round(half * slope)))
        draw.rectangle((left, y - 9, right, y + 9), fill=ORANGE)
        # the number stands on the side where there is no bar
        draw.text(
            (zero + (6 if slope < 0 else -6), y),
            f"{slope:+.2f}",
            BLACK,
            font(14),
            anchor="lm" if slope < 0 else "rm",
        )
    draw.line((zero, top, zero, top + n * row), fill=BLACK)
    draw.text((8, top + n * row + 17), summary(state), BLACK, font(14), anchor="lm")
    buffer = io.BytesIO()
    canvas.save(buffer, "png")
    return buffer.getvalue()


def figure(state: SoftmaxState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(playground.state))`."""
    return StaticImage(render(state))


class SoftmaxPlayground(widgets.VBox):
    """The widget: a slider for each score, one for the temperature, and the choice of the label that comes.

    The controls are attributes (`scores`, a list; `temperature`; `target`), and setting their `.value` does what
    the reader's hand does; `state` is what is shown. ValueError as for `compute`.
    """

    def __init__(self, labels: Sequence[str], logits: Sequence[float], temperature=1.0, target: int = 0):
        self.state = compute(labels, logits, temperature, target)
        style = {"description_width": "100px"}
        self.scores = [
            widgets.FloatSlider(
                float(score),
                min=min(LOWEST, float(score)),
                max=max(HIGHEST, float(score)),
                step=0.1,
                readout_format=".1f",
                description=f"score of {visible(label)}",
                style=style,
            )
            for label, score in zip(labels, logits, strict=True)
        ]
        self.temperature = widgets.FloatSlider(
            temperature,
            min=0.1,
            max=5,
            step=0.1,
            readout_format=".1f",
            description="temperature",
            style=style,
        )
        options = [(visible(label), i) for i, label in enumerate(labels)]
        self.target = widgets.Dropdown(options=options, value=target, description="what comes", style=style)
        # without align_self a VBox stretches the picture to its own width
        self.image = widgets.Image(layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.message = widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [
                widgets.HBox(self.scores, layout=row),
                widgets.HBox([self.temperature, self.target], layout=row),
                self.message,
                self.image,
            ]
        )
        for control in (*self.scores, self.temperature, self.target):
            control.observe(self.redraw, "value")
        self.redraw()

    def __repr__(self) -> str:
        return "SoftmaxPlayground: run this notebook to use it"

    def redraw(self, change=None) -> None:
        """Compute and draw what the controls say; a number that cannot be used leaves a message."""
        values = [slider.value for slider in self.scores]
        try:
            self.state = compute(self.state.labels, values, self.temperature.value, self.target.value)
        except ValueError as error:
            self.message.value = message_html(str(error))
            return
        self.message.value, self.image.value = "", render(self.state)
