"""The lens: what a model would say after each block, for every position of a text.

Three layers: `compute` (tokens and probabilities in, a frozen state out), `page` and `render` (a state in, HTML and
PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import LABEL, WIDE, row, text_field, whole_slider
from gptlib.widgets.kit.page import MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, GREY, WHITE
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import untyped, visible
from gptlib.widgets.kit.widget import BookWidget
from gptlib.widgets.surprise import ink

MAX_TOKENS, BEST = 48, 5
LEVELS = 26  # colours, 4 % of probability apart
BLUES = np.round(255 * mpl.colormaps["Blues"](np.linspace(0, 1, LEVELS))[:, :3]).astype(int)
BLUES[0] = 255

# a text -> its tokens, the probabilities [n_layer + 1, T, vocab], and the vocabulary as texts
LensOf = Callable[[str], tuple[Sequence[str], np.ndarray, Sequence[str]]]


# --- compute


@dataclass(frozen=True, eq=False)
class LensState:
    """The best guesses below each block and above the last, for what comes after each token."""

    tokens: tuple[str, ...]  # [T]
    best: tuple[tuple[tuple[tuple[str, float], ...], ...], ...]  # [depth][T], each BEST pairs of token and p
    name: str
    notes: tuple[str, ...]
    layer: int  # the chosen cell
    position: int


def compute(
    tokens: Sequence[str], p: np.ndarray, vocabulary: Sequence[str], name: str = "model"
) -> LensState:
    """The state for tokens [T] and probabilities [depth, T, vocab]; the last MAX_TOKENS tokens are kept.

    ValueError for no tokens, and for probabilities of another shape.
    """
    p = np.asarray(p)
    if not len(tokens):
        raise ValueError("the text is empty: write something to look at")
    if p.ndim != 3 or p.shape[1:] != (len(tokens), len(vocabulary)):
        raise ValueError(f"probabilities {list(p.shape)} for {len(tokens)} tokens of {len(vocabulary)} kinds")
    notes = []
    if len(tokens) > MAX_TOKENS:
        notes.append(f"The text has {len(tokens)} tokens; the last {MAX_TOKENS} are shown.")
    tokens, p = tokens[-MAX_TOKENS:], p[:, -MAX_TOKENS:]
    order = np.argsort(-p, axis=-1, kind="stable")[..., :BEST]
    best = tuple(
        tuple(
            tuple((vocabulary[token], float(p[layer, t, token])) for token in order[layer, t])
            for t in range(len(tokens))
        )
        for layer in range(len(p))
    )
    return LensState(tuple(tokens), best, name, tuple(notes), len(p) - 1, len(tokens) - 1)


def first_right(state: LensState, position: int) -> int:
    """The lowest row from which on the first guess stays the last row's: how early the answer is settled."""
    final = state.best[-1][position][0][0]
    layer = len(state.best) - 1
    while layer and state.best[layer - 1][position][0][0] == final:
        layer -= 1
    return layer


# --- words and colours of both renderings


def colour(p: float) -> tuple[int, int, int]:
    """The background for a probability: white for 0, darker blue for more."""
    return tuple(BLUES[round(min(max(p, 0.0), 1.0) * (LEVELS - 1))].tolist())


def row_name(layer: int, depth: int) -> str:
    """How a row is called: the embeddings, or the block above which it is read."""
    last = " = logits" if layer == depth - 1 else ""
    return "embeddings" if layer == 0 else f"after block {layer - 1}{last}"


def told(state: LensState, layer: int, position: int) -> str:
    """The best guesses of one cell in one line."""
    guesses = ", ".join(f"{visible(token)} {100 * p:.0f} %" for token, p in state.best[layer][position])
    return (
        f"{row_name(layer, len(state.best))}, after {visible(state.tokens[position])} ({position}): {guesses}"
    )


# --- page and render


def page(state: LensState, name: str = "lens") -> str:
    """HTML: a row for each depth, the logits on top; pointing at a cell, or choosing it, tells its five best.

    `name` is a CSS class that separates two widgets on one page.
    """
    depth, rules, rows = len(state.best), {}, []
    for layer in reversed(range(depth)):
        cells = []
        for t, guesses in enumerate(state.best[layer]):
            token, p = guesses[0]
            background = colour(p)
            key = "c" + "".join(f"{v:02x}" for v in background)
            rules[key] = f".{name} .{key}{{background:rgb{background};color:rgb{ink(background)}}}"
            chosen = " chosen" if (layer, t) == (state.layer, state.position) else ""
            tip = html.escape(told(state, layer, t))
            cells.append(f'<td class="s {key}{chosen}" data-best="{tip}">{html.escape(visible(token))}</td>')
        rows.append(f'<tr><th scope="row">{row_name(layer, depth)}</th>{"".join(cells)}</tr>')
    text = "".join(f'<th scope="col">{html.escape(visible(token))}</th>' for token in state.tokens)
    line = html.escape(told(state, state.layer, state.position))
    return f"""<style>
.{name} .lens{{{STYLE};position:relative;padding-bottom:40px}}
.{name} .scroll{{overflow-x:auto}}
.{name} table{{border-collapse:collapse;font:14px/1.5 {MONOSPACE}}}
.{name} th{{font-weight:normal;text-align:center;padding:0 3px;background:{WHITE};color:{BLACK}}}
.{name} th[scope=row]{{text-align:right;white-space:nowrap;font-size:12px}}
.{name} td{{min-width:1.1em;padding:0 3px;text-align:center;border:1px solid {WHITE};cursor:default}}
.{name} .s.chosen{{outline:2px dashed {BLACK};outline-offset:-2px}}
.{name} .s:hover{{outline:2px solid {BLACK};outline-offset:-2px}}
.{name} .told,.{name} .s:hover::after{{position:absolute;left:8px;bottom:6px;height:24px;padding:0 8px;
 box-sizing:border-box;font:13px/24px {MONOSPACE};white-space:nowrap;margin:0}}
.{name} .told{{border:1px dashed {BLACK};line-height:22px}}
.{name} .s:hover::after{{content:attr(data-best);min-width:38em;text-align:left;background:{BLACK};color:{WHITE}}}
.{name} .text th{{border-top:1px solid {GREY}}}
{chr(10).join(rules.values())}
</style><div class="lens">
<div class="scroll" tabindex="0" role="region" aria-label="the lens of {html.escape(state.name)}"><table>
{"".join(rows)}<tr class="text"><th scope="row">the text</th>{text}</tr></table></div>
<p>Each cell: the likeliest next token; the darker, the likelier. Point at a cell for its five best, or choose it above.</p>
<p class="told" role="status">{line}</p></div>"""


LEFT, TOP, LINE, FOOT = 150, 30, 24, 36


def render(state: LensState) -> bytes:
    """PNG: the same grid, with the five best of the chosen cell at the foot."""
    depth = len(state.best)
    widths = [
        max(20, *(11 * len(visible(rows[t][0][0])) + 6 for rows in state.best), 11 * len(visible(token)) + 6)
        for t, token in enumerate(state.tokens)
    ]
    edges = LEFT + np.cumsum([0, *widths])
    line = told(state, state.layer, state.position)
    width = int(max(edges[-1] + 10, 20 + Pen((1, 1)).length(line, 13)))
    pen = Pen((width, TOP + LINE * (depth + 1) + FOOT))
    pen.text(8, 15, f"{state.name}: the likeliest next token, the darker the likelier", 14)
    for place, layer in enumerate(reversed(range(depth))):
        y = TOP + LINE * place
        pen.text(LEFT - 8, y + LINE / 2, row_name(layer, depth), 12, "rm")
        for t, guesses in enumerate(state.best[layer]):
            token, p = guesses[0]
            frame = (int(edges[t]), y, int(edges[t + 1]) - 1, y + LINE - 1)
            pen.fill(frame, colour(p))
            middle = (frame[0] + frame[2]) / 2
            pen.text(middle, y + LINE / 2, visible(token), 15, "mm", ink(colour(p)), True)
            if (layer, t) == (state.layer, state.position):
                pen.box(frame, width=2)
    y = TOP + LINE * depth
    pen.line([(LEFT, y + 1), (edges[-1], y + 1)], GREY)
    pen.text(LEFT - 8, y + LINE / 2, "the text", 12, "rm")
    for t, token in enumerate(state.tokens):
        pen.text((edges[t] + edges[t + 1]) / 2, y + LINE / 2, visible(token), 15, "mm", BLACK, True)
    pen.text(8, y + LINE + FOOT / 2, line, 13)
    return pen.png(colours=None)


def alt(state: LensState) -> str:
    """What the picture shows, in words."""
    text = visible("".join(state.tokens))
    return f"{state.name} on {text}: the likeliest next token at each depth. {told(state, state.layer, state.position)}"


def figure(state: LensState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(grid.state))`."""
    return static_picture(render(state), alt(state))


# --- the widget


class LensGrid(BookWidget):
    """The widget. `models` maps a name to a callable from a text to tokens, probabilities and vocabulary.

    Controls: `model`, `text`, `depth`, `position`. ValueError as for `compute`.
    """

    def __init__(self, models: Mapping[str, LensOf], text: str):
        self.models = dict(models)
        self.model = widgets.Dropdown(
            options=list(self.models), description="model", style=LABEL, layout=WIDE | {"max_width": "408px"}
        )
        self.text = text_field(text, "text")
        self.depth = whole_slider(0, 0, 1, "row (0 is lowest)")
        self.position = whole_slider(0, 0, 1, "position")
        self.page = widgets.HTML()
        self.state = self.new_state()
        super().__init__([self.text, row(self.model), row(self.depth, self.position)], [self.page])
        self.depth.value, self.position.value = self.state.layer, self.state.position
        self.follow(self.recompute, self.model, self.text)
        self.follow(self.redraw, self.depth, self.position)
        self.redraw()

    def new_state(self) -> LensState:
        name = self.model.value
        state = compute(*self.models[name](untyped(self.text.value)), name)
        self.depth.max, self.position.max = len(state.best) - 1, len(state.tokens) - 1
        return state

    def show_state(self) -> None:
        layer = min(self.depth.value, len(self.state.best) - 1)
        position = min(self.position.value, len(self.state.tokens) - 1)
        self.state = replace(self.state, layer=layer, position=position)
        self.page.value = page(self.state, self.css_class)


def lens_of_model(model, tokenizer, lens) -> LensOf:
    """The callable for a GPT and its tokenizer; `lens` maps model and idx [1, T] to logits [depth, 1, T, vocab]."""
    vocabulary = [tokenizer.decode([token]) for token in range(tokenizer.vocab_size)]

    def read(text: str):
        import torch

        ids = tokenizer.encode(text)[-model.config.block_size :]
        if not ids:
            return (), np.zeros((1, 0, len(vocabulary))), vocabulary
        p = lens(model, torch.tensor([ids]))[:, 0].softmax(dim=-1)
        return [vocabulary[token] for token in ids], p.numpy(), vocabulary

    return read
