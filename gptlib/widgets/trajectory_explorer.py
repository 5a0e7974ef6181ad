"""The trajectory explorer: five optimizers minimise a quadratic loss of two weights.

Three layers: `compute` (settings in, a frozen state out), `render` (a state in, PNG bytes out), and the
widget, which carries values between its controls and these functions.
"""

from dataclasses import dataclass, replace
from functools import cache

import ipywidgets as widgets
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, log_slider, row, slider, whole_slider
from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, LIGHT_GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen, at
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.widget import BookWidget, Picture

MINIMUM = np.array([6.0, 1.0])  # not at 0, where weight decay would change nothing
START = MINIMUM + [-10.0, 1.0]
CURVATURE = np.array([1.0, 100.0])
ARRIVED = 0.01  # a walk has arrived when its loss stays below this
FAR = 1e6  # a walk has diverged when it is farther than this from the minimum
LENGTH = 300  # steps of a walk in the explorer
MAX_STEPS = 10_000
EPS = 1e-8


@dataclass(frozen=True)
class Settings:
    """An optimizer's settings: `beta1` is the momentum, `beta2` averages the squared gradients."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    bias_correction: bool = True


# chapter 09's rules with its settings, and which settings besides lr and weight decay each of them uses
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
        """The step from which on the loss stays below ARRIVED; None when it does not."""
        above = np.flatnonzero(~(self.losses < ARRIVED))
        step = int(above[-1]) + 1 if len(above) else 0
        return step if step < len(self.losses) and not self.diverged else None


@dataclass(frozen=True, eq=False)
class TrajectoryState:
    """What the explorer shows: a walk, how many of its steps are drawn, and a second walk for comparison."""

    walk: Walk
    steps: int
    other: Walk | None = None


def walk(rule: str, settings: Settings, steps: int = LENGTH) -> Walk:
    """Minimise ½ (x - 6)² + 50 (y - 1)² with `steps` steps of a rule. Only AdamW's weight decay is decoupled.

    ValueError for an unknown rule and for settings outside their range.
    """
    check(rule, settings, steps)
    lr, b1, b2 = settings.lr, settings.beta1, settings.beta2
    # u is w - MINIMUM: with w itself, rounding near the minimum would hide RMSprop's small oscillations
    u = START - MINIMUM
    m = np.zeros(2)
    v = np.zeros(2)
    path, diverged = [u], False
    for n in range(1, steps + 1):
        g = CURVATURE * u
        decay = settings.weight_decay * (MINIMUM + u)
        if rule == "AdamW":
            u = u - lr * decay
        else:
            g = g + decay
        if rule == "SGD":
            u = u - lr * g
        elif rule == "momentum":
            m = b1 * m + g
            u = u - lr * m
        elif rule == "RMSprop":
            v = b2 * v + (1 - b2) * g**2
            u = u - lr * g / (np.sqrt(v) + EPS)
        else:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            corrections = (1 - b1**n, 1 - b2**n) if settings.bias_correction else (1.0, 1.0)
            u = u - lr * (m / corrections[0]) / (np.sqrt(v / corrections[1]) + EPS)
        path.append(u)
        if not np.abs(u).max() < FAR:
            diverged = True
            break
    path = np.array(path)
    return Walk(rule, settings, MINIMUM + path, 0.5 * (path**2 @ CURVATURE), diverged)


def check(rule: str, settings: Settings, steps: int) -> None:
    """ValueError names a setting outside its range."""
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


def compute(rule: str, settings: Settings, steps: int = 80, other: str | None = None) -> TrajectoryState:
    """A walk of LENGTH steps, of which `steps` are drawn.

    The rule `other` is compared with it: it has the chapter's settings and the same weight decay.
    """
    if not 1 <= steps <= LENGTH:
        raise ValueError(f"steps={steps} must lie between 1 and {LENGTH}")
    first = walk(rule, settings)
    if other is None:
        return TrajectoryState(first, steps)
    second = walk(other, replace(RULES[other], weight_decay=settings.weight_decay))
    return TrajectoryState(first, steps, second)


def summary(walk: Walk) -> str:
    """Where the walk ended, in one line."""
    if walk.diverged:
        return f"{walk.rule} diverges: after {len(walk.losses) - 1} steps it is a million away"
    x, y = walk.weights[-1] + 0.0  # + 0.0 turns -0.0 into 0.0
    where = f"after {len(walk.losses) - 1} steps x = {x:.2f}, y = {y:.2f}"
    if walk.arrival is None:
        return f"{walk.rule}: {where}; the loss does not stay below {ARRIVED}"
    return f"{walk.rule}: {where}; the loss stays below {ARRIVED} from step {walk.arrival} on"


# The picture: the paths over the loss's contour lines on the left, the losses on the right
SIZE = (940, 380)
VALLEY = (46, 44, 520, 300)  # the left frame: left, top, right, bottom
LOSSES = (612, 44, 920, 300)  # the right frame
X, Y = (-6.5, 9.5), (-1.2, 3.2)  # the weights shown
LOG_LOSS = (-5.0, 3.0)  # powers of ten shown
LEVELS = (0.5, 5, 20, 50, 100, 200)  # of the contour lines


@cache
def background() -> Pen:
    """Frames, contour lines and axes, which all pictures share."""
    pen = Pen(SIZE)
    around = np.linspace(0, 2 * np.pi, 121)
    for level in LEVELS:
        radii = np.sqrt(2 * level / CURVATURE)
        ring = MINIMUM + radii * np.stack([np.cos(around), np.sin(around)], axis=1)
        pen.line(at(ring, X, Y, VALLEY), LIGHT_GREY, 1, VALLEY)
    pen.box(VALLEY)
    pen.box(LOSSES)
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
    y = at([(0, np.log10(ARRIVED))], (0, 1), LOG_LOSS, LOSSES)[0, 1]
    for left in range(LOSSES[0], LOSSES[2], 8):
        pen.line([(left, y), (left + 3, y)], DARK_GREY)
    return pen


def render(state: TrajectoryState) -> bytes:
    """PNG: the drawn steps on the left; on the right all losses, with a mark at the last drawn step."""
    pen = Pen(SIZE)
    pen.canvas.paste(background().canvas)
    if state.other:
        draw_walk(pen, state.other, state, VERMILLION, 1.2)
    pen.dots(draw_walk(pen, state.walk, state, BLUE, 2), BLUE, VALLEY)
    now = at([(state.steps, 0)], (0, LENGTH), LOG_LOSS, LOSSES)[0, 0]
    pen.line([(now, LOSSES[1]), (now, LOSSES[3])], DARK_GREY)
    pen.text(LOSSES[0], 313, "0", anchor="mm")
    pen.text(LOSSES[2], 313, f"{LENGTH}", anchor="mm")
    for place, mark, anchor in (
        (MINIMUM, "minimum", "lb"),
        ((0, 0), "0, where decay pulls", "mt"),
        (START, "start", "lb"),
    ):
        x, y = at([place], X, Y, VALLEY)[0]
        pen.line([(x - 6, y), (x + 6, y)], BLACK, 2)
        pen.line([(x, y - 6), (x, y + 6)], BLACK, 2)
        pen.text(x + (8 if anchor == "lb" else 0), y + (-4 if anchor == "lb" else 9), mark, 12, anchor)
    drawn = min(state.steps, len(state.walk.losses) - 1)
    pen.text(VALLEY[0] + 90, 30, f"{state.walk.rule}, {drawn} steps", 14)
    pen.text(8, 352, summary(state.walk), colour=BLUE)
    if state.other:
        pen.text(8, 370, f"thin: {summary(state.other)}", colour=VERMILLION)
    return pen.png()


def draw_walk(pen: Pen, walk: Walk, state: TrajectoryState, colour: str, width: float) -> np.ndarray:
    """Draw the path of the first `state.steps` steps and the loss curve; returns the path in pixels."""
    path = at(walk.weights[: state.steps + 1], X, Y, VALLEY)
    pen.line(path, colour, width, VALLEY)
    logs = np.log10(np.clip(np.nan_to_num(walk.losses, nan=np.inf), 1e-300, 1e300))
    curve = at(np.stack([np.arange(len(logs)), logs], axis=1), (0, LENGTH), LOG_LOSS, LOSSES)
    pen.line(curve, colour, width, LOSSES)
    pen.dots(curve[state.steps : state.steps + 1], colour, LOSSES, 5)
    return path


def alt(state: TrajectoryState) -> str:
    """What the picture shows, in words."""
    walks = [summary(walk) for walk in (state.walk, state.other) if walk]
    return f"The first {state.steps} steps over the contour lines of the loss, and the losses. {'. '.join(walks)}"


def figure(state: TrajectoryState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(explorer.state))`."""
    return static_picture(render(state), alt(state))


class TrajectoryExplorer(BookWidget):
    """The widget: a rule, its settings, how many steps to draw, and a second rule for comparison.

    Controls: `rule`, `lr`, `beta1`, `beta2`, `weight_decay`, `bias_correction`, `steps`, `against`. Choosing
    a rule sets the chapter's settings for it and disables the settings that it does not use.
    """

    def __init__(self, rule: str = "Adam", against: str | None = None):
        settings = RULES[rule]
        self.rule = widgets.Dropdown(options=list(RULES), value=rule, description="rule", style=LABEL)
        self.against = widgets.Dropdown(
            options=[
                ("nothing", ""),
                *((name, name) for name in RULES),
            ],  # a Dropdown takes None for no choice
            value=against or "",
            description="compare with",
            style=LABEL,
        )
        self.lr = log_slider(settings.lr, -4, 1, 0.02, "learning rate")
        self.beta1 = slider(settings.beta1, 0, 0.99, 0.01, "β1, momentum")
        self.beta2 = slider(settings.beta2, 0, 0.999, 0.001, "β2, of squares")
        self.weight_decay = slider(settings.weight_decay, 0, 1, 0.05, "weight decay")
        self.bias_correction = widgets.Checkbox(value=True, description="bias correction", indent=False)
        self.steps = whole_slider(80, 1, LENGTH, "steps drawn")
        self.image = Picture()
        controls = [
            row(self.rule, self.against),
            row(self.lr, self.steps),
            row(self.beta1, self.beta2),
            row(self.weight_decay, self.bias_correction),
        ]
        super().__init__(controls, [self.image])
        self.busy = False
        self.follow(self.choose, self.rule)
        self.follow(self.recompute, self.against, self.steps, *self.knobs().values())
        self.choose()

    def knobs(self) -> dict:
        """The controls that hold a setting, by its name."""
        names = ("lr", "beta1", "beta2", "weight_decay", "bias_correction")
        return {name: getattr(self, name) for name in names}

    def choose(self, change=None) -> None:
        """Set the controls for the chosen rule; weight decay keeps its value."""
        self.busy = True  # this moves several controls, and they recompute once, after the last
        for name, knob in self.knobs().items():
            if name != "weight_decay":
                knob.value = getattr(RULES[self.rule.value], name)
                knob.disabled = name != "lr" and name not in KNOBS[self.rule.value]
        self.busy = False
        self.recompute()

    def recompute(self, change=None) -> None:
        if not self.busy:
            super().recompute()

    def new_state(self) -> TrajectoryState:
        settings = Settings(**{name: knob.value for name, knob in self.knobs().items()})
        return compute(self.rule.value, settings, self.steps.value, self.against.value or None)

    def show_state(self) -> None:
        self.image.show(render(self.state), alt(self.state))
