"""Guesses before results: a measured truth stays hidden until there is a guess, or the reader passes."""

import hashlib
import html
import math
import sys

from gptlib.exercises.scale import closed, measured, page, sentence, show, table

PASS = "pass"  # the guess of a reader who wants to see the truth without one
HOW = "Guess in the field above, or write a number in the place of None there and run that cell again"


class Predictions:
    """The reader's guesses in one chapter.

    >>> predictions = Predictions()
    >>> predictions.guess("heads", 40)
    >>> predictions.reveal("heads", 50, "of 100")
    heads: you guessed 40, it is 50 of 100: 20 % too low
    """

    def __init__(self):
        self.guesses, self.truths, self.ranges = {}, {}, {}
        self.fields, self.handles, self.outputs, self.boards = {}, {}, {}, []

    def guess(
        self,
        name: str,
        value: float | str | None,
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        log: bool = False,
    ) -> None:
        """Note a guess; None asks for it with a field, and a slider from `low` to `high`; "pass" is no guess.

        None keeps what was guessed in the field before. ValueError when the value is no number.
        """
        if value is not None and value != PASS and not is_number(value):
            raise ValueError(f"{value!r} is no number: write a guess such as 0.5, or None")
        self.ranges[name] = (low, high, log)
        self.guesses.setdefault(name, None)
        if value is not None:
            self.note(name, value)
        elif in_kernel():
            self.ask(name, unit)

    def ask(self, name: str, unit: str) -> None:
        """Show the field for a guess."""
        from IPython.display import display

        from gptlib.widgets.guess import GuessField  # here, because the widgets are no part of the exercises

        low, high, log = self.ranges[name]
        self.fields[name] = GuessField(name, lambda value: self.note(name, value), low, high, unit, log)
        self.handles[name] = display(self.fields[name], display_id=True)
        self.answer_field(name)

    def note(self, name: str, value: float | str) -> None:
        """Keep a guess, or a pass, and show the truth where its cell has run already."""
        self.guesses[name] = value
        if name in self.outputs:
            self.outputs[name].update(self.answer(name))
        for board in self.boards:
            board.update(self.rows_shown())
        self.answer_field(name)

    def answer_field(self, name: str) -> None:
        """Say below the field what became of the guess."""
        guess = self.guesses[name]
        if name not in self.fields or guess is None:
            return
        if name in self.truths:
            said = sentence(guess, *self.truths[name][:2])
            self.fields.pop(name).close_with(said)
            # a saved widget is an error the next day; where outputs cannot change, the field has said the same
            self.handles.pop(name).update(bundle((said, closed(said))), raw=True)
        else:
            noted = "You pass" if guess == PASS else f"Your guess is {show(guess)}"
            self.fields[name].say(f"{noted}. The answer comes below, when its cell has run.")

    def reveal(self, name: str, truth: float, unit: str = "", more: str = "") -> None:
        """Show the truth on a scale beside the guess, and `more` below it; before there is a guess, how to give it."""
        self.truths[name] = (truth, unit, more)
        self.guesses.setdefault(name, None)
        self.outputs[name] = Output(self.answer(name))
        for board in self.boards:
            board.update(self.rows_shown())
        self.answer_field(name)

    def answer(self, name: str) -> tuple[str, str]:
        """What the cell of the truth shows, as text and as HTML."""
        guess, (truth, unit, more) = self.guesses[name], self.truths[name]
        if guess is None:
            return hidden(name, sealed(measured(truth, unit), more))
        said = sentence(guess, truth, unit)
        text = f"{name}: {said}" + (f"\n{more}" if more else "")
        return text, page(name, guess, truth, unit, more, *self.ranges.get(name, (None, None, False)))

    def board(self) -> None:
        """Show all guesses beside the truths; the last column is guess / truth."""
        self.boards = [Output(self.rows_shown())]

    def rows_shown(self) -> tuple[str, str]:
        """The board as text and as HTML. It holds no truth to which there was no guess."""
        rows = [self.row(name) for name in self.guesses]
        width = max([len(row[0]) for row in rows], default=0)
        lines = [f"{'':{width}}  {'guess':>13}  {'truth':>9}  {'ratio':>6}"]
        lines += [f"{row[0]:{width}}  {row[1]:>13}  {row[2]:>9}  {row[3]:>6}".rstrip() for row in rows]
        return "\n".join(lines), table(("", "guess", "truth", "guess / truth"), rows)

    def row(self, name: str) -> tuple[str, str, str, str]:
        """Name, guess, truth and their ratio, as the board shows them."""
        guess = self.guesses[name]
        if guess is None:
            return name, "no guess yet", "", ""
        truth = self.truths[name][0] if name in self.truths else None
        shown = "" if truth is None else show(truth)
        ratio = "" if guess == PASS or not truth else f"{guess / truth:.2f}"
        return name, "passed" if guess == PASS else show(guess), shown, ratio


class Output:
    """An output of a cell that can change later: HTML in a kernel, else a printed line."""

    def __init__(self, content: tuple[str, str]):
        self.handle = None
        if not in_kernel():
            print(content[0])
            return
        from IPython.display import display

        self.handle = display(bundle(content), raw=True, display_id=True)

    def update(self, content: tuple[str, str]) -> None:
        """Show something else in the place of what is there."""
        if self.handle is not None:
            self.handle.update(bundle(content), raw=True)


def bundle(content: tuple[str, str]) -> dict[str, str]:
    """Text and HTML as a notebook wants them."""
    return dict(zip(("text/plain", "text/html"), content, strict=True))


def in_kernel() -> bool:
    """Whether there is a page that shows widgets: Jupyter's, not a terminal's or a test's."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def is_number(value) -> bool:
    """Whether a value can be a guess."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def sealed(measured: str, more: str = "") -> str:
    """Digits that tell one answer from another and do not tell the answer: stored outputs are compared by them."""
    return "-".join(hashlib.sha256(part.encode()).hexdigest()[:8] for part in (measured, more) if part)


def hidden(name: str, digits: str) -> tuple[str, str]:
    """What stands in the place of an answer before there is a guess, as text and as HTML."""
    text = f'{name}: no guess yet. {HOW}; "{PASS}" instead of a number shows the answer without a guess.'
    return text, f'<div data-sealed="{digits}">{html.escape(text)}</div>'
