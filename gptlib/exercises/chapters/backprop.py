"""The checkers of chapter 08. Each calls the reader's function on inputs of several sizes and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, parts, tensor
from gptlib.exercises.limits import without_autograd


@exercise(difficulty=1, minutes=10)
def average_backward(attempt):
    """attempt(grad_out [T, C]) -> [T, C], the gradient of x in y_t = mean of x_0 … x_t."""
    for T, C, seed in ((3, 1, 1), (1, 2, 0), (5, 4, 2)):
        grad_out = torch.randn(T, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        lower = torch.tril(torch.ones(T, T, dtype=torch.float64))
        counts = lower.sum(dim=1, keepdim=True)
        average = lower / counts
        given = grad_out.clone()
        with without_autograd():
            found = tensor(attempt(given), (T, C), "the gradient")
        expect(torch.equal(grad_out, given), "the gradient that was given has changed; work on a copy")
        shares = grad_out / counts
        mistakes = {
            "this averages the past again; backward, position s collects from the positions after it": (
                average @ grad_out
            ),
            "divide each gradient by the number of positions it averaged: t + 1": lower.T @ grad_out,
            "divide by t + 1 of each output, before you add up over outputs": lower.T @ grad_out / counts,
            "every position gets the sum over all outputs; x_s is not part of the outputs before s": (
                shares.sum(dim=0).expand(T, C)
            ),
            "this adds up the outputs before s; x_s is part of those from s on": lower @ shares,
            "x_s is also part of the outputs after s: add up over them": shares,
        }
        expect_close(found, average.T @ grad_out, mistakes, f"T={T}: ")


@exercise(difficulty=2, minutes=15)
def numerical_gradient(attempt):
    """attempt(f, x, h) -> the gradient of f at x, measured."""
    g = torch.Generator().manual_seed(3)
    cases = (
        ("a cube", lambda x: (x**3).sum(), lambda x: 3 * x**2, (3,)),
        ("a sum of squares", lambda x: (x**2).sum(), lambda x: 2 * x, (2, 2)),
        ("a product of entries", lambda x: x[0, 0] * x[1, 2], product_slope, (2, 3)),
        ("a plain number", lambda x: float(x.exp().sum()), lambda x: x.exp(), ()),
    )
    for name, f, slope, shape in cases:
        x = torch.randn(shape, generator=g, dtype=torch.float64)
        h, given = 1e-4, x.clone()
        with without_autograd():
            answer = attempt(f, given, h)
        expect(torch.equal(x, given), "x has changed: move a copy of it")
        found = tensor(answer, shape, f"{name}: the gradient")
        expect(torch.as_tensor(answer).dtype == torch.float64, "return float64, as x is: float32 rounds it")
        right = slope(x)
        mistakes = {
            "the distance between up and down is 2h, not h": 2 * right,
            "all entries move at once: move one at a time": right.sum().expand(shape),
            "the sign is reversed: up minus down": -right,
            "divide by the distance, 2h": 2 * h * right,
        }
        off = (found - right).abs().max().item()
        expect(
            off < 1e-6 or off > 100 * h,
            f"{name}: off by {off:.1e}, which falls with h only: go up and down, not only up",
        )
        expect_close(found, right, mistakes, f"{name}: ")


def product_slope(x):
    """The gradient of x[0, 0] · x[1, 2]."""
    slope = torch.zeros_like(x)
    slope[0, 0], slope[1, 2] = x[1, 2], x[0, 0]
    return slope


@exercise(difficulty=3, minutes=20)
def rms_norm_backward(attempt):
    """attempt(grad_out, x, weight, eps) -> (gradient of x, gradient of weight) of y = x / rms(x) * weight."""
    for shape, eps, seed in (((3, 5), 1e-5, 5), ((4,), 1e-5, 4), ((2, 3, 6), 0.5, 6)):
        g = torch.Generator().manual_seed(seed)
        x, grad_out = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
        weight = 1 + torch.randn(shape[-1], generator=g, dtype=torch.float64)
        with without_autograd():
            answer = attempt(grad_out.clone(), x.clone(), weight.clone(), eps)
        grad_x, grad_w = parts(answer, "the gradient of x", "the gradient of weight")
        grad_x = tensor(grad_x, shape, "the gradient of x")

        def mean(t):
            return t.mean(dim=-1, keepdim=True)

        r = torch.rsqrt(mean(x * x) + eps)
        x_hat, grad_hat = r * x, grad_out * weight
        right_x = r * (grad_hat - x_hat * mean(grad_hat * x_hat))
        mistakes = {
            "r depends on x too: its slope is missing": r * grad_hat,
            "nothing was centred forward, so no mean of the gradient is subtracted backward": (
                right_x - r * mean(grad_hat)
            ),
            "the factor r in front is missing": right_x / r,
            "take the mean of ĝ · x̂, not the sum": (
                r * (grad_hat - x_hat * (grad_hat * x_hat).sum(dim=-1, keepdim=True))
            ),
            "the weight is missing: ĝ = g · w": r * (grad_out - x_hat * mean(grad_out * x_hat)),
            "r is missing in x̂ = r · x": r * (grad_hat - x * mean(grad_hat * x)),
            "the second part is subtracted, not added": r * (grad_hat + x_hat * mean(grad_hat * x_hat)),
        }
        expect_close(grad_x, right_x, mistakes, "the gradient of x: ")

        where = "the gradient of weight: "
        unsummed = getattr(grad_w, "shape", None) == torch.Size(shape) and len(shape) > 1
        expect(not unsummed, where + "weight was used in every row, so add up over the rows")
        grad_w = tensor(grad_w, weight.shape, "the gradient of weight")
        rows = (grad_out * x_hat).reshape(-1, shape[-1])
        mistakes = {
            "it is multiplied by x̂ = r · x, not by x": (grad_out * x).reshape(rows.shape).sum(dim=0),
            "it is the sum over the rows, not their mean": rows.mean(dim=0),
            "weight itself is no part of its own slope": (rows * weight).sum(dim=0),
        }
        expect_close(grad_w, rows.sum(dim=0), mistakes, where)
