"""The timeline of one training step on several GPUs: computation, communication, and how far they overlap.

Three layers: `compute` (numbers in, a frozen state out), `render` (a state in, PNG bytes out), and the
widget, which carries values between its controls and these functions.
"""

from dataclasses import dataclass

import ipywidgets as widgets
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import FIELD, LABEL, log_slider, row
from gptlib.widgets.kit.palette import GREEN, SKY_BLUE, VERMILLION
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.widget import BookWidget, Picture

LATENCY = 0.01  # milliseconds before the first byte of each step around the ring comes


@dataclass(frozen=True)
class Size:
    """What was measured of a model's step on one GPU."""

    ms: float  # a whole step without communication
    optimizer_ms: float  # the part of it in which no gradient is made
    gradient_bytes: int


@dataclass(frozen=True)
class TimelineState:
    """One step. Times in milliseconds since its beginning."""

    name: str
    n: int
    bandwidth: float  # GB/s of one GPU, in each direction
    bucket: float  # MB
    overlap: bool
    forward: tuple[float, float]  # from, to
    backward: tuple[float, float]
    messages: tuple[tuple[float, float], ...]  # of each bucket
    optimizer: tuple[float, float]
    alone: float  # a step of one GPU

    @property
    def efficiency(self) -> float:
        """How much of n GPUs' work is left: 1 where communication costs no time."""
        return self.alone / self.optimizer[1]

    @property
    def exposed(self) -> float:
        """Milliseconds in which the GPU waits for gradients."""
        return self.optimizer[0] - self.backward[1]


def message_ms(size: float, n: int, bandwidth: float) -> float:
    """How long a ring all-reduce of `size` bytes takes n GPUs with `bandwidth` GB/s."""
    return 2 * (n - 1) * (LATENCY + size / n / bandwidth / 1e6)


def compute(name: str, size: Size, n: int, bandwidth: float, bucket: float, overlap: bool) -> TimelineState:
    """The timeline. A third of the products is the forward pass; gradients appear evenly during the backward pass.

    ValueError for n below 1, and for a bandwidth or a bucket that is not above 0.
    """
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    if bandwidth <= 0 or bucket <= 0:
        raise ValueError(f"bandwidth={bandwidth} and bucket={bucket} must be above 0")
    products = size.ms - size.optimizer_ms
    forward, backward = (0.0, products / 3), (products / 3, products)
    whole = max(1, min(64, round(size.gradient_bytes / (1e6 * bucket)))) if n > 1 else 0
    messages, free = [], 0.0
    for k in range(whole):
        made = backward[0] + (backward[1] - backward[0]) * (k + 1) / whole
        start = max(free, made if overlap else backward[1])
        free = start + message_ms(size.gradient_bytes / whole, n, bandwidth)
        messages.append((start, free))
    begin = max(backward[1], free)
    optimizer = begin, begin + size.optimizer_ms
    settings = name, n, float(bandwidth), float(bucket), overlap
    return TimelineState(*settings, forward, backward, tuple(messages), optimizer, size.ms)


def summary(state: TimelineState) -> str:
    """The step's time, and what it comes to, in one line."""
    times = f"{state.optimizer[1]:.2f} ms a step, {state.exposed:.2f} of them waiting"
    return f"{times}: {state.n} GPUs do the work of {state.n * state.efficiency:.2f}"


WIDTH, LEFT, RIGHT, BAR = 760, 130, 735, 26  # pixels
ROWS = {"computation": 58, "communication": 98}


def render(state: TimelineState) -> bytes:
    """PNG: a row of what is computed, a row of what is sent."""
    pen = Pen((WIDTH, 190))
    end = state.optimizer[1]

    def place(time: float) -> float:
        return LEFT + (RIGHT - LEFT) * time / end

    pen.text(8, 22, f"{state.name} on {state.n} GPUs, {state.bandwidth:g} GB/s", 16)
    for words, y in ROWS.items():
        pen.text(8, y + BAR / 2, words, 13)
        pen.line([(LEFT, y + BAR), (RIGHT, y + BAR)])
    parts = ("forward", state.forward, GREEN), ("backward", state.backward, SKY_BLUE)
    for words, (start, stop), colour in (*parts, ("optimizer", state.optimizer, GREEN)):
        y = ROWS["computation"]
        pen.fill((place(start), y, place(stop), y + BAR), colour)
        pen.box((place(start), y, place(stop), y + BAR))
        if place(stop) - place(start) > pen.length(words, 12) + 6:
            pen.text((place(start) + place(stop)) / 2, y + BAR / 2, words, 12, "mm")
        else:
            pen.text(place(stop), y - 9, words, 12, "rm")
    for start, stop in state.messages:
        y = ROWS["communication"]
        pen.fill((place(start), y, max(place(stop), place(start) + 1), y + BAR), VERMILLION)
        pen.box((place(start), y, max(place(stop), place(start) + 1), y + BAR))
    for share in (0, 0.25, 0.5, 0.75, 1):
        pen.text(place(share * end), 140, f"{share * end:.3g} ms", 12, "mm")
    pen.text(8, 172, summary(state), 14)
    return pen.png()


def alt(state: TimelineState) -> str:
    """What the picture shows, in words."""
    how = "while the backward pass goes on" if state.overlap else "after the backward pass"
    sent = f"{len(state.messages)} messages are sent {how}" if state.messages else "nothing is sent"
    return f"Timeline of one step of {state.name}: {sent}. {summary(state)}"


def figure(state: TimelineState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(timeline.state))`."""
    return static_picture(render(state), alt(state))


class StepTimeline(BookWidget):
    """The widget: the model, the number of GPUs, their bandwidth, the bucket's size, with overlap or without.

    Controls: `size`, `n`, `bandwidth`, `bucket`, `overlap`. `sizes` maps a name to what was measured.
    """

    def __init__(self, sizes: dict[str, Size], bandwidth: float = 300.0):
        self.sizes = sizes
        self.size = widgets.Dropdown(options=list(sizes), description="model", style=LABEL, layout=FIELD)
        counts = [1, 2, 4, 8, 16, 64, 256]
        self.n = widgets.Dropdown(options=counts, value=2, description="GPUs", style=LABEL, layout=FIELD)
        self.bandwidth = log_slider(bandwidth, 0, 3, 0.05, "GB/s")
        self.bucket = log_slider(25.0, 0, 3, 0.05, "bucket, MB")
        self.overlap = widgets.Checkbox(True, description="overlap", indent=False)
        self.image = Picture()
        controls = [row(self.size, self.n), row(self.bandwidth, self.bucket, self.overlap)]
        super().__init__(controls, [self.image])
        self.follow(self.recompute, self.size, self.n, self.bandwidth, self.bucket, self.overlap)
        self.state = self.new_state()
        self.redraw()

    def new_state(self) -> TimelineState:
        name = self.size.value
        where = self.n.value, self.bandwidth.value, self.bucket.value
        return compute(name, self.sizes[name], *where, self.overlap.value)

    def show_state(self) -> None:
        self.image.show(render(self.state), alt(self.state))
