"""Predictions on a page: a field that asks first, in the place of `predictions.guess(…)`."""

import ast
import html
import math
from dataclasses import dataclass

from tools.reveals import pure

STEPS = 200  # of the slider


@dataclass(frozen=True)
class Guess:
    """What a call of `predictions.guess` asks for; `low` and `high` are None where it states no range."""

    name: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    log: bool = False

    def html(self) -> str:
        """A form with a field, and a slider where there is a range. page.js gives it its behaviour."""
        name, unit = html.escape(self.name), html.escape(self.unit)
        field = '<input class="guess-number" type="number" step="any" inputmode="decimal">'
        slider = ""
        if self.low is not None and self.high is not None:
            low, high = (math.log10(end) if self.log else end for end in (self.low, self.high))
            slider = (
                f'<input class="guess-slider" type="range" min="{low}" max="{high}"'
                f' value="{(low + high) / 2}" step="{(high - low) / STEPS}" aria-label="{name}: slider">'
                f'<span class="guess-ends"><span>{self.low:,g}</span><span>{self.high:,g}</span></span>'
            )
        return (
            f'<form class="guess" data-name="{name}" data-unit="{unit}"{" data-log" if self.log else ""}>'
            f'<label><span class="guess-title">Your guess</span> {name}: {field}</label> {unit}'
            f'{slider}<button type="submit">Keep this guess</button>'
            '<p class="guess-said" role="status"></p></form>'
        )


def guesses(source: str) -> list[Guess]:
    """The guesses that a cell asks for."""
    return [
        asked(call) for statement in ast.parse(pure(source)).body if (call := call_of(statement, "guess"))
    ]


def without_guesses(source: str) -> str:
    """A cell's code without the calls that ask for a guess."""
    lines = source.splitlines()
    for statement in reversed(ast.parse(pure(source)).body):
        if call_of(statement, "guess"):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(lines).strip("\n")


def call_of(statement: ast.stmt, method: str) -> ast.Call | None:
    """The call of `predictions.METHOD` that a statement consists of."""
    call = getattr(statement, "value", None)
    is_it = isinstance(call, ast.Call) and ast.unparse(call.func) == f"predictions.{method}"
    return call if is_it else None


def asked(call: ast.Call) -> Guess:
    """What a call of `predictions.guess` says."""
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    return Guess(ast.literal_eval(call.args[0]), **options)
