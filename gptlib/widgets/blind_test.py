"""The blind test: two passages side by side, one from the real text and one that a model wrote. Which is real?

Three layers: `compute` (pairs and answers in, a frozen state out), `page` and `summary` (a state in, HTML and
text out), and the widget, whose two buttons are the answers.
"""

import html
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ipywidgets as widgets

from gptlib.widgets.kit.controls import row
from gptlib.widgets.kit.page import MONOSPACE, box
from gptlib.widgets.kit.palette import GREEN, GREY, VERMILLION
from gptlib.widgets.kit.widget import BookWidget

SIDES = ("left", "right")


# --- compute


@dataclass(frozen=True)
class Pair:
    """Two passages. `real` is the side of the one from the real text, `writer` the name of who wrote the other."""

    left: str
    right: str
    real: str
    writer: str


@dataclass(frozen=True)
class BlindTestState:
    """The pairs, and the sides that were called real so far, in the order of the pairs."""

    pairs: tuple[Pair, ...]
    answers: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether every pair has its answer."""
        return len(self.answers) == len(self.pairs)

    def score(self, writer: str | None = None) -> tuple[int, int]:
        """Right answers and answers, of all pairs or of those with one writer."""
        judged = [
            (pair, answer)
            for pair, answer in zip(self.pairs, self.answers, strict=False)
            if writer in (None, pair.writer)
        ]
        return sum(pair.real == answer for pair, answer in judged), len(judged)


def compute(pairs: Sequence[Pair], answers: Sequence[str] = ()) -> BlindTestState:
    """The state after these answers. ValueError for no pairs, too many answers, and what is no side."""
    if not pairs:
        raise ValueError("there are no pairs: a test needs at least one")
    if len(answers) > len(pairs):
        raise ValueError(f"{len(answers)} answers to {len(pairs)} pairs: there is one for each")
    for answer in answers:
        if answer not in SIDES:
            raise ValueError(f"the answer {answer!r} is no side: take 'left' or 'right'")
    return BlindTestState(tuple(pairs), tuple(answers))


def luck(right: int, answers: int) -> float:
    """The probability that somebody who tosses a coin is right at least so often."""
    return sum(math.comb(answers, k) for k in range(right, answers + 1)) / 2**answers


def passages(text: str, length: int) -> list[str]:
    """What follows each empty line of a text, cut to `length` characters; shorter ones are left out."""
    starts = [0, *(place + 2 for place in range(len(text)) if text.startswith("\n\n", place))]
    return [text[start : start + length] for start in starts if start + length <= len(text)]


def make_pairs(
    real: Sequence[str], written: Mapping[str, Sequence[str]], count: int, seed: int
) -> list[Pair]:
    """`count` pairs: the writers take turns, passages and sides are drawn by the seed, none comes twice.

    ValueError when there are too few passages.
    """
    rng, names = random.Random(seed), list(written)
    turns = [names[k % len(names)] for k in range(count)]
    for name, there in {"the real text": real, **written}.items():
        needed = count if name == "the real text" else turns.count(name)
        if len(there) < needed:
            raise ValueError(f"{len(there)} passages of {name}, {needed} are needed: write more, or ask less")
    truth = rng.sample(list(real), count)
    left_over: dict[str, Iterator[str]] = {n: iter(rng.sample(list(w), len(w))) for n, w in written.items()}
    rng.shuffle(turns)
    pairs = []
    for passage, name in zip(truth, turns, strict=True):
        side, other = rng.choice(SIDES), next(left_over[name])
        left, right = (passage, other) if side == "left" else (other, passage)
        pairs.append(Pair(left, right, side, name))
    return pairs


# --- page


def passage_html(title: str, text: str, mark: str = "") -> str:
    """HTML: a passage below its title; `mark` is the colour of its frame once the answer is known."""
    frame = f"border:{3 if mark else 1}px solid {mark or GREY};flex:1 1 18em;max-width:30em"
    words = f'<pre style="font:14px/1.4 {MONOSPACE};white-space:pre-wrap;margin:4px 0;color:inherit">{html.escape(text)}</pre>'
    return box(f"<b>{html.escape(title)}</b>{words}", frame)


def pair_html(pair: Pair, answer: str | None = None) -> str:
    """HTML: the two passages; with an answer also which is real, in words and by the frame."""
    shown = []
    for side in SIDES:
        title, mark = side, ""
        if answer:
            real = pair.real == side
            title, mark = f"{side}: {'real' if real else pair.writer}", GREEN if real else VERMILLION
        shown.append(passage_html(title, getattr(pair, side), mark))
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(shown)}</div>'


def summary(state: BlindTestState) -> list[str]:
    """The score so far: in all, and against each writer, with what a coin would get."""
    lines = []
    for name in (None, *dict.fromkeys(pair.writer for pair in state.pairs)):
        right, answers = state.score(name)
        if answers:
            who = f"against {name}" if name else "in all"
            chance = f"a coin is right as often or more often in {luck(right, answers):.1%} of such tests"
            lines.append(f"{who}: {right} of {answers} right; {chance}")
    return lines


def page(state: BlindTestState) -> str:
    """HTML: the last pair with its answer, then the next one, or the score when all are answered."""
    parts, asked = [], len(state.answers)
    if asked:
        pair, answer = state.pairs[asked - 1], state.answers[-1]
        verdict = "Right" if answer == pair.real else "Wrong"
        right, answers = state.score()
        words = f"{verdict}: {pair.real} is real, {pair.writer} wrote the other. {right} of {answers} right so far."
        parts.append(box(html.escape(words), attributes='role="status"'))
        if state.done:
            parts += [pair_html(pair, answer), *(box(html.escape(line)) for line in summary(state))]
        else:
            parts.append(
                f"<details><summary>The last pair again</summary>{pair_html(pair, answer)}</details>"
            )
    if not state.done:
        parts += [
            box(f"<b>Pair {asked + 1} of {len(state.pairs)}.</b> Which one is real?"),
            pair_html(state.pairs[asked]),
        ]
    return "".join(parts)


# --- the widget


class BlindTest(BookWidget):
    """The widget. Controls: the buttons `left`, `right` and `again`; `answer("left")` has the effect of a click.

    ValueError as for `compute`.
    """

    def __init__(self, pairs: Sequence[Pair]):
        self.pairs = tuple(pairs)
        self.state = compute(self.pairs)
        self.left = widgets.Button(description="left is real", button_style="primary")
        self.right = widgets.Button(description="right is real", button_style="primary")
        self.again = widgets.Button(description="begin again")
        self.page = widgets.HTML()
        super().__init__([], [self.page, row(self.left, self.right, self.again)])
        self.left.on_click(lambda button: self.answer("left"))
        self.right.on_click(lambda button: self.answer("right"))
        self.again.on_click(lambda button: self.attempt(lambda: compute(self.pairs)))
        self.redraw()

    def answer(self, side: str) -> None:
        """Call one side of the current pair the real one."""
        self.attempt(lambda: compute(self.pairs, (*self.state.answers, side)))

    def show_state(self) -> None:
        self.left.disabled = self.right.disabled = self.state.done
        self.page.value = page(self.state)
