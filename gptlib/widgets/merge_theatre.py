"""Merge theatre: byte-pair encoding of the reader's own text, one merge at a time.

Three layers: `compute` (a text in, a frozen state with every step out), `page` and `render` (a state in, HTML
and PNG bytes out), and the widget, which carries values between its controls and these functions.
"""

import html
from collections import Counter
from dataclasses import dataclass

import ipywidgets as widgets
import regex
from IPython.display import Image as StaticImage

from gptlib.bpe import GPT2_PATTERN, merge, utf8
from gptlib.tokenizer import BPETokenizer
from gptlib.widgets.kit.controls import row, text_field, whole_slider
from gptlib.widgets.kit.page import LINE as READABLE
from gptlib.widgets.kit.page import MONOSPACE, box
from gptlib.widgets.kit.palette import BLACK, GREY, WHITE
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import typed, untyped
from gptlib.widgets.kit.widget import BookWidget

MAX_BYTES = 160
ROWS = 8  # of the table of pairs
# pale tints that differ in brightness too; single bytes are white
TINTS = ("#fde8a8", "#a8d5f2", "#f6c4a0", "#bfe3c8", "#e3c4e0", "#d9d9d9", "#c9e1a5", "#f2b8b8")


# --- compute


@dataclass(frozen=True)
class Step:
    """The text after some merges: its parts as tuples of ids, and the count of each pair of neighbours."""

    parts: tuple[tuple[int, ...], ...]
    counts: tuple[tuple[tuple[int, int], int], ...]  # the most frequent pair first, of equals the lowest
    joined: tuple[int, int] | None  # the pair that this step merged, None at the start

    @property
    def ids(self) -> list[int]:
        """The ids of all parts."""
        return [i for part in self.parts for i in part]


@dataclass(frozen=True, eq=False)
class TheatreState:
    """A text, every step of its encoding, and the bytes of each token."""

    text: str
    cut: bool  # whether the text was split into GPT-2's pre-tokens first
    steps: tuple[Step, ...]
    spelling: tuple[bytes, ...]  # of each id
    notes: tuple[str, ...]


def compute(text: str, cut: bool = False) -> TheatreState:
    """Merge the most frequent pair until no pair occurs twice. At most MAX_BYTES bytes of the text are kept.

    ValueError for an empty text and for a lone surrogate.
    """
    if not text:
        raise ValueError("the text is empty: write something to encode")
    notes, data = [], utf8(text)
    if len(data) > MAX_BYTES:
        while len(utf8(text)) > MAX_BYTES:
            text = text[:-1]
        notes.append(f"The text has {len(data)} bytes; the first {len(utf8(text))} are shown.")
    pieces = regex.findall(GPT2_PATTERN, text) if cut else [text]
    step = count([tuple(utf8(piece)) for piece in pieces], None)
    steps, spelling = [step], [bytes([b]) for b in range(256)]
    while step.counts and step.counts[0][1] > 1:
        a, b = step.counts[0][0]
        parts = [tuple(merge(list(part), (a, b), len(spelling))) for part in step.parts]
        spelling.append(spelling[a] + spelling[b])
        step = count(parts, (a, b))
        steps.append(step)
    return TheatreState(text, cut, tuple(steps), tuple(spelling), tuple(notes))


def count(parts: list[tuple[int, ...]], joined: tuple[int, int] | None) -> Step:
    """The step with these parts."""
    counts = Counter(pair for part in parts for pair in zip(part, part[1:], strict=False))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Step(tuple(parts), tuple(ordered), joined)


# --- words


def escaped(piece: bytes) -> str:
    """Bytes as text: visible ASCII as it is, a space as ␣, every other byte as \\xNN."""
    return "".join("␣" if b == 32 else chr(b) if 32 < b < 127 else f"\\x{b:02x}" for b in piece)


def against_tiktoken(state: TheatreState, number: int) -> str:
    """One line: whether tiktoken, given the pairs merged so far, splits the text in the same places."""
    try:
        import tiktoken
    except ImportError:
        return "tiktoken is not installed: nothing to compare with"
    ranks = {}
    for piece in state.spelling[: 256 + number]:
        ranks.setdefault(piece, len(ranks))
    pattern = GPT2_PATTERN if state.cut else r"(?s:.+)"
    theirs = tiktoken.Encoding("theatre", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    pieces = [theirs.decode_single_token_bytes(i) for i in theirs.encode_ordinary(state.text)]
    same = pieces == [state.spelling[i] for i in state.steps[number].ids]
    return f"tiktoken with these pairs: {len(pieces)} tokens, {'the same ones' if same else 'other ones'}"


def with_gpt2(text: str, tokenizer: BPETokenizer) -> str:
    """One line: GPT-2's tokens of the text."""
    pieces = [escaped(tokenizer.decode_bytes([i])) for i in tokenizer.encode(text)]
    return f"GPT-2, with 50,000 pairs learned from web pages: {len(pieces)} tokens: {' | '.join(pieces)}"


def summary(state: TheatreState, number: int) -> str:
    """The numbers of merges, bytes and tokens in one line."""
    tokens, n_bytes = len(state.steps[number].ids), len(utf8(state.text))
    return f"{number} of {len(state.steps) - 1} merges: {n_bytes} bytes, {tokens} tokens"


def description(state: TheatreState, number: int) -> str:
    """The merge of this step and the next one, in one line."""
    step = state.steps[number]
    done = "The bytes of the text."
    if step.joined:
        a, b = (escaped(state.spelling[i]) for i in step.joined)
        done = f"Joined {a} and {b}: token {255 + number}."
    if number + 1 == len(state.steps):
        return f"{done} No pair occurs twice any more."
    (a, b), n = step.counts[0]
    return (
        f"{done} Next: {escaped(state.spelling[a])} and {escaped(state.spelling[b])}, which occur {n} times."
    )


# --- page and render


def page(state: TheatreState, number: int) -> str:
    """HTML: the tokens as chips, and the most frequent pairs as a table."""
    step = state.steps[number]
    pairs = "".join(table_row(state, place, *counted) for place, counted in enumerate(step.counts[:ROWS]))
    more = len(step.counts) - ROWS
    return box(
        f"<b>{html.escape(summary(state, number))}</b><br>{html.escape(description(state, number))}"
        f'<div style="font:16px/1.7 {MONOSPACE};margin:6px 0">{chips(state, number)}</div>'
        '<table style="border-collapse:collapse"><tr><th style="text-align:left">pair</th>'
        f'<th style="text-align:left">ids</th><th>count</th></tr>{pairs}</table>'
        f"{f'and {more} more pairs' if more > 0 else ''}"
    )


def chips(state: TheatreState, number: int) -> str:
    """HTML: a box for each token, with a gap between two parts; the token of this step has a thick frame."""
    parts = []
    for part in state.steps[number].parts:
        spans = []
        for i in part:
            frame = f"2px solid {BLACK}" if number and i == 255 + number else f"1px solid {GREY}"
            label = html.escape(escaped(state.spelling[i]))
            spans.append(
                f'<span title="token {i}" style="display:inline-block;background:{tint(i)};border:{frame};'
                f'border-radius:4px;margin:2px 1px;padding:1px 4px;color:{BLACK}">{label}</span>'
            )
        parts.append("".join(spans))
    return '<span style="display:inline-block;width:10px"></span>'.join(parts)


def table_row(state: TheatreState, place: int, pair: tuple[int, int], n: int) -> str:
    """HTML: a pair, its ids and its count; the pair that is merged next is bold."""
    a, b = pair
    weight = "bold" if place == 0 and n > 1 else "normal"
    spelled = html.escape(f"{escaped(state.spelling[a])} + {escaped(state.spelling[b])}")
    return (
        f'<tr style="font-weight:{weight}"><td style="padding:0 14px 0 0">{spelled}</td>'
        f'<td style="padding:0 14px 0 0">{a}, {b}</td><td style="text-align:right">{n}</td></tr>'
    )


def tint(i: int) -> str:
    """The background of a token."""
    return TINTS[i % len(TINTS)] if i > 255 else WHITE


LINE, WIDTH = 44, 760  # pixels: a step's height, the picture's width


def render(state: TheatreState) -> bytes:
    """PNG: the text after each step, one row below the other."""
    pen = Pen((WIDTH, LINE * len(state.steps) + 8))
    for number, step in enumerate(state.steps):
        x, y = 128, number * LINE + 6
        pen.text(8, y + 17, f"{number} merges", 14)
        for part in step.parts:
            for i in part:
                label = escaped(state.spelling[i])
                width = pen.length(label, 16, mono=True) + 10
                frame = 3 if number and i == 255 + number else 1
                pen.rounded((x, y, x + width, y + 33), tint(i), frame)
                pen.text(x + width / 2, y + 17, label, 16, "mm", mono=True)
                x += width + 3
            x += 8
    return pen.png(colours=None)


def alt(state: TheatreState) -> str:
    """What the picture shows, in words."""
    last = len(state.steps) - 1
    return f"The tokens of {typed(state.text)} after each of {last} merges; {summary(state, last)}"


def figure(state: TheatreState) -> StaticImage:
    """The picture of all steps for a page without a kernel: `display(figure(theatre.state))`."""
    return static_picture(render(state), alt(state))


# --- the widget


class MergeTheatre(BookWidget):
    """The widget: a text, the number of merges, buttons for the merge before and the next, a choice of pre-tokens.

    Controls: `text`, `cut`, `step`, `back`, `forward`. ValueError as for `compute`.
    """

    def __init__(self, text: str):
        self.gpt2 = BPETokenizer.gpt2()
        self.text = text_field(text, "text")
        self.cut = widgets.Checkbox(False, description="cut into words first", indent=False)
        self.back = widgets.Button(description="One merge back")
        self.forward = widgets.Button(description="Next merge")
        self.step = whole_slider(0, 0, 100, "merges")
        self.page = widgets.HTML()
        self.compared = widgets.HTML()
        self.state = self.new_state()
        controls = row(self.step, self.back, self.forward, self.cut)
        super().__init__([self.text, controls], [self.page, self.compared])
        self.back.on_click(lambda button: self.move(-1))
        self.forward.on_click(lambda button: self.move(1))
        self.follow(self.recompute, self.text, self.cut)
        self.follow(self.redraw, self.step)
        self.redraw()

    def move(self, by: int) -> None:
        """Go so many merges on, as far as there are any."""
        self.step.value += by

    def new_state(self) -> TheatreState:
        state = compute(untyped(self.text.value), self.cut.value)
        last = len(state.steps) - 1
        self.step.value = 0
        self.step.max = last
        return state

    def show_state(self) -> None:
        number = self.step.value
        self.back.disabled = number == 0
        self.forward.disabled = number == self.step.max
        self.page.value = page(self.state, number)
        lines = (against_tiktoken(self.state, number), with_gpt2(self.state.text, self.gpt2))
        self.compared.value = box("<br>".join(map(html.escape, lines)), f"{READABLE};overflow-wrap:anywhere")
