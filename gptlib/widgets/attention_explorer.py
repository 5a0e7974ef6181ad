"""The attention explorer: which keys each query looks at, in every head, for a prompt that the reader edits.

Three layers: `compute` (tokens and weights in, a frozen state out), `render`, `page` and `matrix_page` (a
state in, PNG bytes and HTML out), and the widget, which carries values between its controls and these
functions. A head's tile is a button, a cell of the chosen head's matrix too: it shows the stages that lead to
the cell's weight, where the queries, keys and values are known.
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
from PIL import Image

from gptlib.widgets.attention_stages import AttentionStages
from gptlib.widgets.kit.controls import row, text_field, whole_slider
from gptlib.widgets.kit.page import LINE, MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, GREY, LIGHT_GREY, ORANGE, VERMILLION, WHITE, rgb
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import SCALE, data_url, png, static_picture
from gptlib.widgets.kit.text import untyped, visible
from gptlib.widgets.kit.widget import BookWidget

MAX_TOKENS = 64

# (text, causal) -> the text's tokens, and of the first T of them the weights [n_layer, n_head, T, T]; if it
# knows them, also the queries, keys and values, each [n_layer, n_head, T, head_size]
WeightsOf = Callable[[str, bool], tuple]


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
    causal: bool = True
    vectors: tuple[np.ndarray, ...] | None = (
        None  # queries, keys, values, each [n_layer, n_head, T, head_size]
    )
    layer: int = 0
    head: int = 0
    against_uniform: bool = False  # show each weight divided by the uniform weight
    query: int = 0
    key: int = 0


def entropy_in_bits(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries of -Σ w log₂ w: [..., T, T] -> [...]. n equal weights have log₂ n bits."""
    logs = np.log2(np.where(weights > 0, weights, 1))
    return -(weights * logs).sum(-1).mean(-1)


def mean_distance(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries t of Σ w |t - s|, in tokens: [..., T, T] -> [...]."""
    position = np.arange(weights.shape[-1])
    return (weights * abs(position[:, None] - position)).sum(-1).mean(-1)


def check_vectors(weights: np.ndarray, vectors: tuple[np.ndarray, ...], allowed: np.ndarray) -> None:
    """ValueError when the weights are not the softmax of these queries and keys."""
    q, k, v = vectors
    shapes = [list(part.shape) for part in vectors]
    if q.ndim != 4 or q.shape != k.shape or q.shape[:3] != weights.shape[:3] or v.shape[:3] != q.shape[:3]:
        raise ValueError(f"q, k, v of shapes {shapes}: expected [n_layer, n_head, T, head_size]")
    scores = np.where(allowed, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    worst = abs(powers / powers.sum(-1, keepdims=True) - weights).max()
    if not worst < 1e-3:
        raise ValueError(f"the weights are not those of the queries and keys: they differ by {worst:.2g}")


def compute(tokens: Sequence[str], weights, vectors=None, causal: bool = True) -> AttentionState:
    """The state for `weights` [n_layer, n_head, T, T] of the first T tokens; at most MAX_TOKENS are kept.

    `vectors` are the queries, keys and values of the same tokens, each [n_layer, n_head, T, head_size].
    ValueError when a shape is another one, a token is missing, the weights of a query do not sum to 1, or they
    do not follow from the queries and keys.
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
    if vectors is not None:
        vectors = tuple(np.asarray(part, dtype=np.float64)[:, :, :T] for part in vectors)
        if not (weights * (allowed == 0)).any():  # else the mask leaks, and the weights are others
            check_vectors(weights, vectors, allowed > 0)
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
        causal=causal,
        vectors=vectors,
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

# Pillow draws the picture, because matplotlib needs 0.25 s for the tick labels of 64 tokens.
# One byte a pixel: cividis, greys for the letters' soft edges and the hatching, and the chosen tile's frame.
CIVIDIS = np.round(255 * mpl.colormaps["cividis"](np.linspace(0, 1, 239))[:, :3]).astype(np.uint8)
GREYS = np.arange(0, 256, 17, dtype=np.uint8)[:, None].repeat(3, axis=1)
PALETTE = Image.new("P", (1, 1))
PALETTE.putpalette(np.concatenate([CIVIDIS, GREYS, [rgb(VERMILLION)]]).astype(np.uint8).tobytes())
MASKED = len(CIVIDIS) + len(GREYS) - 1  # the place of white in it
MOSAIC_SIDE = 384  # pixels, about
MATRIX_SIDE = 400  # pixels, about
LIVE_SIDE = 320  # pixels, about: tiles and matrix side by side on a page of 1000 pixels
TILE = 48  # pixels
LONGEST_LABEL = 10  # characters
WEIGHT_MARKS = [(w**0.5, f"{100 * w:.0f} %") for w in (0, 0.01, 0.05, 0.2, 0.5, 1)]
RATIO_MARKS = [(i / 6, f"{ratio} ×") for i, ratio in enumerate(("1/8", "1/4", "1/2", "1", "2", "4", "8"))]


def title(state: AttentionState) -> str:
    """The heading of the chosen head's matrix."""
    quantity = "weight ÷ uniform weight" if state.against_uniform else "weight of each key"
    return f"Layer {state.layer}, head {state.head}: {quantity}"


def marks(state: AttentionState) -> list[tuple[float, str]]:
    """The marks of the colour bar: a shade and its label."""
    return RATIO_MARKS if state.against_uniform else WEIGHT_MARKS


def short(token: str) -> str:
    """The token as the label of a row or column."""
    label = visible(token)
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def cell_side(T: int, side: int = MATRIX_SIDE) -> int:
    """How large a cell of the matrix is, in pixels."""
    return max(13, min(36, side // T))


def render(state: AttentionState) -> bytes:
    """PNG: all heads, and the chosen head with its tokens. A model with a single head has no tiles."""
    shades = shade(state)
    labels = [short(token) for token in state.tokens]
    canvas = matrix(shades[state.layer, state.head], labels, title(state), marks(state))
    if shades.shape[:2] != (1, 1):
        canvas = beside(mosaic(shades, state.layer, state.head), canvas)
    return png(canvas.quantize(palette=PALETTE, dither=Image.Dither.NONE))


def alt(state: AttentionState) -> str:
    """What the matrix shows, in words."""
    weights = state.weights[state.layer, state.head]
    keys = ", ".join(
        f"{short(state.tokens[t])} at {short(state.tokens[row.argmax()])}" for t, row in enumerate(weights)
    )
    return f"{title(state)}, a row for each query. Each looks most at: {keys}"


def figure(state: AttentionState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(explorer.state))`."""
    return static_picture(render(state), alt(state))


def coloured(shade: np.ndarray) -> np.ndarray:
    """uint8 [..., 3]: cividis from dark (0) to bright (1), white where the shade is NaN."""
    pixels = CIVIDIS[np.round((len(CIVIDIS) - 1) * np.nan_to_num(shade)).astype(int)]
    pixels[np.isnan(shade)] = rgb(WHITE)
    return pixels


def small_picture(shade: np.ndarray) -> bytes:
    """PNG with a pixel for each entry of shade [rows, columns], transparent where it is NaN."""
    places = np.round((len(CIVIDIS) - 1) * np.nan_to_num(shade)).astype(np.uint8)
    places[np.isnan(shade)] = MASKED
    image = Image.frombytes("P", shade.shape[::-1], places.tobytes())
    image.putpalette(PALETTE.getpalette())
    image.info["transparency"] = MASKED
    return png(image)


def mosaic(shade: np.ndarray, layer: int, head: int) -> Image.Image:
    """A tile for each head, shade [n_layer, n_head, T, T]; the chosen head's tile has a frame."""
    n_layer, n_head = shade.shape[:2]
    side = MOSAIC_SIDE // max(n_layer, n_head)
    step = side + 4
    left, top = 64, 50
    pen = Pen((left + n_head * step, top + n_layer * step))
    pen.text(left, 11, "All heads, in the same colours", 15)
    pixels = coloured(shade)
    for i in range(n_layer):
        y = top + i * step
        pen.text(left - 8, y + side / 2, f"layer {i}", 14, "rm")
        for j in range(n_head):
            x = left + j * step
            pen.pixels(pixels[i, j], (x, y, x + side, y + side), Image.Resampling.BOX)
            pen.box((x - 1, y - 1, x + side, y + side), LIGHT_GREY)
    for j in range(n_head):
        pen.text(left + j * step + side / 2, top - 8, f"head {j}" if j == 0 else str(j), 14, "ms")
    x, y = left + head * step, top + layer * step
    pen.box((x - 3, y - 3, x + side + 2, y + side + 2), VERMILLION, 4)
    return pen.canvas


def matrix(shade: np.ndarray, labels: list[str], title: str, scale: list[tuple[float, str]]) -> Image.Image:
    """One head, shade [T, T]: a row for each query, a column for each key, labelled with the tokens.

    `scale` lists the marks of the colour bar: a shade and its label.
    """
    T = len(labels)
    cell = cell_side(T)
    size = max(13, min(16, cell))
    longest = int(np.ceil(max(Pen((1, 1)).length(label, size, mono=True) for label in labels)))
    upright = longest <= cell  # else the labels of the columns are rotated
    left, top, side = longest + 34, 58 + (20 if upright else longest + 6), T * cell
    pen = Pen((left + side + 78, top + max(side, 120) + 8))
    pen.text(8, 11, title, 15)
    pen.text(left, 34, "key: is looked at", 14)
    pen.rotated_text(6, top, "query: looks", 14)
    pixels = coloured(shade).repeat(cell, 0).repeat(cell, 1)
    masked = np.isnan(shade).repeat(cell, 0).repeat(cell, 1)
    places = np.arange(side)
    stripes = (places % 8)[:, None] == (-places % 8)  # where row + column is a multiple of 8
    pixels[masked & stripes] = rgb(LIGHT_GREY)
    pen.pixels(pixels, (left, top, left + side, top + side))
    for i, label in enumerate(labels):
        middle = i * cell + cell / 2
        pen.text(left - 6, top + middle, label, size, "rm", mono=True)
        if upright:
            pen.text(left + middle, top - 7, label, size, "ms", mono=True)
        else:
            length = int(np.ceil(pen.length(label, size, mono=True)))
            pen.rotated_text(left + middle - 9, top - 6 - length, label, size, mono=True)
    colour_bar(pen, left + side + 14, top, max(side, 120), scale)
    return pen.canvas


def colour_bar(pen: Pen, x: int, y: int, height: int, scale: list[tuple[float, str]]) -> None:
    """The colours with their marks, at most 260 pixels high."""
    height = min(height, 260)
    pen.pixels(coloured(np.linspace(1, 0, height))[:, None], (x, y, x + 14, y + height))
    for shade, label in scale:
        at = y + round((1 - shade) * (height - 1))
        pen.line([(x + 14, at), (x + 18, at)])
        pen.text(x + 21, min(max(at, y + 6), y + height - 6), label, 13)


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Both images in one: side by side if a page of 1000 pixels holds them, else one above the other."""
    if left.width + right.width <= 1000 * SCALE:
        corner = (left.width, 0)
    else:
        corner = (0, left.height)
    size = (max(left.width, corner[0] + right.width), max(left.height, corner[1] + right.height))
    canvas = Image.new("RGB", size, WHITE)
    canvas.paste(left, (0, 0))
    canvas.paste(right, corner)
    return canvas


# --- page: the statistics and the prompt that answers to the pointer, the matrix, and the style of both


def labels_of_keys(state: AttentionState) -> list[list[str]]:
    """The label of each key for each query of the chosen head: [T][T]; "" where it is masked or near 0."""
    weights = state.weights[state.layer, state.head]
    if state.against_uniform:
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = weights / state.uniform
        return [[f"{ratio:.1f}×" if np.isfinite(ratio) else "" for ratio in row] for row in weights]
    return [[f"{100 * w:.0f}%" if w >= 0.005 else "" for w in row] for row in weights]


def told(state: AttentionState) -> str:
    """The chosen cell in words."""
    t, s = state.query, state.key
    words = f"query {t} ({short(state.tokens[t])}), key {s} ({short(state.tokens[s])}): "
    weight = state.weights[state.layer, state.head, t, s]
    if state.uniform[t, s] == 0 and weight == 0:
        return f"{words}masked, because the key comes after the query"
    words += f"weight {100 * weight:.1f} %"
    if state.uniform[t, s]:
        words += f", {weight / state.uniform[t, s]:.1f} times uniform"
    return words


def hover_rules(state: AttentionState, name: str) -> list[str]:
    """CSS: a token or a row of the matrix under the pointer is the query, a column of the matrix the key.

    Each token is a query (class q…) and a key (class k…). A query t sets two CSS variables for each key s: its
    shade --s… and its label --l….
    """
    labels = labels_of_keys(state)
    shades = shade(state)[state.layer, state.head]
    T = len(state.tokens)
    idle = f".{name}:not(:has(.t:hover)):not(:has(.t:focus)):not(:has(.cells button:hover))"
    rules = []
    for t in range(T):
        values = ";".join(
            f'--s{s}:{shades[t, s]:.2f};--l{s}:"{labels[t][s]}"' for s in range(T) if labels[t][s]
        )
        where = f".{name}:has(.q{t}:hover),.{name}:not(:has(.t:hover)):has(.q{t}:focus),.{name}:has(.row{t}:hover)"
        rules.append(f"{where}{',' + idle if t == state.query else ''}{{{values}}}")
        rules.append(f'.{name} .row{t}{{--q:"{t}"}}')
        here = f".{name}:has(.row{t}:hover)"
        rules.append(f"{here} .q{t},{here} .queries span:nth-child({t + 1}){{outline:3px solid {BLACK}}}")
        if state.causal:
            rules.append(f'.{name} .row{t} button:nth-child(n+{t + 2}){{--masked:"masked"}}')
    red, green, blue = rgb(ORANGE)
    for s in range(T):
        rules.append(f".{name} .k{s}{{background:rgba({red},{green},{blue},var(--s{s},0))}}")
        rules.append(f".{name} .k{s}::after{{content:var(--l{s},'\\a0')}}")
        over = f".cells button:nth-child({s + 1}):hover"
        value = f'var(--masked,var(--l{s},"under 0.5%"))'
        rules.append(f'.{name} {over}::after{{content:"query " var(--q) ", key {s}: " {value}}}')
        rules.append(f".{name}:has({over}) .keys span:nth-child({s + 1}){{outline:3px solid {BLACK}}}")
    rules.append(f"{idle} .q{state.query}{{outline:3px dashed {BLACK}}}")
    return rules


def tile_rules(state: AttentionState, name: str) -> list[str]:
    """CSS: the tiles' pictures, which are parts of one picture with all heads; the chosen one has a frame."""
    n_layer, n_head, T, _ = state.weights.shape
    all_heads = shade(state).transpose(0, 2, 1, 3).reshape(n_layer * T, n_head * T)
    rules = [
        f".{name} .tile{{background:url({data_url(small_picture(all_heads))}) {WHITE};image-rendering:{'pixelated' if T <= TILE else 'auto'};"
        f"background-size:{100 * n_head}% {100 * n_layer}%;border:1px solid {LIGHT_GREY};box-shadow:none;"
        "text-indent:-999px;overflow:hidden;padding:0}",
        f".{name} .tile:hover{{outline:3px solid {GREY}}} .{name} .tile:focus{{outline:3px solid {BLACK}}}",
        f".{name} .tile{state.layer}-{state.head}{{outline:4px solid {VERMILLION}!important}}",
    ]
    for i in range(n_layer):
        for j in range(n_head):
            x, y = (100 * place / max(n - 1, 1) for place, n in ((j, n_head), (i, n_layer)))
            rules.append(f".{name} .tile{i}-{j}{{background-position:{x:g}% {y:g}%}}")
    return rules


def place_of_matrix(state: AttentionState) -> tuple[int, int, int]:
    """Left edge and top edge of the matrix within its box, and the side of a cell, in pixels."""
    longest = 8 * max(len(short(token)) for token in state.tokens) + 8
    cell = cell_side(len(state.tokens), LIVE_SIDE)
    return longest + 22, 48 + (20 if longest <= cell + 8 else longest), cell


def matrix_rules(state: AttentionState, name: str) -> list[str]:
    """CSS: the matrix with its labels, and above it a button for each cell.

    The buttons are there only below the pointer: with the keyboard a cell is chosen by its query and its key,
    and nobody has to walk through all buttons.
    """
    T = len(state.tokens)
    left, top, cell = place_of_matrix(state)
    side = T * cell
    square = f"position:absolute;left:{left}px;top:{top}px;width:{side}px;height:{side}px"
    stripes = f"repeating-linear-gradient(135deg,{LIGHT_GREY} 0 1px,{WHITE} 1px 6px)"
    return [
        f".{name} .plane{{position:relative;flex:0 0 auto;overflow:visible;margin:2px;background:{WHITE}}}",
        f".{name} .plane>*{{margin:0}} .{name} .matrix{{{STYLE};position:relative;padding:0;box-sizing:border-box}}",
        f".{name} .matrix{{width:{left + side + 70}px;height:{top + max(side, 140) + 34}px}}",
        f".{name} .matrix>*{{position:absolute;white-space:pre;margin:0}}",
        f".{name} .matrix img{{{square};image-rendering:pixelated;background:{stripes};max-width:none}}",
        f".{name} .keys span,.{name} .queries span{{position:absolute;font:{min(13, cell - 2)}px/{cell}px {MONOSPACE}}}",
        f".{name} .queries span{{right:0;height:{cell}px}}",
        f".{name} .keys .up{{writing-mode:vertical-rl;transform:rotate(180deg)}}",
        f".{name} .matrix .marked{{border:3px solid {VERMILLION};outline:1px solid {WHITE};box-sizing:border-box;"
        f"width:{cell}px;height:{cell}px;left:{left + state.key * cell}px;top:{top + state.query * cell}px}}",
        f".{name} .cells{{{square};display:block;overflow:visible;z-index:1}}",
        f".{name} .cells>*{{margin:0;height:{cell}px;width:{side}px;overflow:visible}}",
        f".{name} .cells>*>div{{display:flex;flex-wrap:nowrap;margin:0}}",
        f".{name} .cells button{{flex:0 0 auto;width:{cell}px;height:{cell}px;min-width:0;margin:0;padding:0;"
        "border:0;background:transparent;box-shadow:none;font-size:0;visibility:hidden;cursor:pointer}",
        f".{name} .plane:hover .cells button{{visibility:visible}}",
        f".{name} .cells button:hover{{outline:2px solid {BLACK};outline-offset:-1px;box-shadow:0 0 0 2px {WHITE}}}",
        f".{name} .cells button:nth-child(n+{T + 1}){{display:none}}",
        f".{name} .cells button:hover::after{{position:absolute;left:0;top:{max(side, 140) + 6}px;height:24px;"
        f"padding:0 8px;background:{BLACK};color:{WHITE};font:13px/24px {MONOSPACE};white-space:nowrap;"
        "min-width:22em;text-align:left}",
    ]


def matrix_page(state: AttentionState) -> str:
    """HTML: the chosen head's matrix, its labels, the chosen cell, and the colour bar."""
    left, top, cell = place_of_matrix(state)
    T = len(state.tokens)
    side = T * cell
    labels = [html.escape(short(token)) for token in state.tokens]
    longest = top - 48
    up = "" if longest == 20 else ' class="up"'
    keys = "".join(
        f'<span{up} style="left:{i * cell}px;width:{cell}px;bottom:0;{"text-align:center" if not up else ""}">'
        f"{label}</span>"
        for i, label in enumerate(labels)
    )
    queries = "".join(f'<span style="top:{i * cell}px">{label}</span>' for i, label in enumerate(labels))
    picture = small_picture(shade(state)[state.layer, state.head])
    gradient = ",".join(f"rgb{tuple(colour)}" for colour in CIVIDIS[::-34].tolist())
    x, height = left + side + 12, min(max(side, 140), 260)
    scale = "".join(
        f'<span style="left:{x + 18}px;top:{top + round((1 - at) * (height - 16))}px;font-size:12px;'
        f'line-height:16px">{label}</span>'
        for at, label in marks(state)
    )
    return f"""<div class="matrix"><b style="left:6px;top:0">{html.escape(title(state))}</b>
<span style="left:{left}px;top:24px">key: is looked at</span>
<span style="left:0;top:{top}px;writing-mode:vertical-rl;transform:rotate(180deg)">query: looks</span>
<div class="keys" style="left:{left}px;top:{top - longest - 2}px;height:{longest}px">{keys}</div>
<div class="queries" style="left:22px;top:{top}px;width:{left - 28}px">{queries}</div>
<img src="{data_url(picture)}" alt="{html.escape(alt(state))}">
<div class="marked"></div>
<div style="left:{x}px;top:{top}px;width:14px;height:{height}px;background:linear-gradient({gradient})"></div>
{scale}
<span role="status" style="left:6px;top:{top + max(side, 140) + 8}px;font-size:13px">{html.escape(told(state))}</span>
</div>"""


def page(state: AttentionState, name: str = "attention") -> str:
    """HTML: the statistics, the prompt, and the style of everything. Pointing at a token or a row of the matrix
    shades its keys, with CSS alone. `name` is the CSS class of the widget.
    """
    rules = [*hover_rules(state, name), *tile_rules(state, name), *matrix_rules(state, name)]
    tokens = "".join(
        f'<span class="t q{i} k{i}" tabindex="0">{html.escape(visible(token))}</span>'
        for i, token in enumerate(state.tokens)
    )
    entropy = state.entropy[state.layer, state.head]
    distance = state.distance[state.layer, state.head]
    return f"""<style>
.{name} .text{{{STYLE};max-width:880px;box-sizing:border-box}} .{name} .text p{{{LINE}}}
.{name} .t{{display:inline-block;text-align:center;min-width:2.6em;padding:2px;margin:2px;
 border:1px solid {GREY};font-family:{MONOSPACE};font-size:16px;white-space:pre;cursor:default}}
.{name} .t::after{{display:block;font-size:13px}}
.{name} .t:hover,.{name}:not(:has(.t:hover)) .t:focus{{outline:3px solid {BLACK}}}
.{name} td,.{name} th{{padding:1px 14px 1px 0;text-align:right;background:{WHITE};color:{BLACK}}}
.{name} th:first-child{{text-align:left}}
.{name} .tiles{{background:{WHITE};flex:0 0 auto}}
.{name} .name{{{STYLE};padding:0;font-size:13px;text-align:center}}
{chr(10).join(rules)}
</style><div class="text">
<table><tr><th>Layer {state.layer}, head {state.head}</th><th>this head</th><th>uniform</th></tr>
<tr><th>mean entropy (bits)</th><td>{entropy:.2f}</td><td>{state.uniform_entropy:.2f}</td></tr>
<tr><th>mean distance (tokens)</th><td>{distance:.2f}</td><td>{state.uniform_distance:.2f}</td></tr></table>
<p>Point at a token, or reach it with the Tab key: it is the query, and the keys are shaded by its weights.
In the prompt, \\n stands for a line break.</p>
<div>{tokens}</div></div>"""


# --- the widget


class AttentionExplorer(BookWidget):
    """The widget. `weights_of(text, causal)` gives a text's tokens and the weights [n_layer, n_head, T, T].

    Where it also gives the queries, keys and values, `stages` shows how the chosen cell comes to its weight.
    Controls: `prompt`, `layer`, `head`, `show`, `mask`, `query`, `key`; `choose(layer, head)` and
    `choose_cell(query, key)` have the effect of a click. `state` is None until a prompt has worked.
    """

    def __init__(self, weights_of: WeightsOf, prompt: str):
        self.weights_of = weights_of
        narrow = {"width": "160px"}
        self.prompt = text_field(prompt, "prompt", every_key=True)
        self.layer = widgets.Dropdown(options=[0], description="layer", layout=narrow)
        self.head = widgets.Dropdown(options=[0], description="head", layout=narrow)
        ways = [("weights", False), ("weights ÷ uniform", True)]
        self.show = widgets.Dropdown(options=ways, value=False, description="show")
        self.mask = widgets.Checkbox(True, description="causal mask", indent=False, layout={"width": "auto"})
        self.query = whole_slider(0, 0, 0, "query (row)")
        self.key = whole_slider(0, 0, 0, "key (column)")
        self.page = widgets.HTML()
        self.tiles = widgets.GridBox()
        self.matrix = widgets.HTML()
        self.cells = widgets.VBox()
        plane = widgets.Box([self.matrix, self.cells])
        self.stages = AttentionStages()
        self.pictures = widgets.HBox([self.tiles, plane], layout=widgets.Layout(flex_flow="row wrap"))
        for part, name in ((self.tiles, "tiles"), (plane, "plane"), (self.cells, "cells")):
            part.add_class(name)
        self.rows: list[widgets.ToggleButtons] = []  # of the matrix, which are kept for the next prompt
        super().__init__(
            [self.prompt, row(self.layer, self.head, self.show, self.mask)],
            [self.page, self.pictures, row(self.query, self.key), self.stages],
        )
        self.busy = False
        self.follow(self.recompute, self.prompt, self.mask)
        self.follow(self.redraw, self.layer, self.head, self.show, self.query, self.key)
        self.recompute()

    def new_state(self) -> AttentionState:
        text, causal = untyped(self.prompt.value), self.mask.value
        if not text:
            raise ValueError("the prompt is empty: write something to look at")
        tokens, weights, *vectors = self.weights_of(text, causal)
        state = compute(tokens, weights, *vectors, causal=causal)
        with self.at_once():
            self.adapt(state)
        return state

    @contextmanager
    def at_once(self):
        """Several controls are moved within, and nothing is drawn until then."""
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def adapt(self, state: AttentionState) -> None:
        """Let the controls offer what there is: layers and heads, queries and keys."""
        n_layer, n_head, T, _ = state.weights.shape
        for choice, n in ((self.layer, n_layer), (self.head, n_head)):
            self.offer(choice, n)
        if self.state is None or T != len(self.state.tokens):
            for place in (self.query, self.key):
                place.max = T - 1
            self.query.value = T - 1
            self.key.value = int(state.weights[self.layer.value, self.head.value, -1].argmax())
            self.lay_cells(T)
        if self.state is None or state.weights.shape[:2] != self.state.weights.shape[:2]:
            self.lay_tiles(n_layer, n_head)

    def offer(self, choice: widgets.Dropdown, n: int) -> None:
        """Let `choice` go from 0 to n - 1; the chosen number stays if it is one of them, else 0 is chosen."""
        if len(choice.options) != n or choice.value >= n:
            chosen = choice.value if choice.value < n else 0
            choice.options = range(n)
            choice.value = chosen

    def lay_tiles(self, n_layer: int, n_head: int) -> None:
        """A button for each head, with the numbers of the layers and heads; none for a single head."""
        self.tiles.layout = widgets.Layout(
            grid_template_columns=f"54px repeat({n_head}, {TILE}px)",
            grid_gap="5px",
            align_items="center",
            align_content="flex-start",
            margin="2px",
            padding="6px",
            display="none" if n_layer == n_head == 1 else "grid",
        )
        layout = widgets.Layout(width=f"{TILE}px", height=f"{TILE}px", margin="0")
        children = [name(""), *(name(f"head {j}") for j in range(n_head))]
        for i in range(n_layer):
            children.append(name(f"layer {i}"))
            for j in range(n_head):
                tile = widgets.Button(description=f"layer {i}, head {j}", layout=layout)
                tile.add_class("tile")
                tile.add_class(f"tile{i}-{j}")
                tile.on_click(lambda button, i=i, j=j: self.choose(i, j))
                children.append(tile)
        self.tiles.children = children

    def lay_cells(self, T: int) -> None:
        """A row of buttons for each of T queries. Each row has MAX_TOKENS of them, of which the style hides some."""
        while len(self.rows) < T:
            t = len(self.rows)
            # the labels are the buttons' indices: with others, ipywidgets 8 makes all buttons anew at each click
            buttons = widgets.ToggleButtons(options=[str(s) for s in range(MAX_TOKENS)], index=None)
            buttons.add_class(f"row{t}")
            buttons.observe(lambda change, t=t: self.press(t), "index")
            self.rows.append(buttons)
        self.cells.children = self.rows[:T]

    def press(self, query: int) -> None:
        """A cell in the row of this query was clicked."""
        key = self.rows[query].index
        if key is not None:
            self.rows[query].index = None  # the same cell can be clicked again
            self.choose_cell(query, key)

    def choose(self, layer: int, head: int) -> None:
        """Show this head."""
        with self.at_once():
            self.layer.value, self.head.value = layer, head
        self.redraw()

    def choose_cell(self, query: int, key: int) -> None:
        """Show how this query comes to its weight for this key."""
        with self.at_once():
            self.query.value, self.key.value = query, key
        self.redraw()

    def redraw(self, change=None) -> None:
        if not self.busy:
            super().redraw()

    def show_state(self) -> None:
        """Show the head and the cell that are chosen now."""
        state = self.state = replace(
            self.state,
            layer=self.layer.value,
            head=self.head.value,
            against_uniform=self.show.value,
            query=self.query.value,
            key=self.key.value,
        )
        self.page.value = page(state, self.css_class)
        self.matrix.value = matrix_page(state)
        self.stages.layout.display = "none" if state.vectors is None else None
        if state.vectors is not None:
            q, k, v = (part[state.layer, state.head] for part in state.vectors)
            self.stages.show_cell(state.tokens, q, k, v, state.query, state.key, state.causal)


def name(text: str) -> widgets.HTML:
    """The number of a layer or head beside the tiles."""
    return widgets.HTML(f'<div class="name">{text}</div>', layout=widgets.Layout(margin="0"))


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


def queries_keys_values(attention, x: torch.Tensor, n_head: int) -> torch.Tensor:
    """What a layer's `c_attn` makes of x [1, T, C]: [3, n_head, T, head_size]."""
    _, T, C = x.shape
    return attention.c_attn(x).view(T, 3, n_head, C // n_head).permute(1, 2, 0, 3)


def weights_of_model(model, tokenizer) -> WeightsOf:
    """The callable for a trained GPT.

    Without the mask, the weights are those of the same queries and keys, which came about with the mask:
    where a head would look if only its own view were not cut off.
    """
    from gptlib.attention import attention_weights, causal_mask  # the explorer itself needs no model

    limit = min(MAX_TOKENS, model.config.block_size)

    @torch.no_grad()
    @one_thread()
    def weights_of(text: str, causal: bool) -> tuple[list[str], np.ndarray, np.ndarray]:
        ids = tokenizer.encode(text)
        idx = torch.tensor([ids[:limit]], device=model.wte.weight.device)
        layers = []

        def look(attention, inputs):
            layers.append(queries_keys_values(attention, inputs[0], model.config.n_head))

        hooks = [block.attn.register_forward_pre_hook(look) for block in model.h]
        was_training = model.training
        model.eval()
        model.hidden(idx)
        model.train(was_training)
        for hook in hooks:
            hook.remove()
        vectors = torch.stack(layers, dim=1)  # [3, n_layer, n_head, T, head_size]
        mask = causal_mask(idx.shape[1], idx.device) if causal else None
        weights = attention_weights(vectors[0], vectors[1], mask)
        return (
            [tokenizer.decode([i]) for i in ids],
            weights.float().cpu().numpy(),
            vectors.float().cpu().numpy(),
        )

    return weights_of


def explorer_for_model(model, tokenizer, prompt: str) -> AttentionExplorer:
    """The explorer of a trained GPT."""
    return AttentionExplorer(weights_of_model(model, tokenizer), prompt)
