"""The checkers of chapter 00. Each calls the reader's function on several inputs and names the mistake."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from unittest import mock

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, number, parts, tensor
from gptlib.exercises.limits import lines_run


@exercise(difficulty=1, minutes=5)
def what_came(attempt):
    """attempt(table [n, m], columns int64 [n]) -> [n]: the number in column columns[i] of row i."""

    def table(n, m, seed=0):
        g = torch.Generator().manual_seed(seed)
        return torch.randn(n, m, generator=g), torch.randint(m, (n,), generator=g)

    for n, m, seed in ((4, 3, 0), (5, 5, 1), (1, 7, 2), (6, 2, 3)):
        numbers, columns = table(n, m, seed)
        answer = attempt(numbers.clone(), columns.clone())
        shape = getattr(answer, "shape", None)
        where = f"for a table [{n}, {m}] "
        expect(shape != (n, 1) or n == 1, where + "the result must be [n], yours is [n, 1]: squeeze(-1)")
        whole = "columns alone as index picks from every row: name the rows, too"
        expect(shape != (n, n) or n == 1, where + whole)
        rows = "that picks whole rows: the second index is the column"
        expect(shape != (n, m) or n == 1, where + rows)
        found = tensor(answer, (n,), where + "the result")
        right = torch.stack([row[column] for row, column in zip(numbers, columns, strict=True)]).double()
        mistakes = {
            "that is the largest number of each row; columns says which to take": numbers.amax(dim=1),
            "that is the number one column too far: they count from 0": numbers[
                torch.arange(n), (columns + 1) % m
            ],
            "that is the number one column too early: they count from 0": numbers[
                torch.arange(n), columns - 1
            ],
            "that is the first column; columns says which to take": numbers[:, 0],
            "all come from the first row: row i has a number of its own": numbers[0, columns],
            "rows are summed: take one number from each": numbers.sum(dim=1),
        }
        expect_close(found, right, mistakes, where)
    few, many = table(3, 4), table(9, 4)
    loops = lines_run(lambda: attempt(*many)) > lines_run(lambda: attempt(*few))
    expect(
        not loops,
        "the numbers are right, but you loop: more rows run more lines of Python; use gather, or two indices",
    )


@exercise(difficulty=2, minutes=10)
def fit_line(attempt):
    """attempt(x [n], y [n]) -> (slope, offset) with the least mean squared error, by gradient descent."""
    for slope, offset, noise, seed in ((3.0, -1.0, 0.0, 0), (-0.5, 2.0, 0.3, 1), (1.5, 0.4, 1.0, 2)):
        g = torch.Generator().manual_seed(seed)
        x = 4 * torch.rand(40, generator=g) - 2
        y = slope * x + offset + noise * torch.randn(40, generator=g)
        columns = torch.stack([x, torch.ones_like(x)], dim=1)
        best = torch.linalg.lstsq(columns, y[:, None]).solution[:, 0].double()
        with recorded_steps() as steps:
            answer = attempt(x.clone(), y.clone())
        values = [number(value, "each of them") for value in parts(answer, "slope", "offset")]
        found = torch.tensor(values, dtype=torch.float64)
        expect(steps, "no gradient was asked for: the line is to be found step by step, with loss.backward()")
        if (found - best).abs().max() < 0.01:
            continue
        exchanged = (found.flip(0) - best).abs().max() < 0.01
        expect(not exchanged, "slope and offset are exchanged: the slope comes first")
        name_mistake(steps, (y**2).sum().item())
        shown = ", ".join(f"{value:.3f}" for value in best.tolist())
        expect(False, f"slope and offset must be {shown}, yours are {values[0]:.3f}, {values[1]:.3f}")


@dataclass
class Step:
    """What a backward pass saw: the loss, the numbers that learn, and their gradients before and after."""

    loss: float
    numbers: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


@contextmanager
def recorded_steps() -> Iterator[list[Step]]:
    """Note every backward pass inside."""
    steps, backward = [], torch.autograd.backward

    def record(loss, *arguments, **options):
        leaves = leaves_of(loss)
        numbers, before = flat(leaves), flat([leaf.grad for leaf in leaves], like=leaves)
        result = backward(loss, *arguments, **options)
        after = flat([leaf.grad for leaf in leaves], like=leaves)
        steps.append(Step(loss.item(), numbers, before, after))
        return result

    with mock.patch.object(torch.autograd, "backward", record):
        yield steps


def leaves_of(loss) -> list[torch.Tensor]:
    """The tensors at the bottom of the graph, which get a gradient."""
    leaves, todo = [], [loss.grad_fn]
    while todo:
        node = todo.pop()
        if hasattr(node, "variable") and not any(node.variable is leaf for leaf in leaves):
            leaves.append(node.variable)
        todo += [parent for parent, _ in getattr(node, "next_functions", ()) if parent is not None]
    return leaves


def flat(tensors: list, like: list | None = None) -> torch.Tensor:
    """Copies of all numbers in one vector; 0 for a gradient that is not there."""
    shapes = like or tensors
    parts = [torch.zeros_like(s) if t is None else t for t, s in zip(tensors, shapes, strict=True)]
    return torch.cat([part.detach().flatten() for part in parts]) if parts else torch.zeros(0)


def name_mistake(steps: list[Step], summed: float) -> None:
    """Say what went wrong in a descent; `summed` is the sum of squares when slope and offset are 0."""
    uncleared = any(step.before.any() for step in steps)
    expect(not uncleared, "gradients add up from step to step: clear them before each backward")
    is_sum = abs(steps[0].loss - summed) < 1e-3 * summed
    expect(not is_sum, "the loss is the mean of the squares, not their sum: its steps are too large")
    moves = [
        (b.numbers - a.numbers) @ a.after for a, b in pairwise(steps) if len(a.numbers) == len(b.numbers)
    ]
    expect(not moves or moves[0] <= 0, "the steps follow the gradient, uphill: subtract it")
    learning = sum((a != b).item() for a, b in zip(steps[0].numbers, steps[-1].numbers, strict=False))
    expect(
        len(steps) == 1 or learning > 1,
        "only one number moves: slope and offset must both follow their gradient",
    )
    finite = math.isfinite(steps[-1].loss) and steps[-1].loss <= steps[0].loss
    expect(finite, "the loss rises from step to step: the learning rate is too high")
    expect(len(steps) > 99, f"{len(steps)} steps are too few: take some hundred")
