"""Surprise: a text whose background shows the loss of each character under a model.

Three layers: `compute` (a text and its losses in, a frozen state out), `page` and `render` (states in, HTML
and PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import torch
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, WIDE, row, text_field, whole_slider
from gptlib.widgets.kit.page import LINE as READABLE
from gptlib.widgets.kit.page import MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, GREY, PALE_GREY, WHITE, rgb
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import untyped, visible
from gptlib.widgets.kit.widget import BookWidget

MAX_CHARACTERS = 600
DARKEST = 8.0  # nats: a loss of this or more has the darkest colour
LEVELS = 33  # colours, a quarter of a nat apart
# the colour map Oranges darkens monotonically, so a grey copy shows the same order
ORANGES = np.round(255 * mpl.colormaps["Oranges"](np.linspace(0, 1, LEVELS))[:, :3]).astype(int)
ORANGES[0] = 255
UNKNOWN = rgb(PALE_GREY)  # for a character that was not predicted

# a text -> the loss of each of its characters in nats, NaN where nothing was predicted (as for the first)
LossesOf = Callable[[str], Sequence[float]]


# --- compute


@dataclass(frozen=True, eq=False)
class SurpriseState:
    """A text and its losses; `loss` is their mean over the predicted characters, NaN if there are none."""

    text: str
    losses: np.ndarray  # [len(text)], nats, NaN where nothing was predicted
    loss: float
    name: str
    notes: tuple[str, ...]  # sentences for the reader: the text was cut
    chosen: int = 0  # the place of the character whose loss is told below the text

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.loss / np.log(2)

    @property
    def perplexity(self) -> float:
        """e^loss: the number of equally likely characters with this loss."""
        return float(np.exp(self.loss))


def compute(text: str, losses: Sequence[float], name: str = "model") -> SurpriseState:
    """The state for a text and the loss of each of its characters; at most MAX_CHARACTERS are kept.

    ValueError for an empty text, a number of losses other than that of the characters, and negative losses.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if not text:
        raise ValueError("the text is empty: write something to look at")
    if losses.shape != (len(text),):
        raise ValueError(f"{losses.size} losses for {len(text)} characters: there must be one for each")
    if (losses < 0).any():
        raise ValueError(f"a loss of {np.nanmin(losses):.3f} nats: -ln p is never negative")
    notes = []
    if len(text) > MAX_CHARACTERS:
        notes.append(f"The text has {len(text)} characters; the first {MAX_CHARACTERS} are shown.")
    text, losses = text[:MAX_CHARACTERS], losses[:MAX_CHARACTERS]
    known = losses[~np.isnan(losses)]
    loss = float(known.mean()) if len(known) else float("nan")
    return SurpriseState(text, losses, loss, name, tuple(notes))


# --- colours and words of both renderings


def colour(loss: float) -> tuple[int, int, int]:
    """The background for a loss: white for 0, darker orange for more, grey for NaN."""
    if np.isnan(loss):
        return UNKNOWN
    return tuple(ORANGES[round(min(loss / DARKEST, 1) * (LEVELS - 1))].tolist())


def ink(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever has the higher contrast on the background (WCAG 2)."""
    lum = luminance(background)
    return rgb(BLACK) if (lum + 0.05) / 0.05 >= 1.05 / (lum + 0.05) else rgb(WHITE)


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance from 0 (black) to 1 (white), as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def summary(state: SurpriseState) -> str:
    """The mean loss in one line."""
    if np.isnan(state.loss):
        return f"{state.name}: nothing to predict"
    return (
        f"{state.name}: {state.loss:.2f} nats = {state.bits:.2f} bits per character, "
        f"as {state.perplexity:.1f} equal choices"
    )


def tooltip(character: str, loss: float) -> str:
    """What is told about a character."""
    if np.isnan(loss):
        return f"{visible(character)}: not predicted"
    return f"{visible(character)}: {loss:.2f} nats, p = {np.exp(-loss):.2g}"


# --- page and render


def page(state: SurpriseState, name: str = "surprise") -> str:
    """HTML: the coloured text, and below it the loss of one character: the chosen one, or, with CSS alone,
    the one that the reader points at.

    `name` is a CSS class that separates two widgets on one page.
    """
    rules, spans = {}, []
    for place, (character, loss) in enumerate(zip(state.text, state.losses, strict=True)):
        background = colour(loss)
        key = "c" + "".join(f"{v:02x}" for v in background)
        rules[key] = f".{name} .{key}{{background:rgb{background};color:rgb{ink(background)}}}"
        tip, shown = html.escape(tooltip(character, loss)), html.escape(visible(character))
        chosen = " chosen" if place == state.chosen else ""
        spans.append(f'<span class="s {key}{chosen}" data-loss="{tip}">{shown}</span>')
        if character == "\n":
            spans.append("<br>")
    scale = "".join(
        f'<span style="background:rgb{colour(n)};color:rgb{ink(colour(n))}">{n}</span>'
        for n in range(int(DARKEST) + 1)
    )
    told = html.escape(tooltip(state.text[state.chosen], float(state.losses[state.chosen])))
    return f"""<style>
.{name} .surprise{{{STYLE};position:relative}}
.{name} .text{{font:16px/1.6 {MONOSPACE};overflow-wrap:anywhere;{READABLE}}}
.{name} .s{{cursor:default}}
.{name} .s.chosen{{outline:2px dashed {BLACK}}}
.{name} .s:hover{{outline:2px solid {BLACK}}}
.{name} .told,.{name} .s:hover::after{{position:absolute;left:8px;bottom:6px;height:24px;padding:0 8px;
 box-sizing:border-box;font:13px/24px {MONOSPACE};white-space:nowrap;margin:0}}
.{name} .told{{border:1px dashed {BLACK};line-height:22px}}
.{name} .s:hover::after{{content:attr(data-loss);min-width:24em;background:{BLACK};color:{WHITE}}}
.{name} .scale{{margin-bottom:34px}}
.{name} .scale span{{display:inline-block;width:2em;text-align:center;margin-right:-1px;
 border:1px solid {GREY}}}
{chr(10).join(rules.values())}
</style><div class="surprise">
<p><b>{html.escape(summary(state))}</b></p>
<div class="text">{"".join(spans)}</div>
<p class="scale">nats: {scale} or more. Point at a character to read its loss, or choose its place.</p>
<p class="told" role="status">{told}</p></div>"""


def wrapped(state: SurpriseState, columns: int) -> list[list[tuple[str, float]]]:
    """The characters with their losses, in lines of at most `columns`, broken after each line break."""
    lines = [[]]
    for pair in zip(state.text, state.losses.tolist(), strict=True):
        if len(lines[-1]) == columns:
            lines.append([])
        lines[-1].append(pair)
        if pair[0] == "\n":
            lines.append([])
    return lines if lines[-1] else lines[:-1]


COLUMNS = 64  # letters in a line
CELL, LINE, GAP, LEFT = 12, 24, 30, 10  # pixels: a letter's width, a line's height, above a text, the margin


def render(states: Sequence[SurpriseState]) -> bytes:
    """PNG: the coloured texts one below the other, with the scale at the foot."""
    blocks = [wrapped(state, COLUMNS) for state in states]
    height = sum(len(lines) * LINE + GAP for lines in blocks) + 44
    pen = Pen((2 * LEFT + COLUMNS * CELL, height))

    def cell(x, y, width, text, loss, size, mono):
        background = colour(loss)
        pen.fill((x, y, x + width, y + LINE - 2), background)
        pen.text(x + width / 2, y + LINE / 2 - 1, text, size, "mm", ink(background), mono)

    y = 6
    for state, lines in zip(states, blocks, strict=True):
        pen.text(LEFT, y + GAP / 2 - 3, summary(state), 14)
        y += GAP - 4
        for line in lines:
            for i, (character, loss) in enumerate(line):
                shown = visible(character)
                label = shown if len(shown) == 1 else "?"  # \x07 is too wide for one cell
                cell(LEFT + i * CELL, y, CELL, label, loss, 17, True)
            y += LINE
        y += 4
    pen.text(LEFT, y + 18, "loss in nats:", 14)
    for n in range(int(DARKEST) + 1):
        cell(LEFT + 100 + 34 * n, y + 7, 34, str(n), float(n), 14, False)
    pen.text(LEFT + 106 + 34 * (DARKEST + 1), y + 18, "or more", 14)
    return pen.png(colours=None)


def alt(states: Sequence[SurpriseState]) -> str:
    """What the picture shows, in words."""
    return f"{visible(states[0].text)}, coloured by the loss of each character. {'. '.join(map(summary, states))}"


def figure(*states: SurpriseState) -> StaticImage:
    """The picture of one or several states: `display(figure(surprise.state))`."""
    return static_picture(render(states), alt(states))


# --- the widget


class Surprise(BookWidget):
    """The widget. `models` maps a name to a callable from a text to the losses of its characters.

    Controls: `model`, `text`, `place`. ValueError as for `compute`.
    """

    def __init__(self, models: Mapping[str, LossesOf], text: str):
        self.models = dict(models)
        self.model = widgets.Dropdown(
            options=list(self.models), description="model", style=LABEL, layout=WIDE | {"max_width": "408px"}
        )
        self.text = text_field(text, "text")
        self.place = whole_slider(1, 1, 1, "character")
        self.page = widgets.HTML()
        self.state = self.new_state()
        super().__init__([self.text, row(self.model, self.place)], [self.page])
        self.follow(self.recompute, self.model, self.text)
        self.follow(self.redraw, self.place)
        self.redraw()

    def new_state(self) -> SurpriseState:
        name, text = self.model.value, untyped(self.text.value)
        losses = self.models[name](text) if text else ()
        state = compute(text, losses, name)
        self.place.max = len(state.text)
        return state

    def show_state(self) -> None:
        chosen = min(self.place.value, len(self.state.text)) - 1
        self.state = replace(self.state, chosen=chosen)
        self.page.value = page(self.state, self.css_class)


# --- models


def losses_of_model(model, tokenizer) -> LossesOf:
    """The callable for a trained GPT and its character tokenizer; the first loss is NaN.

    Windows overlap by half, so that each character of a long text is predicted from at least half a window.
    """
    T = model.config.block_size

    @torch.no_grad()
    def losses_of(text: str) -> list[float]:
        ids = torch.tensor(tokenizer.encode(text), device=model.wte.weight.device)
        found = torch.full((len(ids),), float("nan"))
        for start in range(0, max(len(ids) - 1, 0), T // 2):
            part = ids[start : start + T + 1]
            log_p = model(part[None, :-1])[0].float().log_softmax(dim=-1)
            losses = -log_p.gather(-1, part[1:, None])[:, 0].cpu()
            first = 0 if start == 0 else T - T // 2  # earlier ones had more context in the last window
            found[start + 1 + first : start + 1 + len(losses)] = losses[first:]
        return found.tolist()

    return losses_of


def losses_of_ngram(table, tokenizer) -> LossesOf:
    """The callable for a fitted n-gram table and its character tokenizer; the first loss is NaN."""

    def losses_of(text: str) -> list[float]:
        ids = tokenizer.encode(text)
        return [float("nan"), *table.losses(ids)] if len(ids) > 1 else [float("nan")] * len(ids)

    return losses_of
