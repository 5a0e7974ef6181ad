"""The ablation board: heads are switched off by a click; the loss, a text's surprise and a sample follow.

Three layers: `compute` (losses with and without the heads in, a frozen state out), `page` and `render` (a state in,
HTML and PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, WIDE, row, text_field, whole_slider
from gptlib.widgets.kit.page import LINE as READABLE
from gptlib.widgets.kit.page import MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, GREY, LIGHT_GREY, WHITE
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import untyped, visible
from gptlib.widgets.kit.widget import BookWidget
from gptlib.widgets.surprise import ink

MOST = 4.0  # nats: a change of this or more has the darkest colour
LEVELS = 16  # colours on either side of white
PURPLES = np.round(255 * mpl.colormaps["PuOr_r"](np.linspace(0.12, 0.88, 2 * LEVELS + 1))[:, :3]).astype(int)
PURPLES[LEVELS] = 255
HOWS = ("mean", "zero", "resampled")

Head = tuple[int, int]  # layer, head


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model does with some heads switched off."""

    losses: np.ndarray  # [N]: mean loss of each window, nats
    surprises: np.ndarray  # [T]: loss of each character of the text, NaN for the first
    sample: str


# text, the heads that are off, how -> what the model does then
MeasureHeads = Callable[[str, tuple[Head, ...], str], Measured]


# --- compute


@dataclass(frozen=True, eq=False)
class BoardState:
    """A text, the heads that are off, and what that changes. `cost` is paired over the windows: mean, error."""

    text: str
    off: tuple[Head, ...]
    how: str
    loss: float
    cost: tuple[float, float]
    before: np.ndarray  # [T], nats, NaN for the first
    after: np.ndarray
    sample: str
    notes: tuple[str, ...] = ()
    chosen: int = 1

    @property
    def clear(self) -> bool:
        """Whether zero lies outside the interval of two standard errors."""
        return abs(self.cost[0]) > 2 * self.cost[1]


def compute(text: str, whole: Measured, cut: Measured, off: Sequence[Head], how: str) -> BoardState:
    """The state for a text measured with all heads and without some. ValueError for what does not fit together."""
    if len(text) < 2:
        raise ValueError("the text is too short: write at least two characters")
    for measured in (whole, cut):
        if len(measured.surprises) != len(text):
            raise ValueError(f"{len(measured.surprises)} losses for {len(text)} characters")
    if len(whole.losses) != len(cut.losses) or len(cut.losses) < 2:
        raise ValueError(f"{len(whole.losses)} and {len(cut.losses)} windows: the same ones, at least two")
    difference = np.asarray(cut.losses, dtype=float) - np.asarray(whole.losses, dtype=float)
    cost = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
    before, after = (np.asarray(m.surprises, dtype=float) for m in (whole, cut))
    return BoardState(text, tuple(off), how, float(np.mean(cut.losses)), cost, before, after, cut.sample)


# --- words and colours of both renderings


def colour(change: float) -> tuple[int, int, int]:
    """The background for a change of loss: white for none, orange for more, purple for less."""
    if np.isnan(change):
        return (255, 255, 255)
    return tuple(PURPLES[LEVELS + round(min(max(change / MOST, -1), 1) * LEVELS)].tolist())


def summary(state: BoardState) -> str:
    """What the heads that are off are worth, in one line."""
    if not state.off:
        return f"all heads are on: loss {state.loss:.3f} nats"
    mean, error = state.cost
    words = "" if state.clear else ", no clear change"
    heads = "1 head" if len(state.off) == 1 else f"{len(state.off)} heads"
    return f"{heads} off ({state.how}): loss {state.loss:.3f} nats, {mean:+.3f} ± {error:.3f}{words}"


def tooltip(state: BoardState, t: int) -> str:
    """What is told about a character."""
    character = visible(state.text[t])
    if np.isnan(state.after[t]):
        return f"{character}: not predicted"
    return f"{character}: {state.before[t]:.2f} nats with all heads, {state.after[t]:.2f} without"


# --- page and render


def page(state: BoardState, name: str = "board") -> str:
    """HTML: the cost, the text coloured by the change of each character's loss, and a sample."""
    rules, spans = {}, []
    for t, character in enumerate(state.text):
        background = colour(state.after[t] - state.before[t])
        key = "c" + "".join(f"{v:02x}" for v in background)
        rules[key] = f".{name} .{key}{{background:rgb{background};color:rgb{ink(background)}}}"
        chosen = " chosen" if t == state.chosen else ""
        tip = html.escape(tooltip(state, t))
        spans.append(
            f'<span class="s {key}{chosen}" data-loss="{tip}">{html.escape(visible(character))}</span>'
        )
        if character == "\n":
            spans.append("<br>")
    scale = "".join(
        f'<span style="background:rgb{colour(n)};color:rgb{ink(colour(n))}">{n:+d}</span>'.replace("+0", "0")
        for n in range(-4, 5)
    )
    return f"""<style>
.{name} .board{{{STYLE};position:relative}}
.{name} .text{{font:16px/1.6 {MONOSPACE};overflow-wrap:anywhere;{READABLE}}}
.{name} .s{{cursor:default}}
.{name} .s.chosen{{outline:2px dashed {BLACK}}}
.{name} .s:hover{{outline:2px solid {BLACK}}}
.{name} .place{{position:relative;padding-bottom:34px}}
.{name} .told,.{name} .place .s:hover::after{{position:absolute;left:0;bottom:2px;height:24px;padding:0 8px;
 box-sizing:border-box;font:13px/24px {MONOSPACE};white-space:nowrap;margin:0}}
.{name} .told{{border:1px dashed {BLACK};line-height:22px}}
.{name} .s:hover::after{{content:attr(data-loss);min-width:30em;background:{BLACK};color:{WHITE}}}
.{name} .scale span{{display:inline-block;width:2.4em;text-align:center;border:1px solid {GREY}}}
.{name} .sample{{border:1px solid {GREY};white-space:pre-wrap;overflow-wrap:anywhere;padding:4px 8px;{READABLE};
 font:15px/1.4 {MONOSPACE}}}
{chr(10).join(rules.values())}
</style><div class="board">
<p role="status"><b>{html.escape(summary(state))}</b></p>
<div class="place"><div class="text">{"".join(spans)}</div>
<p class="told" role="status">{html.escape(tooltip(state, state.chosen))}</p></div>
<p class="scale">change in nats: {scale} Point at a character, or choose its place.</p>
<p>It writes, beginning with the same text and seed:</p><div class="sample">{html.escape(state.sample)}</div></div>"""


COLUMNS, CELL, LINE, LEFT = 64, 12, 24, 10


def render(state: BoardState, n_layer: int, n_head: int) -> bytes:
    """PNG: the board with the heads that are off, the cost, the coloured text and the sample."""
    lines = wrapped(state.text)
    sample = wrapped(state.sample)
    board = 26 * n_layer + 34
    pen = Pen((2 * LEFT + COLUMNS * CELL, board + 34 + LINE * (len(lines) + len(sample)) + 66))
    pen.text(LEFT, 14, "heads, a row for each layer; crossed out: off", 13)
    for layer in range(n_layer):
        for head in range(n_head):
            x, y = LEFT + 44 * head, 28 + 26 * layer
            off = (layer, head) in state.off
            frame = (x, y, x + 40, y + 22)
            pen.fill(frame, LIGHT_GREY if off else WHITE)
            pen.box(frame)
            pen.text(x + 20, y + 11, f"{layer}.{head}", 13, "mm")
            if off:
                pen.line([(x, y), (x + 40, y + 22)])
                pen.line([(x, y + 22), (x + 40, y)])
    pen.text(LEFT, board + 12, summary(state), 14)
    y = board + 28
    for line in lines:
        for i, t in enumerate(line):
            background = colour(state.after[t] - state.before[t])
            frame = (LEFT + i * CELL, y, LEFT + (i + 1) * CELL, y + LINE - 2)
            pen.fill(frame, background)
            middle = (frame[0] + frame[2]) / 2
            pen.text(middle, y + LINE / 2 - 1, visible(state.text[t]), 17, "mm", ink(background), True)
        y += LINE
    pen.text(LEFT, y + 12, "change in nats:", 14)
    for place, n in enumerate(range(-4, 5)):
        left = LEFT + 120 + 40 * place
        pen.fill((left, y + 2, left + 40, y + 22), colour(n))
        pen.text(left + 20, y + 12, f"{n:+d}" if n else "0", 13, "mm", ink(colour(n)))
    pen.text(LEFT, y + 40, "it writes:", 14)
    y += 52
    for line in sample:
        pen.text(LEFT, y + LINE / 2, "".join(visible(state.sample[t]) for t in line), 17, "lm", BLACK, True)
        y += LINE
    return pen.png(colours=None)


def wrapped(text: str) -> list[list[int]]:
    """The places of the characters in lines of at most COLUMNS, broken after each line break."""
    lines = [[]]
    for place, character in enumerate(text):
        if len(lines[-1]) == COLUMNS:
            lines.append([])
        lines[-1].append(place)
        if character == "\n":
            lines.append([])
    return lines if lines[-1] else lines[:-1]


def alt(state: BoardState) -> str:
    """What the picture shows, in words."""
    off = ", ".join(f"{layer}.{head}" for layer, head in state.off) or "none"
    return (
        f"Heads that are off: {off}. {summary(state)}. The text {visible(state.text)}, coloured by the change"
    )


def figure(board) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(board))`."""
    return static_picture(render(board.state, board.n_layer, board.n_head), alt(board.state))


# --- the widget


class AblationBoard(BookWidget):
    """The widget: a button for each head. Controls: `buttons[layer, head]`, `how`, `text`, `place`.

    A measurement is kept, so that switching a head on again takes no time.
    """

    def __init__(self, measure: MeasureHeads, n_layer: int, n_head: int, text: str):
        self.measure, self.n_layer, self.n_head, self.kept = measure, n_layer, n_head, {}
        self.how = widgets.Dropdown(
            options=HOWS, description="replaced by", style=LABEL, layout=WIDE | {"max_width": "260px"}
        )
        self.text = text_field(text, "text")
        self.place = whole_slider(2, 1, max(2, len(text)), "character")
        self.buttons = {
            (layer, head): widgets.ToggleButton(
                value=True,
                description=f"{layer}.{head}",
                tooltip=f"head {head} of layer {layer}: pressed is on",
                layout=widgets.Layout(width="64px"),
            )
            for layer in range(n_layer)
            for head in range(n_head)
        }
        self.all_on = widgets.Button(description="All on", layout=widgets.Layout(width="90px"))
        self.page = widgets.HTML()
        rows = [row(*(self.buttons[layer, head] for head in range(n_head))) for layer in range(n_layer)]
        legend = widgets.HTML("heads, a row for each layer; a pressed button is a head that is on")
        controls = [self.text, legend, *rows, row(self.all_on, self.how, self.place)]
        self.state = self.new_state()
        super().__init__(controls, [self.page])
        self.all_on.on_click(self.switch_on)
        self.follow(self.recompute, self.text, self.how, *self.buttons.values())
        self.follow(self.redraw, self.place)
        self.redraw()

    @property
    def off(self) -> tuple[Head, ...]:
        """The heads that are off."""
        return tuple(head for head, button in self.buttons.items() if not button.value)

    def switch_on(self, button=None) -> None:
        """All heads are on again."""
        for button in self.buttons.values():
            if not button.value:
                button.value = True

    def measured(self, text: str, off: tuple[Head, ...], how: str) -> Measured:
        """The measurement, made once."""
        key = text, off, how if off else ""
        if key not in self.kept:
            self.kept[key] = self.measure(text, off, how)
        return self.kept[key]

    def new_state(self) -> BoardState:
        text, how = untyped(self.text.value), self.how.value
        if len(text) < 2:
            raise ValueError("the text is too short: write at least two characters")
        whole, cut = self.measured(text, (), how), self.measured(text, self.off, how)
        state = compute(text, whole, cut, self.off, how)
        self.place.max = len(text)
        return state

    def show_state(self) -> None:
        chosen = min(self.place.value, len(self.state.text)) - 1
        self.state = replace(self.state, chosen=chosen)
        self.page.value = page(self.state, self.css_class)
