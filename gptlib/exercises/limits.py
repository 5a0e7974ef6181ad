"""What an exercise forbids and a result does not show: autograd, building the model, loops, keeping a stream."""

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from gptlib.exercises.checker import NotYet, expect


@contextmanager
def without_autograd() -> Iterator[None]:
    """Inside, autograd refuses to work and says so to the reader."""

    def refuse(*arguments, **options):
        raise NotYet("autograd computes this gradient: write the formula")

    engine = mock.Mock(run_backward=refuse)  # all of backward(), grad() and torch.func end up there
    with (
        mock.patch.object(torch.autograd.Variable, "_execution_engine", engine),
        mock.patch.object(torch.autograd.forward_ad, "enter_dual_level", refuse),
    ):
        yield


@contextmanager
def without_modules() -> Iterator[None]:
    """Inside, no module can be built; the message says so to the reader."""

    def refuse(*arguments, **options):
        raise NotYet("this builds the model and counts: write a formula of its sizes")

    with mock.patch.object(torch.nn.Module, "__init__", refuse):
        yield


def lines_run(call: Callable) -> int:
    """How many lines of Python a call runs: a loop runs more of them when it has more to do."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def stream(items: Iterable) -> Iterator:
    """Copies of the items, tensors or tuples of them, one at a time; the attempt may keep three of them.

    Those are the first, the one before and the present one.
    """
    handed_out = []
    for item in items:
        alive = sum(any(part() is not None for part in parts) for parts in handed_out)
        expect(alive <= 3, f"{alive} items of the stream are kept: use each item and let it go")
        parts = item if isinstance(item, tuple) else (item,)
        copies = tuple(part.clone() for part in parts)
        handed_out.append([weakref.ref(copy) for copy in copies])
        yield copies if isinstance(item, tuple) else copies[0]
        del copies
