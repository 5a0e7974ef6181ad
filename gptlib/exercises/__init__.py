"""What makes the chapters a course: exercises with checkers, predictions, export of the reader's module.

A checker takes the reader's function, calls it on inputs of its own, and raises through `expect` when a
result is wrong. One module per chapter holds its checkers; tests/exercises/answers the wrong answers to reject.
"""

import functools
import traceback
from collections.abc import Callable

from gptlib.exercises.chapter import export_chapter
from gptlib.exercises.predictions import Predictions

__all__ = ["Predictions", "exercise", "expect", "export_chapter"]


class NotYet(Exception):
    """An answer that is not right yet; the message says what to look at."""


class Verdict:
    """What a checker returns: true when all is right. Notebooks show nothing of it; the line is printed."""

    def __init__(self, right: bool):
        self.right = right

    def __bool__(self) -> bool:
        return self.right

    def _ipython_display_(self) -> None:
        pass


def expect(condition, message: str) -> None:
    """Say `message` to the reader unless the condition holds."""
    if not condition:
        raise NotYet(message)


def exercise(difficulty: int, minutes: int) -> Callable:
    """Make a checker of a function that inspects an attempt: it prints one line and returns a Verdict.

    difficulty 1 to 3; minutes a reader may need. Both are for the reader's eyes, in the notebook too.
    """

    def decorate(inspect: Callable) -> Callable:
        @functools.wraps(inspect)
        def check(attempt) -> Verdict:
            try:
                inspect(attempt)
            except NotImplementedError:
                verdict = "not attempted yet"
            except NotYet as problem:
                verdict = f"not yet. {problem}"
            except Exception as error:
                verdict = f"not yet. {blame(error, attempt)}"
            else:
                verdict = "correct"
            print(f"{inspect.__name__}: {verdict}")
            return Verdict(verdict == "correct")

        check.difficulty, check.minutes = difficulty, minutes
        return check

    return decorate


def blame(error: Exception, attempt) -> str:
    """One line on an error inside the attempt, or in the call or the use of what it returned."""
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = getattr(attempt, "__code__", None) in [None, *frames]
    who = "your function raised" if inside else "checking your function gave"
    what = " ".join(str(error).split())  # a failed shape check has many lines
    return f"{who} {type(error).__name__}: {what[:300]}"
