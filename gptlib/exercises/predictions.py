"""Guesses before results: kept for the session, shown beside the truth."""

import math


class Predictions:
    """The reader's guesses in one chapter.

    >>> predictions = Predictions()
    >>> predictions.guess("heads", 40)
    >>> predictions.reveal("heads", 50, "of 100")
    heads: you guessed 40; measured:
    50 of 100
    """

    def __init__(self):
        self.guesses, self.truths = {}, {}

    def guess(self, name: str, value: float | None) -> None:
        """Note a guess; None is no guess. ValueError when it is no number."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not is_number:
            raise ValueError(f"{value!r} is no number: write a guess such as 0.5, or None")
        self.guesses[name] = value

    def reveal(self, name: str, truth: float, unit: str = "") -> None:
        """Print the truth beside the guess."""
        self.truths[name] = truth
        guess = self.guesses.get(name)
        shown = "no guess" if guess is None else f"you guessed {show(guess)}"
        # a folded output shows its first line, so the truth is in the second
        print(f"{name}: {shown}; measured:")
        print(f"{show(truth)} {unit}".rstrip())

    def board(self) -> None:
        """Print all guesses beside the truth; the last column is guess / truth."""
        width = max([len(name) for name in self.truths], default=0)
        print(f"{'':{width}}  {'guess':>9}  {'truth':>9}  {'ratio':>6}")
        for name, truth in self.truths.items():
            guess = self.guesses.get(name)
            shown = "no guess" if guess is None else show(guess)
            ratio = "" if guess is None or truth == 0 else f"{guess / truth:.2f}"
            print(f"{name:{width}}  {shown:>9}  {show(truth):>9}  {ratio:>6}".rstrip())


def show(value: float) -> str:
    """Four significant digits, without needless zeros: 0.8462, 7, 50.33."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
