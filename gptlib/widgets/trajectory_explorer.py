"""The trajectory explorer: five optimizers walk down a valley of two weights, and the reader turns their knobs.

Three layers: `compute` (settings in, a frozen state out), `render` (a state in, PNG bytes out), and the widget,
which only carries values between the controls and these.
"""

from dataclasses import dataclass, replace

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage
from PIL import Image

from gptlib.widgets.kit.pen import BLACK, BLUE, GREY, ORANGE, PALE, Pen, at
from gptlib.widgets.kit.text import message_html

MINIMUM = np.array([6.0, 1.0])  # away from 0, so that weight decay has something to pull against
START = MINIMUM + [-10.0, 1.0]
CURVATURE = np.array([1.0, 100.0])
ARRIVED = 0.01  # the loss below which a walk has arrived
FAR = 1e6  # a walk that is farther away than this has diverged
MAX_STEPS = 10_000
EPS = 1e-8


@dataclass(frozen=True)
class Settings:
    """What a rule is told. `beta1` is the momentum where there is one, `beta2` the memory of squared gradients."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    bias_correction: bool = True


# the rules of chapter 09 with its settings, and which knobs each of them has
RULES = {
    "SGD": Settings(0.019),
    "momentum": Settings(0.01),
    "RMSprop": Settings(0.1, beta2=0.9),
    "Adam": Settings(0.3),
    "AdamW": Settings(0.3),
}
KNOBS = {
    "SGD": (),
    "momentum": ("beta1",),
    "RMSprop": ("beta2",),
    "Adam": ("beta1", "beta2", "bias_correction"),
    "AdamW": ("beta1", "beta2", "bias_correction"),
}


@dataclass(frozen=True, eq=False)
class Walk:
    """One rule's walk: the two weights before each step and after the last, and their losses."""

    rule: str
    settings: Settings
    weights: np.ndarray  # [steps + 1, 2]; fewer rows when it diverged
    losses: np.ndarray  # [steps + 1]
    diverged: bool

    @property
    def arrival(self) -> int | None:
        """The step from which on the loss stays below ARRIVED; None where it does not."""
        above = np.flatnonzero(~(self.losses < ARRIVED))
        step = int(above[-1]) + 1 if len(above) else 0
        return step if step < len(self.losses) and not self.diverged else None


@dataclass(frozen=True, eq=False)
class TrajectoryState:
    """What the explorer shows: a walk, how many of its steps are drawn, and another walk to compare with."""

    walk: Walk
    steps: int
    length: int  # how many steps both walks were to go
    other: Walk | None = None


def walk(rule: str, settings: Settings, steps: int = 300) -> Walk:
    """Go `steps` steps down the valley ½ (x - 6)² + 50 (y - 1)². Only AdamW's decay is decoupled.

    ValueError for an unknown rule and for settings that make no sense.
    """
    check(rule, settings, steps)
    lr, b1, b2, decay = settings.lr, settings.beta1, settings.beta2, settings.weight_decay
    # u is the way from the minimum: near it, w = MINIMUM + u would round away what keeps RMSprop restless
    u, m, v = START - MINIMUM, np.zeros(2), np.zeros(2)
    path, diverged = [u], False
    for n in range(1, steps + 1):
        g, pull = CURVATURE * u, decay * (MINIMUM + u)
        if rule == "AdamW":
            u = u - lr * pull
        else:
            g = g + pull
        if rule == "SGD":
            u = u - lr * g
        elif rule == "momentum":
            m = b1 * m + g
            u = u - lr * m
        elif rule == "RMSprop":
            v = b2 * v + (1 - b2) * g**2
            u = u - lr * g / (np.sqrt(v) + EPS)
        else:
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            corrections = (1 - b1**n, 1 - b2**n) if settings.bias_correction else (1.0, 1.0)
            u = u - lr * (m / corrections[0]) / (np.sqrt(v / corrections[1]) + EPS)
        path.append(u)
        if not np.abs(u).max() < FAR:
            diverged = True
            break
    path = np.array(path)
    return Walk(rule, settings, MINIMUM + path, 0.5 * (path**2 @ CURVATURE), diverged)


def check(rule: str, settings: Settings, steps: int) -> None:
    """ValueError that names the setting which makes no sense."""
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is none of {', '.join(RULES)}")
    if not 0 < settings.lr < np.inf:
        raise ValueError(f"lr={settings.lr} must be above 0")
    for name in ("beta1", "beta2"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must lie in [0, 1)")
    if not 0 <= settings.weight_decay < np.inf:
        raise ValueError(f"weight_decay={settings.weight_decay} must not be negative")
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps={steps} must lie between 1 and {MAX_STEPS}")


def compute(
    rule: str, settings: Settings, steps: int = 80, other: str | None = None, length: int = 300
) -> TrajectoryState:
    """A walk of `length` steps of which `steps` are drawn.

    Beside it the rule `other`, with the chapter's settings and the same weight decay.
    """
    if not 1 <= steps <= length:
        raise ValueError(f"steps={steps} must lie between 1 and {length}")
    first = walk(rule, settings, length)
    second = replace(RULES[other], weight_decay=settings.weight_decay) if other else None
    return TrajectoryState(first, steps, length, walk(other, second, length) if other else None)


def summary(walk: Walk) -> str:
    """Where the walk ended, in one line."""
    if walk.diverged:
        return f"{walk.rule} diverges: after {len(walk.losses) - 1} steps it is a million away"
    x, y = walk.weights[-1] + 0.0
    where = f"after {len(walk.losses) - 1} steps x = {x:.2f}, y = {y:.2f}"
    if walk.arrival is None:
        return f"{walk.rule}: {where}; the loss does not stay below {ARRIVED}"
    return f"{walk.rule}: {where}; the loss stays below {ARRIVED} from step {walk.arrival} on"


# The picture: the valley on the left, the losses on the right
SIZE = (940, 380)
VALLEY, LOSSES = (46, 44, 520, 300), (612, 44, 920, 300)  # left, top, right, bottom of the two frames
X, Y = (-6.5, 9.5), (-1.2, 3.2)  # the weights shown
LOG_LOSS = (-5.0, 3.0)  # powers of ten shown
LEVELS = (0.5, 5, 20, 50, 100, 200)  # of the valley's contour lines


def background() -> Pen:
    """Frames, contour lines and axes."""
    pen = Pen(SIZE)
    around = np.linspace(0, 2 * np.pi, 121)
    for level in LEVELS:
        radii = np.sqrt(2 * level / CURVATURE)
        ring = MINIMUM + radii * np.stack([np.cos(around), np.sin(around)], axis=1)
        pen.line(at(ring, X, Y, VALLEY), PALE, 1, VALLEY)
    pen.box(VALLEY), pen.box(LOSSES)
    for x in (-6, -4, -2, 0, 2, 4, 6, 8):
        pen.text(at([(x, 0)], X, Y, VALLEY)[0, 0], 313, f"{x}", anchor="mm")
    for y in (-1, 0, 1, 2, 3):
        pen.text(38, at([(0, y)], X, Y, VALLEY)[0, 1], f"{y}", anchor="rm")
    pen.text(283, 332, "weight x (flat)", anchor="mm")
    pen.text(4, 30, "weight y (steep)")
    for power in range(-4, 4, 2):
        y = at([(0, power)], (0, 1), LOG_LOSS, LOSSES)[0, 1]
        pen.text(604, y, f"{10.0**power:g}", anchor="rm")
    pen.text(560, 30, "loss")
    pen.text(766, 332, "step", anchor="mm")
    arrived = at([(0, np.log10(ARRIVED)), (1, np.log10(ARRIVED))], (0, 1), LOG_LOSS, LOSSES)
    for left in np.arange(LOSSES[0], LOSSES[2], 8):
        pen.line([(left, arrived[0, 1]), (left + 3, arrived[0, 1])], GREY)
    return pen


BACKGROUND: list[Image.Image] = []  # drawn once, when it is first needed


def render(state: TrajectoryState) -> bytes:
    """PNG: the path so far in the valley, and the losses of all steps with the drawn ones marked."""
    if not BACKGROUND:
        BACKGROUND.append(background().canvas)
    pen = Pen(SIZE)
    pen.canvas.paste(BACKGROUND[0])
    for w, colour, width in ((state.other, ORANGE, 1.2), (state.walk, BLUE, 2)):
        if w is None:
            continue
        path = at(w.weights[: state.steps + 1], X, Y, VALLEY)
        pen.line(path, colour, width, VALLEY)
        if w is state.walk:
            pen.dots(path, colour, VALLEY)
        logs = np.log10(np.clip(np.nan_to_num(w.losses, nan=np.inf), 1e-300, 1e300))
        curve = at(np.stack([np.arange(len(logs)), logs], axis=1), (0, state.length), LOG_LOSS, LOSSES)
        pen.line(curve, colour, width, LOSSES)
        pen.dots(curve[state.steps : state.steps + 1], colour, LOSSES, 5)
    now = at([(state.steps, 0)], (0, state.length), LOG_LOSS, LOSSES)[0, 0]
    pen.line([(now, LOSSES[1]), (now, LOSSES[3])], GREY)
    pen.text(LOSSES[0], 313, "0", anchor="mm")
    pen.text(LOSSES[2], 313, f"{state.length}", anchor="mm")
    for place, mark, anchor in (
        (MINIMUM, "minimum", "lb"),
        ((0, 0), "0, where decay pulls", "mt"),
        (START, "start", "lb"),
    ):
        x, y = at([place], X, Y, VALLEY)[0]
        pen.line([(x - 6, y), (x + 6, y)], BLACK, 2)
        pen.line([(x, y - 6), (x, y + 6)], BLACK, 2)
        pen.text(x + (8 if anchor == "lb" else 0), y + (-4 if anchor == "lb" else 9), mark, 12, anchor)
    pen.text(
        VALLEY[0] + 90, 30, f"{state.walk.rule}, {min(state.steps, len(state.walk.losses) - 1)} steps", 14
    )
    pen.text(8, 352, summary(state.walk), colour=BLUE)
    if state.other:
        pen.text(8, 370, f"thin: {summary(state.other)}", colour=ORANGE)
    return pen.png()


def figure(state: TrajectoryState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(explorer.state))`."""
    return StaticImage(render(state))


class TrajectoryExplorer(widgets.VBox):
    """The widget: a rule, its knobs, how many steps to draw, and a second rule to compare with.

    The controls are attributes (`rule`, `lr`, `beta1`, `beta2`, `weight_decay`, `bias_correction`, `steps`,
    `against`), and setting their `.value` does what the reader's hand does; `state` is what is shown. Choosing a
    rule sets the knobs to that rule's settings in the chapter and turns off those that it does not have.
    """

    def __init__(self, rule: str = "Adam", against: str | None = None):
        self.state = compute(rule, RULES[rule], other=against)
        style = {"description_width": "110px"}
        defaults = RULES[rule]

        def slider(value, most, step, name, digits):
            return widgets.FloatSlider(
                value, min=0, max=most, step=step, readout_format=f".{digits}f", description=name, style=style
            )

        self.rule = widgets.Dropdown(options=list(RULES), value=rule, description="rule", style=style)
        # "" stands for None, which a Dropdown takes to mean that nothing is chosen
        self.against = widgets.Dropdown(
            options=[("nothing", ""), *((name, name) for name in RULES)],
            value=against or "",
            description="compare with",
            style=style,
        )
        self.lr = widgets.FloatLogSlider(
            defaults.lr,
            min=-4,
            max=1,
            step=0.02,
            readout_format=".3g",
            description="learning rate",
            style=style,
        )
        self.beta1 = slider(defaults.beta1, 0.99, 0.01, "β1, momentum", 2)
        self.beta2 = slider(defaults.beta2, 0.999, 0.001, "β2, of squares", 3)
        self.weight_decay = slider(defaults.weight_decay, 1, 0.05, "weight decay", 2)
        self.bias_correction = widgets.Checkbox(value=True, description="bias correction", indent=False)
        self.steps = widgets.IntSlider(
            80, min=1, max=self.state.length, description="steps drawn", style=style
        )
        # without align_self a VBox stretches the picture to its own width
        self.image = widgets.Image(layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.message = widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [
                widgets.HBox([self.rule, self.against], layout=row),
                widgets.HBox([self.lr, self.steps], layout=row),
                widgets.HBox([self.beta1, self.beta2], layout=row),
                widgets.HBox([self.weight_decay, self.bias_correction], layout=row),
                self.message,
                self.image,
            ]
        )
        self.busy = False  # choosing a rule moves several knobs, and one redraw is enough
        self.rule.observe(self.choose, "value")
        for control in (self.against, self.steps, *self.knobs().values()):
            control.observe(self.redraw, "value")
        self.choose()

    def __repr__(self) -> str:
        return "TrajectoryExplorer: run this notebook to use it"

    def knobs(self) -> dict:
        """The controls that hold a setting, by its name."""
        names = ("lr", "beta1", "beta2", "weight_decay", "bias_correction")
        return {name: getattr(self, name) for name in names}

    def choose(self, change=None) -> None:
        """Set the knobs for the chosen rule; weight decay stays as it is."""
        self.busy = True
        for name, knob in self.knobs().items():
            if name != "weight_decay":
                knob.value = getattr(RULES[self.rule.value], name)
                knob.disabled = name != "lr" and name not in KNOBS[self.rule.value]
        self.busy = False
        self.redraw()

    def redraw(self, change=None) -> None:
        """Compute and draw what the controls say; a number that cannot be used leaves a message."""
        if self.busy:
            return
        settings = Settings(**{name: knob.value for name, knob in self.knobs().items()})
        try:
            self.state = compute(self.rule.value, settings, self.steps.value, self.against.value or None)
        except ValueError as error:
            self.message.value = message_html(str(error))
            return
        self.message.value, self.image.value = "", render(self.state)
