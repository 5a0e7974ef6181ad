"""What makes a checker of a function that inspects an attempt: one printed line and a verdict."""

import functools
import inspect
import traceback
from collections.abc import Callable


class NotYet(Exception):
    """An answer that is not right yet; the message names the mistake."""


class Verdict:
    """What a checker returns: true when all is right. A notebook shows nothing for it; the line is printed."""

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

    The notebook's heading shows the same difficulty, 1 to 3, and the minutes that a reader may need.
    """

    def decorate(inspection: Callable) -> Callable:
        @functools.wraps(inspection)
        def check(attempt) -> Verdict:
            try:
                inspection(attempt)
            except NotYet as problem:
                verdict = f"not yet. {problem}"
            except Exception as error:
                untouched = is_stub(error, attempt)
                verdict = "not attempted yet" if untouched else f"not yet. {blame(error, attempt)}"
            else:
                verdict = "correct"
            print(f"{inspection.__name__}: {verdict}")
            return Verdict(verdict == "correct")

        check.difficulty, check.minutes = difficulty, minutes
        return check

    return decorate


def is_stub(error: Exception, attempt) -> bool:
    """Whether the error is the stub's bare `raise NotImplementedError`, not one that a library raised."""
    return type(error) is NotImplementedError and not error.args and frames(error)[-1] is code_of(attempt)


def blame(error: Exception, attempt) -> str:
    """One line on an error inside the attempt, or in the call or the use of what it returned."""
    inside = code_of(attempt) in [None, *frames(error)]
    who = "your function raised" if inside else "checking your function gave"
    if inside and (other := culprit(error, attempt)):
        who = f"{other}, which your function calls, raised"
    what = " ".join(str(error).split())  # a failed shape check has many lines
    return f"{who} {type(error).__name__}" + (f": {what[:300]}" if what else "")


def culprit(error: Exception, attempt) -> str:
    """Another function of the reader's that the error came from, defined beside the attempt; "" if there is none."""
    beside = getattr(inspect.unwrap(attempt), "__globals__", None)
    calls = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_globals is beside]
    if not calls or calls[-1].co_qualname.split(".")[0] == attempt.__name__:
        return ""
    return calls[-1].co_qualname


def frames(error: Exception) -> list:
    """The code of each call that the error went through, the one that raised it last."""
    return [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]


def code_of(attempt):
    """The code of a function, also below a decorator such as `torch.no_grad()`; None for what has none."""
    return getattr(inspect.unwrap(attempt), "__code__", None)
