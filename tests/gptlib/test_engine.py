"""The engine against autograd: formulas by chance, shared values, long chains."""

import random

import pytest
import torch

from gptlib.engine import Value, backward, topological_order


def formula(a, b, c):
    """Every operation, with values that are used several times."""
    u = a * b + c
    v = (u * 0.3).exp() / (1 + b**2)
    w = (u * u + 2.0).log() - v
    return w * w + 3 * v - 1 / (2 - a) + (a - c) ** 3


def test_every_operation_and_number():
    for seed in range(20):
        numbers = [random.Random(f"{seed} {n}").uniform(-1.5, 1.5) for n in range(3)]
        ours = [Value(number) for number in numbers]
        theirs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
        end, right = formula(*ours), formula(*theirs)
        assert end.data == pytest.approx(right.item(), rel=1e-12)
        right.backward()
        backward(end)
        for value, leaf in zip(ours, theirs, strict=True):
            assert value.grad == pytest.approx(leaf.grad.item(), rel=1e-10)


def test_order_holds_each_value_once_and_after_its_uses():
    a, b = Value(2.0), Value(3.0)
    u = a * b
    y = u * a + u
    order = topological_order(y)
    assert order[0] is y and len(order) == len(set(order)) == 5
    place = {value: i for i, value in enumerate(order)}
    assert all(place[source] > place[value] for value in order for source, _ in value.edges)
    assert topological_order(a) == [a]


def test_a_second_call_gives_the_same_and_leaves_no_trace():
    x = Value(3.0)
    y = x * x
    z = y * 2
    for _ in range(2):
        backward(z)
        assert (x.grad, y.grad, z.grad) == (12.0, 2.0, 1.0)
    backward(y)
    assert (x.grad, y.grad) == (6.0, 1.0)


def test_long_chains_and_many_paths():
    x = Value(1.0)
    y = x
    for _ in range(50_000):
        y = y + x
    backward(y)
    assert x.grad == 50_001
    doubled = x
    for _ in range(100):  # 2¹⁰⁰ paths, 101 values
        doubled = doubled + doubled
    backward(doubled)
    assert x.grad == 2.0**100
