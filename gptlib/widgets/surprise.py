"""Surprise: a text coloured by what each of its characters cost a model that had to predict it.

Three layers: `compute` (a text and its losses in, a frozen state out), `page` and `picture` (a state in, HTML or
PNG bytes out), and the widget, which only carries values between the controls and these.
"""

import html
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
from IPython.display import Image as StaticImage
from PIL import Image, ImageDraw

from gptlib.widgets.attention_picture import font
from gptlib.widgets.kit.text import complaint, message_html, typed, untyped, visible

MAX_CHARACTERS = 600
DARKEST = 8.0  # nats: a loss of this or more gets the darkest colour
LEVELS = 33  # colours between none and the darkest: a quarter of a nat each
# Oranges gets darker all the way, so that a grey copy shows the same order
PALETTE = np.round(255 * mpl.colormaps["Oranges"](np.linspace(0, 1, LEVELS))[:, :3]).astype(int)
PALETTE[0] = 255
UNKNOWN = np.array([224, 224, 224])  # a character that nothing predicted

# a text -> the loss of each of its characters in nats, NaN where nothing was predicted (as for the first)
LossesOf = Callable[[str], Sequence[float]]


@dataclass(frozen=True, eq=False)
class SurpriseState:
    """A text and its losses; `loss` is their mean over the characters that were predicted, NaN if none was."""

    text: str
    losses: np.ndarray  # [len(text)], nats, NaN where nothing was predicted
    loss: float
    name: str
    notes: tuple[str, ...]  # what a reader has to know, such as a cut text

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.loss / np.log(2)

    @property
    def perplexity(self) -> float:
        """e^loss: among how many equally likely characters the model hesitates, on average."""
        return float(np.exp(self.loss))


def compute(text: str, losses: Sequence[float], name: str = "model") -> SurpriseState:
    """The state for a text and the loss of each of its characters; at most MAX_CHARACTERS are kept.

    ValueError for an empty text, a number of losses that is not that of the characters, and negative losses.
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


def colour(loss: float) -> tuple[int, int, int]:
    """The background for a loss: white for 0, darker orange for more, grey for NaN."""
    if np.isnan(loss):
        return tuple(UNKNOWN.tolist())
    return tuple(PALETTE[round(min(loss / DARKEST, 1) * (LEVELS - 1))].tolist())


def ink(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever stands out more from the background (contrast as WCAG 2 defines it)."""
    luminance = brightness(background)
    return (0, 0, 0) if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else (255, 255, 255)


def brightness(rgb: tuple[int, int, int]) -> float:
    """Relative luminance from 0 (black) to 1 (white)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def summary(state: SurpriseState) -> str:
    """The means in one line."""
    if np.isnan(state.loss):
        return f"{state.name}: nothing to predict"
    return (
        f"{state.name}: {state.loss:.2f} nats = {state.bits:.2f} bits per character, "
        f"as {state.perplexity:.1f} equal choices"
    )


def told(character: str, loss: float) -> str:
    """What pointing at a character tells."""
    if np.isnan(loss):
        return f"{visible(character)}: not predicted"
    return f"{visible(character)}: {loss:.2f} nats, p = {np.exp(-loss):.2g}"


def page(state: SurpriseState, name: str = "surprise") -> str:
    """HTML: the text on its colours, where pointing at a character tells its loss (CSS alone, no script).

    `name` is a class that keeps two widgets on one page apart.
    """
    rules, spans = {}, []
    for character, loss in zip(state.text, state.losses, strict=True):
        background = colour(loss)
        key = "c" + "".join(f"{v:02x}" for v in background)
        rules[key] = f".{name} .{key}{{background:rgb{background};color:rgb{ink(background)}}}"
        shown = html.escape(visible(character))
        spans.append(f'<span class="s {key}" data-loss="{html.escape(told(character, loss))}">{shown}</span>')
        if character == "\n":
            spans.append("<br>")
    scale = "".join(
        f'<span style="background:rgb{colour(n)};color:rgb{ink(colour(n))}">{n}</span>'
        for n in range(int(DARKEST) + 1)
    )
    return f"""<style>
.{name}{{background:#fff;color:#000;font-size:14px;line-height:1.4;padding:6px 8px 2.4em}}
.{name} .text{{font:16px/1.6 Menlo,Consolas,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}}
.{name} .s{{position:relative;cursor:default}}
.{name} .s:hover{{outline:2px solid #000;z-index:1}}
.{name} .s:hover::after{{content:attr(data-loss);position:absolute;left:0;top:1.7em;z-index:2;padding:1px 6px;
 background:#000;color:#fff;font-size:13px;white-space:nowrap}}
.{name} .scale span{{display:inline-block;width:2em;text-align:center;border:1px solid #999;margin-right:-1px}}
{chr(10).join(rules.values())}
</style><div class="{name}">
<p><b>{html.escape(summary(state))}</b></p>
<div class="text">{"".join(spans)}</div>
<p class="scale">nats: {scale} or more. Point at a character to read its loss.</p></div>"""


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


def picture(states: Sequence[SurpriseState], columns: int = 64) -> bytes:
    """PNG: the same colours for a page without a kernel, one block below the other, with the scale at the foot."""
    cell, height, gap, left = 12, 24, 30, 10
    blocks = [wrapped(state, columns) for state in states]
    tall = sum(len(lines) * height + gap for lines in blocks) + 44
    canvas = Image.new("RGB", (2 * left + columns * cell, tall), (255, 255, 255))
    draw, letters, words = ImageDraw.Draw(canvas), font(17, mono=True), font(14)

    def box(x, y, width, text, loss, face):
        background = colour(loss)
        draw.rectangle((x, y, x + width - 1, y + height - 3), fill=background)
        draw.text((x + width / 2, y + height / 2 - 1), text, ink(background), face, anchor="mm")

    y = 6
    for state, lines in zip(states, blocks, strict=True):
        draw.text((left, y + gap / 2 - 3), summary(state), (0, 0, 0), words, anchor="lm")
        y += gap - 4
        for line in lines:
            for i, (character, loss) in enumerate(line):
                # a label of several letters, such as \x07, would not fit
                box(
                    left + i * cell,
                    y,
                    cell,
                    visible(character) if len(visible(character)) == 1 else "?",
                    loss,
                    letters,
                )
            y += height
        y += 4
    draw.text((left, y + 18), "loss in nats:", (0, 0, 0), words, anchor="lm")
    for n in range(int(DARKEST) + 1):
        box(left + 100 + 34 * n, y + 7, 34, str(n), float(n), words)
    draw.text((left + 106 + 34 * (DARKEST + 1), y + 18), "or more", (0, 0, 0), words, anchor="lm")
    buffer = io.BytesIO()
    canvas.save(buffer, "png")
    return buffer.getvalue()


def figure(*states: SurpriseState) -> StaticImage:
    """The picture of one state, or of several below each other: `display(figure(surprise.state))`."""
    return StaticImage(picture(states))


class Surprise(widgets.VBox):
    """The widget. `models` gives each model a name, and a callable from a text to the losses of its characters.

    The controls are attributes (`model`, `text`), and setting their `.value` does what the reader's hand does;
    `state` is what is shown, `error` what went wrong, or "".
    """

    names = itertools.count()

    def __init__(self, models: Mapping[str, LossesOf], text: str):
        self.models, self.error = dict(models), ""
        first = next(iter(self.models))
        self.state = compute(text, self.models[first](text), first)
        self.model = widgets.Dropdown(options=list(self.models), value=first, description="model")
        self.text = widgets.Text(
            typed(text), description="text", continuous_update=False, layout=widgets.Layout(width="98%")
        )
        self.message, self.page = widgets.HTML(), widgets.HTML()
        self.name = f"surprise-{next(self.names)}"
        super().__init__([self.model, self.text, self.message, self.page])
        for control in (self.model, self.text):
            control.observe(self.recompute, "value")
        self.redraw()

    def __repr__(self) -> str:
        return "Surprise: run this notebook to use it"

    def recompute(self, change=None) -> None:
        """Ask the chosen model; a text that fails leaves a message and the last page."""
        name, text = self.model.value, untyped(self.text.value)
        try:
            losses = self.models[name](text) if text else ()
            self.state, self.error = compute(text, losses, name), ""
        except Exception as error:  # whatever the callable raises, the reader gets a line and not a traceback
            self.error = f"{complaint(error)}. Below is still the last text that worked."
        self.redraw()

    def redraw(self) -> None:
        """Show the state."""
        self.message.value = message_html(" ".join(filter(None, (self.error, *self.state.notes))))
        self.page.value = page(self.state, self.name)


def losses_of_ngram(table, tokenizer) -> LossesOf:
    """The callable for a fitted n-gram table and its character tokenizer: every character but the first."""

    def losses_of(text: str) -> list[float]:
        ids = tokenizer.encode(text)
        return [float("nan"), *table.losses(ids)] if len(ids) > 1 else [float("nan")] * len(ids)

    return losses_of


def losses_of_model(model, tokenizer, block_size: int) -> LossesOf:
    """The callable for a model that maps int64 [B, T] to logits, with a tokenizer of single characters.

    Texts longer than `block_size` are read in windows that overlap by half, so that after the first of them every
    character is predicted from at least block_size / 2 others.
    """
    import torch

    from gptlib.loss import log_softmax  # the widget itself needs no chapter

    @torch.no_grad()
    def losses_of(text: str) -> list[float]:
        ids = tokenizer.encode(text)
        if len(ids) != len(text):
            raise ValueError(
                f"{len(ids)} tokens for {len(text)} characters: this needs a token for each character"
            )
        losses = [float("nan")] * len(ids)
        was_training = getattr(model, "training", False)
        if was_training:
            model.eval()
        try:
            for start in range(0, max(1, len(ids) - 1), max(1, block_size // 2)):
                window = torch.tensor(ids[start : start + block_size + 1])
                if len(window) < 2:
                    break
                log_p = log_softmax(model(window[None, :-1])[0].float()).gather(-1, window[1:, None])[:, 0]
                new = (-log_p).tolist()
                kept = 0 if start == 0 else block_size - max(1, block_size // 2)
                losses[start + 1 + kept : start + 1 + len(new)] = new[kept:]
        finally:
            if was_training:
                model.train()
        return losses

    return losses_of
