"""The board of chapter 16: switches, and what was measured with them on.

Three layers: `compute` (recorded runs and switches in, a frozen state out), `render` (a state in, PNG bytes out),
and the widget.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import ipywidgets as widgets
from IPython.display import Image as StaticImage

from gptlib.board import Effect, effect
from gptlib.widgets.kit.controls import LABEL, row
from gptlib.widgets.kit.palette import BLACK, BLUE, GREY, LIGHT_GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.widget import BookWidget, Picture

SWITCHES = (
    "RoPE",
    "RMSNorm",
    "QK-norm",
    "SwiGLU",
    "no biases",
    "untied head",
    "soft-cap",
    "grouped queries",
    "shortcuts",
)
SIZES = {"10.8 million weights": "board", "3.5 million weights": "small"}


@dataclass(frozen=True)
class BoardState:
    """What the widget shows."""

    on: tuple[str, ...]  # the switches that are on
    part: str
    name: str | None  # the row of the board; None where this combination was not run
    found: Effect | None  # against the base; None where it was not run, and for the base itself
    singles: dict[str, Effect]  # of the switches that are on, each by itself


def row_named(on: Iterable[str]) -> str | None:
    """The board's name for a combination of switches; None where it has no such row."""
    on, off = [s for s in SWITCHES if s in set(on)], [s for s in SWITCHES if s not in set(on)]
    if len(on) < 2:
        return on[0] if on else "base"
    if len(off) < 2:
        return f"all but {off[0]}" if off else "all"
    return None


def compute(runs: list[dict], on: Iterable[str], part: str = "board") -> BoardState:
    """What was measured for these switches. ValueError for a switch that there is not."""
    on = tuple(on)
    if unknown := set(on) - set(SWITCHES):
        raise ValueError(f"{min(unknown)!r} is no switch: choose from {', '.join(SWITCHES)}")
    name = row_named(on)
    found = effect(runs, part, name) if name not in (None, "base") else None
    singles = {s: e for s in SWITCHES if s in on and (e := effect(runs, part, s))}
    return BoardState(tuple(s for s in SWITCHES if s in on), part, name, found, singles)


def summary(state: BoardState) -> str:
    """The state in one line."""
    if state.name == "base":
        return "all off: the base, GPT-2's block"
    if state.found:
        found = state.found
        return f"{state.name}: {found.mean:+.4f} ± {found.half:.4f} nats, {found.pairs} pairs"
    total = sum(e.mean for e in state.singles.values())
    return f"{len(state.on)} on: not run. Were the effects independent, they would sum to {total:+.4f}"


WIDTH, TOP, ROW = 700, 56, 26
ZERO, NATS = 420, 3000.0  # where no effect lies, and pixels for a nat


def render(state: BoardState) -> bytes:
    """PNG: a bar with its interval for each switch that is on, and for the combination where it was run."""
    bars = [*state.singles.items()]
    if state.found and len(state.on) > 1:
        bars.append((state.name, state.found))
    pen = Pen((WIDTH, TOP + ROW * max(1, len(bars)) + 40))
    pen.text(8, 18, summary(state), 15)
    bottom = TOP + ROW * max(1, len(bars))
    for tick in (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06):
        x = ZERO + NATS * tick
        pen.line([(x, TOP - 6), (x, bottom)], BLACK if tick == 0 else LIGHT_GREY)
        pen.text(x, bottom + 12, f"{tick:+.2f}" if tick else "0", 13, "mm")
    for i, (name, found) in enumerate(bars):
        y = TOP + ROW * i + ROW / 2
        pen.text(8, y, name, 14)
        colour = (BLUE, GREY, VERMILLION)[found.sign + 1]
        at, low, high = (clip(v) for v in (found.mean, found.mean - found.half, found.mean + found.half))
        pen.fill((min(ZERO, at), y - 7, max(ZERO, at), y + 7), colour)
        pen.line([(low, y), (high, y)], BLACK, 1.5)
    pen.text(ZERO, bottom + 30, "nats against the base; left is better", 13, "mm")
    return pen.png()


def clip(nats: float) -> float:
    """Where an effect lies on the page, at most at its edge."""
    return min(WIDTH - 4, max(230, ZERO + NATS * nats))


def alt(state: BoardState) -> str:
    """What the picture shows, in words."""
    parts = [f"{name} {e.mean:+.4f} ± {e.half:.4f}" for name, e in state.singles.items()]
    return f"{summary(state)}. Each by itself: {'; '.join(parts) or 'none is on'}"


def figure(state: BoardState) -> StaticImage:
    """The picture for a page without a kernel."""
    return static_picture(render(state), alt(state))


class SinceBoard(BookWidget):
    """The widget: a box for each switch in `boxes`, and the size in `part`. `runs`: as `read_runs` gives them."""

    def __init__(self, runs: list[dict]):
        self.runs = runs
        self.boxes = {
            name: widgets.Checkbox(name == "RoPE", description=name, indent=False) for name in SWITCHES
        }
        self.part = widgets.Dropdown(options=list(SIZES.items()), description="size", style=LABEL)
        self.image = Picture()
        self.state = self.new_state()
        super().__init__([row(*self.boxes.values()), row(self.part)], [self.image])
        self.follow(self.recompute, *self.boxes.values(), self.part)
        self.redraw()

    def new_state(self) -> BoardState:
        return compute(self.runs, [name for name, box in self.boxes.items() if box.value], self.part.value)

    def show_state(self) -> None:
        self.image.show(render(self.state), alt(self.state))
