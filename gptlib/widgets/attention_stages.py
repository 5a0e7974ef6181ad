"""The stages of attention: how one query comes to its weight for one key, with the numbers of a head.

Three layers: `compute` (queries, keys and values in, a frozen state for each stage out), `page` (a state in,
HTML out), and the widget, which steps through the stages.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from gptlib.widgets.kit.controls import row, whole_slider
from gptlib.widgets.kit.page import LINE, MONOSPACE, STYLE
from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, GREY, LIGHT_GREY, VERMILLION, WHITE
from gptlib.widgets.kit.text import visible
from gptlib.widgets.kit.widget import BookWidget

STAGES = ("q · k", "scale", "mask", "softmax", "values")


# --- compute


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage. A row is a number of the vectors (`of_keys` False) or a key (True); the last column is new."""

    name: str
    formula: str  # the result for this query and key, with its numbers
    words: str  # what the stage is for
    rows: tuple[str, ...]
    columns: dict[str, np.ndarray]  # name -> a number for each row; -inf where a score is masked
    of_keys: bool
    marked: int | None  # the row of the chosen key


def number(x: float) -> str:
    """Two decimals and a typographic minus sign; three digits for what would be 0.00."""
    if np.isneginf(x):
        return "−∞"
    text = f"{x:.2f}" if abs(x) >= 0.095 or x == 0 else f"{x:.2g}"
    return text.replace("-", "−")


def minus(a: float, b: float) -> str:
    """a − b in words: "1.54 − 2.10", and "1.54 + 2.10" for a negative b."""
    return f"{number(a)} {'−' if b >= 0 else '+'} {number(abs(b))}"


@dataclass(frozen=True, eq=False)
class Cell:
    """A query, a key, and the attention of that query over all T keys."""

    tokens: tuple[str, ...]
    query: int
    key: int
    causal: bool
    q: np.ndarray  # [head_size], of the query
    k: np.ndarray  # [head_size], of the key
    v: np.ndarray  # [T, head_size]
    dots: np.ndarray  # [T]
    scores: np.ndarray  # [T]: dots / √head_size
    masked: np.ndarray  # [T]: -inf for keys after the query
    powers: np.ndarray  # [T]: e^(masked - largest)
    weights: np.ndarray  # [T]

    @property
    def asked(self) -> str:
        """The query in words."""
        return f"query {self.query} ({self.tokens[self.query]})"

    @property
    def seen(self) -> str:
        """The key in words."""
        return f"key {self.key} ({self.tokens[self.key]})"

    def by_key(self, name: str, formula: str, words: str, columns: dict[str, np.ndarray]) -> Stage:
        """A stage with a row for each key."""
        return Stage(name, formula, words, self.tokens, columns, of_keys=True, marked=self.key)

    def by_number(self, name: str, formula: str, words: str, columns: dict[str, np.ndarray]) -> Stage:
        """A stage with a row for each number of the vectors."""
        rows = tuple(map(str, range(len(next(iter(columns.values()))))))
        return Stage(name, formula, words, rows, columns, of_keys=False, marked=None)


def attend(tokens: Sequence[str], q, k, v, query: int, key: int, causal: bool) -> Cell:
    """The attention of one query; ValueError for shapes that do not fit, and positions outside the text."""
    q, k, v = (np.asarray(part, dtype=np.float64) for part in (q, k, v))
    T = len(tokens)
    if q.ndim != 2 or v.ndim != 2 or q.shape != k.shape or not len(q) == len(v) == T:
        shapes = ", ".join(str(list(part.shape)) for part in (q, k, v))
        raise ValueError(f"q, k, v of shapes {shapes} for {T} tokens: expected [T, head_size]")
    for name, place in (("query", query), ("key", key)):
        if not 0 <= place < T:
            raise ValueError(f"{name}={place} must lie between 0 and {T - 1}")
    dots = k @ q[query]
    scores = dots / np.sqrt(q.shape[1])
    masked = np.where(np.arange(T) > query, -np.inf, scores) if causal else scores
    powers = np.exp(masked - masked.max())
    tokens = tuple(visible(token) for token in tokens)
    weights = powers / powers.sum()
    return Cell(tokens, query, key, causal, q[query], k[key], v, dots, scores, masked, powers, weights)


def compute(tokens: Sequence[str], q, k, v, query: int, key: int, causal: bool = True) -> tuple[Stage, ...]:
    """A state for each of STAGES, for one head: q, k and v are [T, head_size], `query` and `key` positions.

    ValueError for shapes that do not fit, and for a position outside the text.
    """
    cell = attend(tokens, q, k, v, query, key, causal)
    return product(cell), scaled(cell), masked(cell), softmaxed(cell), fetched(cell)


def product(cell: Cell) -> Stage:
    """The dot product of the query and the key."""
    formula = f"q · k = sum of {len(cell.q)} products = {number(cell.dots[cell.key])}"
    words = f"The query vector of {cell.asked} times the key vector of {cell.seen}, number by number."
    return cell.by_number(STAGES[0], formula, words, {"q": cell.q, "k": cell.k, "q times k": cell.q * cell.k})


def scaled(cell: Cell) -> Stage:
    """The dot products divided by √head_size."""
    n, dot = len(cell.q), number(cell.dots[cell.key])
    formula = f"{dot} / √{n} = {dot} / {np.sqrt(n):.3g} = {number(cell.scores[cell.key])}"
    words = f"The same for every key, divided by the root of head_size: the scores of {cell.asked}."
    return cell.by_key(STAGES[1], formula, words, {"q · k": cell.dots, "score": cell.scores})


def masked(cell: Cell) -> Stage:
    """The scores of later keys become -inf."""
    score = number(cell.scores[cell.key])
    words = "A query must not see what comes after it: those scores become −∞, and e to that power is 0."
    if not cell.causal:
        formula, words = f"no mask: {score} stays", "The mask is off: every key keeps its score."
    elif cell.key > cell.query:
        formula = f"{cell.seen} comes after {cell.asked}: {score} becomes −∞"
    else:
        formula = f"{cell.seen} does not come after {cell.asked}: {score} stays"
    return cell.by_key(STAGES[2], formula, words, {"score": cell.scores, "after the mask": cell.masked})


def softmaxed(cell: Cell) -> Stage:
    """The weights of all keys."""
    largest, total = cell.masked.max(), number(cell.powers.sum())
    formula = f"e^({minus(cell.masked[cell.key], largest)}) / {total} = "
    formula += f"{number(cell.powers[cell.key])} / {total} = {number(cell.weights[cell.key])}"
    words = "e to the power of each score less the largest one, divided by their sum: weights that sum to 1."
    less = cell.masked - largest
    columns = {"score − largest": less, "e to that power": cell.powers, "weight": cell.weights}
    return cell.by_key(STAGES[3], formula, words, columns)


def fetched(cell: Cell) -> Stage:
    """The sum of the values with these weights."""
    weight = number(cell.weights[cell.key])
    formula = f"output = sum over all keys of weight · v; {cell.seen} gives {weight} · v"
    words = f"The value vectors, added up with the weights: what the head puts out for {cell.asked}."
    columns = {
        f"v of {cell.seen}": cell.v[cell.key],
        "weight · v": cell.weights[cell.key] * cell.v[cell.key],
        "output": cell.weights @ cell.v,
    }
    return cell.by_number(STAGES[4], formula, words, columns)


# --- page

BAR = 46  # pixels: how high a strip's largest number is drawn


def strip(stage: Stage, name: str, values: np.ndarray) -> str:
    """HTML: the numbers of a column as bars around a line, each with its number as a tooltip."""
    finite = values[np.isfinite(values)]
    low, high = min(finite.min(), 0.0), max(finite.max(), 0.0)
    span = (high - low) or 1.0
    zero = round(BAR * high / span)
    last = name == list(stage.columns)[-1]
    bars = []
    for i, (label, value) in enumerate(zip(stage.rows, values, strict=True)):
        tip = html.escape(
            f"{'key' if stage.of_keys else 'number'} {i}{f' ({label})' if stage.of_keys else ''}"
        )
        kind = "bar marked" if i == stage.marked else "bar"
        if np.isfinite(value):
            height = max(1, round(BAR * abs(value) / span))
            top = zero - height if value > 0 else zero
            inner = f'<i style="top:{top}px;height:{height}px"></i>'
        else:
            inner = "<s>−∞</s>"
        bars.append(f'<span class="{kind}" title="{tip}: {number(value)}">{inner}</span>')
    largest = number(finite[abs(finite).argmax()])
    alt = html.escape(f"{name}: {len(values)} numbers, the largest in size {largest}")
    return (
        f'<div class="strip{" new" if last else ""}"><b>{html.escape(name)}</b>'
        f'<div class="bars" role="img" aria-label="{alt}" style="--zero:{zero}px">{"".join(bars)}</div></div>'
    )


def labels(stage: Stage) -> str:
    """HTML: what stands below the bars: the tokens of the keys; "" where the rows are numbers of a vector."""
    if not stage.of_keys:
        return ""
    spans = "".join(
        f'<span class="bar{" marked" if i == stage.marked else ""}">{html.escape(label[:2])}</span>'
        for i, label in enumerate(stage.rows)
    )
    return f'<div class="strip tokens" aria-hidden="true"><b></b><div class="names">{spans}</div></div>'


def table(stage: Stage) -> str:
    """HTML: all numbers of the stage."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in stage.columns)
    first = "key" if stage.of_keys else "number"
    body = ""
    for i, label in enumerate(stage.rows):
        cells = "".join(f"<td>{number(values[i])}</td>" for values in stage.columns.values())
        title = f"{i} {html.escape(label)}" if stage.of_keys else str(i)
        body += f"<tr{' class=marked' if i == stage.marked else ''}><th>{title}</th>{cells}</tr>"
    return f"<table><tr><th>{first}</th>{head}</tr>{body}</table>"


def page(stages: Sequence[Stage], place: int, name: str = "stages", numbers: bool = False) -> str:
    """HTML: stage number `place` (1, 2, …) of `stages`; with `numbers`, its table too.

    `name` is a CSS class that separates two widgets on one page.
    """
    stage = stages[place - 1]
    path = " → ".join(
        f'<b aria-current="step">{html.escape(s.name)}</b>' if s is stage else html.escape(s.name)
        for s in stages
    )
    strips = "".join(strip(stage, column, values) for column, values in stage.columns.items())
    width = 10 if len(stage.rows) > 24 else 18
    return f"""<style>
.{name} .stage{{{STYLE};overflow-x:auto;max-width:860px;box-sizing:border-box}}
.{name} .stage p{{margin:2px 0 6px;{LINE}}}
.{name} .path b{{border-bottom:3px solid {VERMILLION}}}
.{name} .formula{{font:15px/1.5 {MONOSPACE};{LINE}}}
.{name} .strip{{display:flex;align-items:center;margin:4px 0}}
.{name} .strip>b{{flex:0 0 120px;font-weight:normal;font-size:13px;line-height:1.2;padding-right:8px;
 text-align:right;overflow-wrap:anywhere}}
.{name} .strip.new>b{{font-weight:bold}}
.{name} .bars{{display:flex;height:{BAR}px;background:linear-gradient({DARK_GREY},{DARK_GREY}) 0 var(--zero)/100% 1px
 no-repeat}}
.{name} .names{{display:flex;font:12px/16px {MONOSPACE};white-space:pre}}
.{name} .bar{{position:relative;flex:0 0 {width}px;text-align:center}}
.{name} .bars .bar.marked{{background:{LIGHT_GREY}}} .{name} .names .marked{{font-weight:bold;background:{LIGHT_GREY}}}
.{name} .bar i{{position:absolute;left:1px;right:1px;background:{GREY}}}
.{name} .new .bar i{{background:{BLUE}}}
.{name} .bar.marked i{{background:{VERMILLION}}}
.{name} .bar s{{position:absolute;left:-2px;right:-2px;top:14px;font-size:10px;text-decoration:none;
 color:{BLACK};background:{WHITE}}}
.{name} .bar:hover{{outline:1px solid {BLACK}}}
.{name} .stage table{{border-collapse:collapse;font:13px/1.3 {MONOSPACE}}}
.{name} .stage td,.{name} .stage th{{padding:0 14px 0 0;text-align:right;background:{WHITE};color:{BLACK}}}
.{name} .stage .marked td,.{name} .stage .marked th{{background:{LIGHT_GREY}}}
</style><div class="stage"><p class="path">{path}</p>
<p class="formula" role="status">{html.escape(stage.formula)}</p><p>{html.escape(stage.words)}</p>
{strips}{labels(stage)}{table(stage) if numbers else ""}</div>"""


# --- the widget


class AttentionStages(BookWidget):
    """The widget: one stage of the cell that `show_cell` was given.

    Controls: `stage` (1, 2, …), `previous`, `next`, `all_numbers`. `state` has a state for each stage.
    """

    def __init__(self):
        self.cell = None
        self.stage = whole_slider(1, 1, len(STAGES), "stage")
        self.previous = widgets.Button(description="Previous stage")
        self.next = widgets.Button(description="Next stage")
        self.all_numbers = widgets.Checkbox(
            False, description="all numbers", indent=False, layout={"width": "auto"}
        )
        self.page = widgets.HTML()
        super().__init__([row(self.stage, self.previous, self.next, self.all_numbers)], [self.page])
        self.previous.on_click(lambda button: self.move(-1))
        self.next.on_click(lambda button: self.move(1))
        self.follow(self.redraw, self.stage, self.all_numbers)

    def move(self, by: int) -> None:
        """Go so many stages on, as far as there are any."""
        self.stage.value += by

    def show_cell(self, *cell) -> None:
        """Show the stages of a cell, given as the arguments of `compute`."""
        self.cell = cell
        self.recompute()

    def new_state(self) -> tuple[Stage, ...]:
        return compute(*self.cell)

    def show_state(self) -> None:
        self.previous.disabled = self.stage.value == 1
        self.next.disabled = self.stage.value == len(STAGES)
        self.page.value = page(self.state, self.stage.value, self.css_class, self.all_numbers.value)
