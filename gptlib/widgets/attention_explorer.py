"""The attention explorer: which keys each query looks at, in every head, for a prompt that the reader edits.

Three layers: `compute` (tokens and weights in, a frozen state out), `render` and `page` (a state in, PNG
bytes and HTML out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import torch
from IPython.display import Image as StaticImage
from PIL import Image, ImageDraw

from gptlib.widgets.kit.controls import row, text_field
from gptlib.widgets.kit.page import MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, GREY, LIGHT_GREY, ORANGE, VERMILLION, WHITE, rgb
from gptlib.widgets.kit.picture import font, png
from gptlib.widgets.kit.text import untyped, visible
from gptlib.widgets.kit.widget import BookWidget, Picture

MAX_TOKENS = 64

# (text, causal) -> the text's tokens, and the weights [n_layer, n_head, T, T] of the first T of them
WeightsOf = Callable[[str, bool], tuple[list[str], np.ndarray]]


# --- compute


@dataclass(frozen=True, eq=False)
class AttentionState:
    """What the explorer shows. weights[l, h, t, s]: query t's weight for key s in head h of layer l."""

    tokens: tuple[str, ...]
    weights: np.ndarray  # [n_layer, n_head, T, T]
    uniform: np.ndarray  # [T, T]: equal weights for all allowed keys, 0 for the others
    entropy: np.ndarray  # [n_layer, n_head], bits, mean over queries
    distance: np.ndarray  # [n_layer, n_head], tokens between query and key, mean over queries
    uniform_entropy: float
    uniform_distance: float
    notes: tuple[str, ...]  # sentences for the reader: the prompt was cut, the mask is off, the mask leaks
    layer: int = 0
    head: int = 0
    against_uniform: bool = False  # show each weight divided by the uniform weight


def entropy_in_bits(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries of -Σ w log₂ w: [..., T, T] -> [...]. n equal weights have log₂ n bits."""
    logs = np.log2(np.where(weights > 0, weights, 1))
    return -(weights * logs).sum(-1).mean(-1)


def mean_distance(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries t of Σ w |t - s|, in tokens: [..., T, T] -> [...]."""
    position = np.arange(weights.shape[-1])
    return (weights * abs(position[:, None] - position)).sum(-1).mean(-1)


def compute(tokens: Sequence[str], weights, causal: bool = True) -> AttentionState:
    """The state for `weights` [n_layer, n_head, T, T] of the first T tokens; at most MAX_TOKENS are kept.

    ValueError when the shape is another one, a token is missing, or the weights of a query do not sum to 1.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 4 or weights.shape[-1] != weights.shape[-2]:
        raise ValueError(f"weights of shape {list(weights.shape)}: expected [n_layer, n_head, T, T]")
    T = min(weights.shape[-1], MAX_TOKENS)
    if not 1 <= T <= len(tokens):
        raise ValueError(
            f"weights for {T} positions and {len(tokens)} tokens: there must be a token for each"
        )
    weights = weights[:, :, :T, :T]
    sums = weights.sum(-1).ravel()
    if not np.allclose(sums, 1, atol=1e-3):  # false for NaN too
        worst = sums[np.argmax(abs(sums - 1))]
        raise ValueError(
            f"a query's weights must sum to 1 over the first {T} keys; one row sums to {worst:.3f}"
        )
    allowed = np.tri(T) if causal else np.ones((T, T))
    uniform = allowed / allowed.sum(-1, keepdims=True)
    notes = []
    if len(tokens) > T:
        notes.append(f"The prompt has {len(tokens)} tokens; the first {T} are shown.")
    if not causal:
        notes.append(
            "The mask is off: each query sees the whole prompt, which the model was never trained for."
        )
    leak = (weights * (allowed == 0)).sum(-1).max()
    if leak > 0:
        notes.append(
            f"The mask leaks: a query gives {100 * leak:.2g} % of its weight to keys that come after it."
        )
    return AttentionState(
        tokens=tuple(tokens[:T]),
        weights=weights,
        uniform=uniform,
        entropy=entropy_in_bits(weights),
        distance=mean_distance(weights),
        uniform_entropy=float(entropy_in_bits(uniform)),
        uniform_distance=float(mean_distance(uniform)),
        notes=tuple(notes),
    )


def shade(state: AttentionState) -> np.ndarray:
    """Brightness from 0 to 1 for each weight, NaN where the mask hides the key: [n_layer, n_head, T, T].

    The brightness is the root of the weight, which separates small weights from 0. Against uniform it is 1/2
    for the uniform weight and 1/6 more for each doubling.
    """
    if state.against_uniform:
        with np.errstate(divide="ignore", invalid="ignore"):
            brightness = (0.5 + np.log2(state.weights / state.uniform) / 6).clip(0, 1)
    else:
        brightness = np.sqrt(state.weights).clip(0, 1)
    return np.where((state.uniform > 0) | (state.weights > 0), brightness, np.nan)


# --- render: all heads as small tiles, and the chosen head as a matrix with its tokens

# Pillow draws these pictures, because matplotlib needs 0.25 s for the tick labels of 64 tokens.
# One byte a pixel: cividis, greys for the letters' soft edges and the hatching, and the chosen tile's frame.
CIVIDIS = np.round(255 * mpl.colormaps["cividis"](np.linspace(0, 1, 239))[:, :3]).astype(np.uint8)
GREYS = np.arange(0, 256, 17, dtype=np.uint8)[:, None].repeat(3, axis=1)
PALETTE = Image.new("P", (1, 1))
PALETTE.putpalette(np.concatenate([CIVIDIS, GREYS, [rgb(VERMILLION)]]).astype(np.uint8).tobytes())
MOSAIC_SIDE = 384  # pixels, about
MATRIX_SIDE = 400  # pixels, about
LONGEST_LABEL = 10  # characters
WEIGHT_MARKS = [(w**0.5, f"{100 * w:.0f} %") for w in (0, 0.01, 0.05, 0.2, 0.5, 1)]
RATIO_MARKS = [(i / 6, f"{ratio} ×") for i, ratio in enumerate(("1/8", "1/4", "1/2", "1", "2", "4", "8"))]


def render(state: AttentionState) -> bytes:
    """PNG: all heads, and the chosen head with its tokens. A model with a single head has no tiles."""
    quantity = "weight ÷ uniform weight" if state.against_uniform else "weight of each key"
    title = f"Layer {state.layer}, head {state.head}: {quantity}"
    shades = shade(state)
    canvas = matrix(
        shades[state.layer, state.head],
        [visible(token) for token in state.tokens],
        title,
        RATIO_MARKS if state.against_uniform else WEIGHT_MARKS,
    )
    if shades.shape[:2] != (1, 1):
        canvas = beside(mosaic(shades, state.layer, state.head), canvas)
    return png(canvas.quantize(palette=PALETTE, dither=Image.Dither.NONE))


def figure(state: AttentionState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(explorer.state))`."""
    return StaticImage(render(state))


def coloured(shade: np.ndarray) -> np.ndarray:
    """uint8 [..., 3]: cividis from dark (0) to bright (1), white where the shade is NaN."""
    pixels = CIVIDIS[np.round((len(CIVIDIS) - 1) * np.nan_to_num(shade)).astype(int)]
    pixels[np.isnan(shade)] = rgb(WHITE)
    return pixels


def mosaic(shade: np.ndarray, layer: int, head: int) -> Image.Image:
    """A tile for each head, shade [n_layer, n_head, T, T]; the chosen head's tile has a frame."""
    n_layer, n_head = shade.shape[:2]
    side = MOSAIC_SIDE // max(n_layer, n_head)
    step = side + 4
    left, top = 64, 50
    canvas = Image.new("RGB", (left + n_head * step, top + n_layer * step), WHITE)
    draw = ImageDraw.Draw(canvas)
    draw.text((left, 2), "All heads, in the same colours", BLACK, font(15))
    pixels = coloured(shade)
    for i in range(n_layer):
        y = top + i * step
        draw.text((left - 8, y + side / 2), f"layer {i}", BLACK, font(14), anchor="rm")
        for j in range(n_head):
            x = left + j * step
            tile = Image.fromarray(pixels[i, j]).resize((side, side), Image.Resampling.BOX)
            canvas.paste(tile, (x, y))
            draw.rectangle((x - 1, y - 1, x + side, y + side), outline=LIGHT_GREY)
    for j in range(n_head):
        label = f"head {j}" if j == 0 else str(j)
        draw.text((left + j * step + side / 2, top - 8), label, BLACK, font(14), anchor="ms")
    x, y = left + head * step, top + layer * step
    draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=VERMILLION, width=4)
    return canvas


def matrix(shade: np.ndarray, labels: list[str], title: str, scale: list[tuple[float, str]]) -> Image.Image:
    """One head, shade [T, T]: a row for each query, a column for each key, labelled with the tokens.

    `scale` lists the marks of the colour bar: a shade and its label.
    """
    T = len(labels)
    cell = max(13, min(36, MATRIX_SIDE // T))
    labels = [label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…" for label in labels]
    label_font = font(max(13, min(16, cell)), mono=True)
    lengths = [int(np.ceil(label_font.getlength(label))) for label in labels]
    longest = max(lengths)
    upright = longest <= cell  # else the labels of the columns are rotated
    left, top, side = longest + 34, 58 + (20 if upright else longest + 6), T * cell
    canvas = Image.new("RGB", (left + side + 78, top + max(side, 120) + 8), WHITE)
    draw = ImageDraw.Draw(canvas)
    draw.text((8, 2), title, BLACK, font(15))
    draw.text((left, 26), "key: is looked at", BLACK, font(14))
    rotated_text(canvas, (6, top), "query: looks", font(14))
    pixels = coloured(shade).repeat(cell, 0).repeat(cell, 1)
    masked = np.isnan(shade).repeat(cell, 0).repeat(cell, 1)
    places = np.arange(side)
    stripes = (places % 8)[:, None] == (-places % 8)  # where row + column is a multiple of 8
    pixels[masked & stripes] = rgb(LIGHT_GREY)
    canvas.paste(Image.fromarray(pixels), (left, top))
    for i, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        middle = i * cell + cell / 2
        draw.text((left - 6, top + middle), label, BLACK, label_font, anchor="rm")
        if upright:
            draw.text((left + middle, top - 7), label, BLACK, label_font, anchor="ms")
        else:
            rotated_text(canvas, (int(left + middle - 9), top - 6 - length), label, label_font)
    colour_bar(canvas, left + side + 14, top, max(side, 120), scale)
    return canvas


def rotated_text(canvas: Image.Image, corner: tuple[int, int], text: str, text_font) -> None:
    """Text rotated by 90° to the left, with its upper left corner at `corner`."""
    box = Image.new("RGB", (int(np.ceil(text_font.getlength(text))), 19), WHITE)
    ImageDraw.Draw(box).text((0, 9), text, BLACK, text_font, anchor="lm")
    canvas.paste(box.transpose(Image.Transpose.ROTATE_90), corner)


def colour_bar(canvas: Image.Image, x: int, y: int, height: int, scale: list[tuple[float, str]]) -> None:
    """The colours with their marks, at most 260 pixels high."""
    height = min(height, 260)
    bar = coloured(np.linspace(1, 0, height))[:, None].repeat(14, 1)
    canvas.paste(Image.fromarray(bar), (x, y))
    draw = ImageDraw.Draw(canvas)
    for shade, label in scale:
        at = y + round((1 - shade) * (height - 1))
        draw.line((x + 14, at, x + 18, at), BLACK)
        draw.text((x + 21, min(max(at, y + 6), y + height - 6)), label, BLACK, font(13), anchor="lm")


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Both images in one: side by side if that takes at most 1000 pixels, else one above the other."""
    if left.width + right.width <= 1000:
        corner = (left.width, 0)
    else:
        corner = (0, left.height)
    size = (max(left.width, corner[0] + right.width), max(left.height, corner[1] + right.height))
    canvas = Image.new("RGB", size, WHITE)
    canvas.paste(left, (0, 0))
    canvas.paste(right, corner)
    return canvas


# --- page: the statistics, and the prompt that answers to the pointer


def labels_of_keys(state: AttentionState) -> list[list[str]]:
    """The label of each key for each query of the chosen head: [T][T]; "" where it is masked or near 0."""
    weights = state.weights[state.layer, state.head]
    if state.against_uniform:
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = weights / state.uniform
        return [[f"{ratio:.1f}×" if np.isfinite(ratio) else "" for ratio in row] for row in weights]
    return [[f"{100 * w:.0f}%" if w >= 0.005 else "" for w in row] for row in weights]


def page(state: AttentionState, name: str = "attention") -> str:
    """HTML: the statistics, and the prompt. Pointing at a token shades its keys, with CSS alone.

    Each token is a query (class q…) and a key (class k…). Pointing at query t sets two CSS variables for each
    key s: its shade --s… and its label --l…. `name` is a CSS class that separates two explorers on one page.
    """
    labels = labels_of_keys(state)
    shades = shade(state)[state.layer, state.head]
    T = len(state.tokens)
    last = T - 1
    idle = f".{name}:not(:has(.t:hover)):not(:has(.t:focus))"  # then the last token is the query
    rules = []
    for t in range(T):
        values = ";".join(
            f'--s{s}:{shades[t, s]:.2f};--l{s}:"{labels[t][s]}"' for s in range(T) if labels[t][s]
        )
        where = f".{name}:has(.q{t}:hover),.{name}:not(:has(.t:hover)):has(.q{t}:focus)"
        rules.append(f"{where}{',' + idle if t == last else ''}{{{values}}}")
    red, green, blue = rgb(ORANGE)
    rules += [f".{name} .k{s}{{background:rgba({red},{green},{blue},var(--s{s},0))}}" for s in range(T)]
    rules += [f".{name} .k{s}::after{{content:var(--l{s},'\\a0')}}" for s in range(T)]
    tokens = "".join(
        f'<span class="t q{i} k{i}" tabindex="0">{html.escape(visible(token))}</span>'
        for i, token in enumerate(state.tokens)
    )
    entropy = state.entropy[state.layer, state.head]
    distance = state.distance[state.layer, state.head]
    return f"""<style>
.{name}{{{STYLE}}}
.{name} .t{{display:inline-block;text-align:center;min-width:2.6em;padding:2px;margin:2px;
 border:1px solid {GREY};font-family:{MONOSPACE};font-size:16px;white-space:pre;cursor:default}}
.{name} .t::after{{display:block;font-size:13px}}
.{name} .t:hover,.{name}:not(:has(.t:hover)) .t:focus,{idle} .q{last}{{outline:3px solid {BLACK}}}
.{name} td,.{name} th{{padding:1px 14px 1px 0;text-align:right}} .{name} th:first-child{{text-align:left}}
{chr(10).join(rules)}
</style><div class="{name}">
<table><tr><th>Layer {state.layer}, head {state.head}</th><th>this head</th><th>uniform</th></tr>
<tr><th>mean entropy (bits)</th><td>{entropy:.2f}</td><td>{state.uniform_entropy:.2f}</td></tr>
<tr><th>mean distance (tokens)</th><td>{distance:.2f}</td><td>{state.uniform_distance:.2f}</td></tr></table>
<p>Point at a token, or reach it with the Tab key: it is the query, and the keys are shaded by its weights.
In the prompt, \\n stands for a line break.</p>
<div>{tokens}</div></div>"""


# --- the widget


class AttentionExplorer(BookWidget):
    """The widget. `weights_of(text, causal)` gives a text's tokens and the weights [n_layer, n_head, T, T].

    Controls: `prompt`, `layer`, `head`, `show`, `mask`. `state` is None until a prompt has worked.
    """

    def __init__(self, weights_of: WeightsOf, prompt: str):
        self.weights_of = weights_of
        narrow = {"width": "160px"}
        self.prompt = text_field(prompt, "prompt", every_key=True)
        self.layer = widgets.Dropdown(options=[0], description="layer", layout=narrow)
        self.head = widgets.Dropdown(options=[0], description="head", layout=narrow)
        ways = [("weights", False), ("weights ÷ uniform", True)]
        self.show = widgets.Dropdown(options=ways, value=False, description="show")
        self.mask = widgets.Checkbox(True, description="causal mask", layout={"width": "220px"})
        self.page = widgets.HTML()
        self.image = Picture()
        super().__init__(
            [self.prompt, row(self.layer, self.head, self.show, self.mask)], [self.page, self.image]
        )
        self.follow(self.recompute, self.prompt, self.mask)
        self.follow(self.redraw, self.layer, self.head, self.show)
        self.recompute()

    def new_state(self) -> AttentionState:
        text, causal = untyped(self.prompt.value), self.mask.value
        if not text:
            raise ValueError("the prompt is empty: write something to look at")
        state = compute(*self.weights_of(text, causal), causal)
        n_layer, n_head = state.weights.shape[:2]
        self.offer(self.layer, n_layer)
        self.offer(self.head, n_head)
        return state

    def offer(self, choice: widgets.Dropdown, n: int) -> None:
        """Let `choice` go from 0 to n - 1; the chosen number stays if it is one of them, else 0 is chosen."""
        if len(choice.options) != n or choice.value >= n:
            chosen = choice.value if choice.value < n else 0
            choice.unobserve(self.redraw, "value")
            choice.options = range(n)
            choice.value = chosen
            choice.observe(self.redraw, "value")

    def show_state(self) -> None:
        """Show the head that is chosen now."""
        self.state = replace(
            self.state, layer=self.layer.value, head=self.head.value, against_uniform=self.show.value
        )
        self.page.value = page(self.state, self.css_class)
        self.image.value = render(self.state)


# --- a trained model


@contextmanager
def one_thread():
    """Run PyTorch with one thread: for 64 tokens, waiting for a second thread takes longer than its work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def weights_of_model(model, tokenizer) -> WeightsOf:
    """The callable for a trained GPT.

    Without the mask, the weights are those of the same queries and keys, which came about with the mask:
    where a head would look if only its own view were not cut off.
    """
    from gptlib.attention import attention_weights, causal_mask  # the explorer itself needs no model

    limit = min(MAX_TOKENS, model.config.block_size)

    @torch.no_grad()
    @one_thread()
    def weights_of(text: str, causal: bool) -> tuple[list[str], np.ndarray]:
        ids = tokenizer.encode(text)
        idx = torch.tensor([ids[:limit]], device=model.wte.weight.device)
        layers = []

        def look(attention, inputs):
            q, k, _ = attention.split_heads(inputs[0])
            layers.append(
                attention_weights(q, k, causal_mask(idx.shape[1], idx.device) if causal else None)[0]
            )

        hooks = [block.attn.register_forward_pre_hook(look) for block in model.h]
        was_training = model.training
        model.eval()
        model.hidden(idx)
        model.train(was_training)
        for hook in hooks:
            hook.remove()
        return [tokenizer.decode([i]) for i in ids], torch.stack(layers).float().cpu().numpy()

    return weights_of


def explorer_for_model(model, tokenizer, prompt: str) -> AttentionExplorer:
    """The explorer of a trained GPT."""
    return AttentionExplorer(weights_of_model(model, tokenizer), prompt)
