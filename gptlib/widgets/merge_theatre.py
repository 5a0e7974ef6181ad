"""Merge theatre: byte-pair encoding on the reader's own text, one merge after the other.

Three layers: `compute` (a text in, a frozen state with every step out), `page` and `picture` (a state in, HTML or
PNG bytes out), and the widget, which only carries values between the controls and these.
"""

import html
import io
from collections import Counter
from dataclasses import dataclass

import ipywidgets as widgets
import regex
from IPython.display import Image as StaticImage
from PIL import Image, ImageDraw

from gptlib.tokenizer import GPT2_PATTERN, BPETokenizer, merge, utf8
from gptlib.widgets.attention_picture import font
from gptlib.widgets.kit.text import complaint, message_html, typed, untyped

MAX_BYTES = 160
ROWS = 8  # of the table of pairs
# pale tints that differ in brightness too; single bytes stay white
TINTS = ("#fde8a8", "#a8d5f2", "#f6c4a0", "#bfe3c8", "#e3c4e0", "#d9d9d9", "#c9e1a5", "#f2b8b8")
NEW = "#000000"  # the frame of a token that this step has made


@dataclass(frozen=True)
class Step:
    """The text after some merges: its parts, each a tuple of ids, and how often each pair of neighbours occurs."""

    parts: tuple[tuple[int, ...], ...]
    counts: tuple[tuple[tuple[int, int], int], ...]  # the most frequent pair first; of equals the lowest
    joined: tuple[int, int] | None  # the pair that led here, None at the start

    @property
    def ids(self) -> list[int]:
        """All ids in a row."""
        return [i for part in self.parts for i in part]


@dataclass(frozen=True, eq=False)
class TheatreState:
    """A text, every step of its encoding, and what each token spells."""

    text: str
    cut: bool  # whether it was cut into GPT-2's pre-tokens first
    steps: tuple[Step, ...]
    spelling: tuple[bytes, ...]  # of each id
    notes: tuple[str, ...]


def compute(text: str, cut: bool = False) -> TheatreState:
    """Join the most frequent pair again and again, until none occurs twice. At most MAX_BYTES bytes are kept.

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


def escaped(piece: bytes) -> str:
    """Bytes as a reader can tell them apart: visible ASCII as it is, a space as ␣, all others as \\xNN."""
    return "".join("␣" if b == 32 else chr(b) if 32 < b < 127 else f"\\x{b:02x}" for b in piece)


def against_tiktoken(state: TheatreState, number: int) -> str:
    """One line: whether tiktoken, given the pairs joined so far, cuts the text in the same places."""
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
    """One line: how GPT-2 cuts the text."""
    pieces = [escaped(tokenizer.decode_bytes([i])) for i in tokenizer.encode(text)]
    return f"GPT-2, with 50,000 pairs learned from web pages: {len(pieces)} tokens: {' | '.join(pieces)}"


def summary(state: TheatreState, number: int) -> str:
    """Where the reader stands, in one line."""
    tokens, n_bytes = len(state.steps[number].ids), len(utf8(state.text))
    return f"{number} of {len(state.steps) - 1} merges: {n_bytes} bytes, {tokens} tokens"


def told(state: TheatreState, number: int) -> str:
    """What this step did and what comes next."""
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


def page(state: TheatreState, number: int) -> str:
    """HTML: the tokens as chips, and the pairs that occur most often."""
    step, newest = state.steps[number], 255 + number if number else None
    chips = []
    for p, part in enumerate(step.parts):
        if p:
            chips.append('<span style="display:inline-block;width:10px"></span>')
        for i in part:
            tint = TINTS[i % len(TINTS)] if i > 255 else "#ffffff"
            frame = f"2px solid {NEW}" if i == newest else "1px solid #777"
            label = html.escape(escaped(state.spelling[i]))
            chips.append(
                f'<span title="token {i}" style="display:inline-block;background:{tint};border:{frame};'
                f'border-radius:4px;margin:2px 1px;padding:1px 4px;color:#000">{label}</span>'
            )
    rows = []
    for place, ((a, b), n) in enumerate(step.counts[:ROWS]):
        weight = "bold" if place == 0 and n > 1 else "normal"
        pair = html.escape(f"{escaped(state.spelling[a])} + {escaped(state.spelling[b])}")
        rows.append(
            f'<tr style="font-weight:{weight}"><td style="padding:0 14px 0 0">{pair}</td>'
            f'<td style="padding:0 14px 0 0">{a}, {b}</td><td style="text-align:right">{n}</td></tr>'
        )
    more = len(step.counts) - len(rows)
    return (
        '<div style="background:#fff;color:#000;padding:8px;font-size:14px;line-height:1.5">'
        f"<b>{html.escape(summary(state, number))}</b><br>{html.escape(told(state, number))}"
        f"<div style=\"font:16px/1.7 Menlo,Consolas,'DejaVu Sans Mono',monospace;margin:6px 0\">{''.join(chips)}</div>"
        '<table style="font-size:14px;border-collapse:collapse"><tr><th style="text-align:left">pair</th>'
        f'<th style="text-align:left">ids</th><th>count</th></tr>{"".join(rows)}</table>'
        f"{f'and {more} more pairs' if more > 0 else ''}</div>"
    )


def picture(state: TheatreState, numbers: tuple[int, ...] | None = None) -> bytes:
    """PNG for a page without a kernel: the text after each of these steps, one row below the other."""
    numbers = numbers or tuple(range(len(state.steps)))
    letters, words, height, width = font(16, mono=True), font(14), 44, 760
    canvas = Image.new("RGB", (width, height * len(numbers) + 8), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    for row, number in enumerate(numbers):
        y, x = row * height + 6, 128
        draw.text((8, y + 17), f"{number} merges", (0, 0, 0), words, anchor="lm")
        for p, part in enumerate(state.steps[number].parts):
            x += 8 if p else 0
            for i in part:
                label = escaped(state.spelling[i])
                wide = draw.textlength(label, letters) + 10
                tint = TINTS[i % len(TINTS)] if i > 255 else "#ffffff"
                thick = 3 if number and i == 255 + number else 1
                draw.rounded_rectangle((x, y, x + wide, y + 33), 4, fill=tint, outline=(0, 0, 0), width=thick)
                draw.text((x + wide / 2, y + 17), label, (0, 0, 0), letters, anchor="mm")
                x += wide + 3
    buffer = io.BytesIO()
    canvas.save(buffer, "png")
    return buffer.getvalue()


def figure(state: TheatreState, *numbers: int) -> StaticImage:
    """The picture of some steps, or of all: `display(figure(theatre.state, 0, 1, 2))`."""
    return StaticImage(picture(state, numbers))


class MergeTheatre(widgets.VBox):
    """The widget: a text, a slider through its merges (a button plays them), and whether it is cut first.

    The controls are attributes (`text`, `cut`, `step`, `play`), and setting their `.value` does what the reader's
    hand does; `state` is what is shown, `error` what went wrong, or "".
    """

    def __init__(self, text: str, cut: bool = False):
        self.state, self.error = compute(text, cut), ""
        self.gpt2 = BPETokenizer.gpt2()
        wide = widgets.Layout(width="98%")
        self.text = widgets.Text(typed(text), description="text", continuous_update=False, layout=wide)
        self.cut = widgets.Checkbox(cut, description="cut into words first", indent=False)
        last = len(self.state.steps) - 1
        self.play = widgets.Play(0, min=0, max=last, interval=900, description="play the merges")
        self.step = widgets.IntSlider(
            0, min=0, max=last, description="merges", layout=widgets.Layout(width="60%")
        )
        self.message, self.page, self.compared = widgets.HTML(), widgets.HTML(), widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap")
        controls = widgets.HBox([self.play, self.step, self.cut], layout=row)
        super().__init__([self.text, controls, self.message, self.page, self.compared])
        widgets.link((self.play, "value"), (self.step, "value"))
        self.text.observe(self.recompute, "value")
        self.cut.observe(self.recompute, "value")
        self.step.observe(self.redraw, "value")
        self.redraw()

    def __repr__(self) -> str:
        return "MergeTheatre: run this notebook to use it"

    def recompute(self, change=None) -> None:
        """Encode the text anew; one that fails leaves a message and the last page."""
        try:
            self.state, self.error = compute(untyped(self.text.value), self.cut.value), ""
        except ValueError as error:
            self.error = f"{complaint(error)}. Below is still the last text that worked."
        else:
            last = len(self.state.steps) - 1
            self.step.value = 0
            self.step.max = self.play.max = last
        self.redraw()

    def redraw(self, change=None) -> None:
        """Show the chosen step."""
        number = self.step.value
        self.message.value = message_html(" ".join(filter(None, (self.error, *self.state.notes))))
        self.page.value = page(self.state, number)
        lines = (against_tiktoken(self.state, number), with_gpt2(self.state.text, self.gpt2))
        self.compared.value = "<br>".join(
            f'<span style="font-size:14px;overflow-wrap:anywhere">{html.escape(line)}</span>'
            for line in lines
        )
