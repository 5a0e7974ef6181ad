"""What an attempt returned, in a form that can be compared: lists for tuples, NumPy and float32 are accepted."""

import operator

import numpy as np
import torch

from gptlib.exercises.checker import expect


def kind(answer) -> str:
    """How a message calls an answer of the wrong type: "None", "a set"."""
    name = type(answer).__name__
    return "None" if answer is None else f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def parts(answer, *names: str) -> list:
    """The values of an answer that has one for each name: a tuple, a list, or the rows of a tensor."""
    wanted = f"return {len(names)} values: {', '.join(names)}"
    if isinstance(answer, np.ndarray | torch.Tensor):
        expect(answer.shape[:1] == (len(names),), f"{wanted}; yours has the shape {list(answer.shape)}")
    else:
        expect(isinstance(answer, tuple | list), f"{wanted}; yours is {kind(answer)}")
        expect(len(answer) == len(names), f"{wanted}; yours are {len(answer)}")
    return list(answer)


def as_list(answer, what: str = "a list") -> list:
    """An answer whose order counts: a list, a tuple, or a tensor or array with one dimension."""
    if isinstance(answer, np.ndarray | torch.Tensor) and answer.ndim == 1:
        return answer.tolist()
    expect(isinstance(answer, tuple | list), f"return {what}, not {kind(answer)}")
    return list(answer)


def number(answer, name: str = "the result") -> float:
    """A number of any type: Python's, NumPy's or a tensor with one element."""
    try:
        return float(answer.detach() if torch.is_tensor(answer) else answer)
    except (TypeError, ValueError):
        expect(False, f"{name} must be a number, not {kind(answer)}")


def whole_number(answer, name: str = "the result") -> int:
    """An integer of any type."""
    try:
        return operator.index(answer)
    except TypeError:
        shown = f"{answer:g}, a float: divide with //" if isinstance(answer, float) else kind(answer)
        expect(False, f"{name} must be a whole number, not {shown}")


def tensor(answer, shape, name: str = "the result") -> torch.Tensor:
    """A tensor of that shape as float64; arrays and lists of numbers will do."""
    try:
        found = torch.as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"{name} must be a tensor, not {kind(answer)}")
    transposed = ": it is transposed" if found.shape == torch.Size(shape)[::-1] else ""
    wanted = f"{name} must have the shape {list(shape)}, yours has {list(found.shape)}{transposed}"
    expect(found.shape == torch.Size(shape), wanted)
    return found.detach().double()


def close(a, b, rtol: float = 1e-4) -> bool:
    """Whether numbers, or tensors of one shape, are equal within what float32 rounds; `b` sets the scale."""
    a, b = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b))
    if a.shape != b.shape or b.numel() == 0:
        return a.shape == b.shape
    return torch.allclose(a, b, rtol=rtol, atol=0.1 * rtol * b.abs().max().item())


def expect_close(
    found, right, mistakes: dict | None = None, where: str = "", hint: str = "", rtol: float = 1e-4
) -> None:
    """Say by which mistake `found`, a number or a tensor, is not `right`.

    `mistakes` maps a message to what the mistake gives. Of any other wrong answer the message tells how far
    it is off, and the hint. `where` begins every message.
    """
    if close(found, right, rtol):
        return
    for message, wrong in (mistakes or {}).items():
        expect(not close(found, wrong, rtol), where + message)
    found, right = (torch.as_tensor(value, dtype=torch.float64) for value in (found, right))
    if right.ndim == 0:
        off = f"it is {right.item():.6g}, yours is {found.item():.6g}"
    elif torch.isfinite(found).all():
        off = f"off by {(found - right).abs().max().item():.3g}"
    else:
        off = "not all numbers are finite"
    expect(False, where + off + (f": {hint}" if hint else ""))
