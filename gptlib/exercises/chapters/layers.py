"""The checkers of chapter 04."""

import math

import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def rms_norm(attempt):
    """attempt(x [..., dim], weight [dim], eps) -> x over the root of the mean square, scaled."""
    for shape, eps, seed in (((4,), 1e-5, 0), ((3, 5), 1e-5, 1), ((2, 3, 8), 0.5, 2)):
        g = torch.Generator().manual_seed(seed)
        x = 2 + torch.randn(shape, generator=g, dtype=torch.float64)
        weight = torch.rand(shape[-1], generator=g, dtype=torch.float64)
        y = attempt(x.clone(), weight.clone(), eps)
        expect(torch.is_tensor(y) and y.shape == x.shape, f"the result must have shape {list(shape)}")
        right = F.rms_norm(x, shape[-1:], weight, eps)
        if torch.allclose(y, right):
            continue
        outside = x * weight / ((x * x).mean(-1, keepdim=True).sqrt() + eps)
        mistakes = {
            "multiply with the weight at the end": F.rms_norm(x, shape[-1:], None, eps),
            "that is LayerNorm: RMSNorm does not subtract the mean": F.layer_norm(
                x, shape[-1:], weight, None, eps
            ),
            "eps belongs under the root: sqrt(mean + eps)": outside,
        }
        for message, wrong in mistakes.items():
            expect(not torch.allclose(y, wrong), message)
        expect(False, f"off by {(y - right).abs().max().item():.3g}: the mean goes over the last dimension")
    zero = attempt(torch.zeros(2, 3), torch.ones(3), 1e-5)
    expect(bool((zero == 0).all()), "a vector of zeros must stay zero: eps keeps the root from being 0")


@exercise(difficulty=2, minutes=15)
def linear_backward(attempt):
    """attempt(dY [N, n_out], X [N, n_in], W [n_out, n_in]) -> dX, dW, db as autograd gives them."""
    for N, n_in, n_out, seed in ((4, 3, 2, 0), (1, 5, 5, 1), (6, 2, 7, 2)):
        g = torch.Generator().manual_seed(seed)
        X, W, b = (
            torch.randn(s, generator=g, dtype=torch.float64) for s in ((N, n_in), (n_out, n_in), (n_out,))
        )
        dY = torch.randn(N, n_out, generator=g, dtype=torch.float64)
        leaves = [t.requires_grad_() for t in (X, W, b)]
        right = torch.autograd.grad(F.linear(X, W, b), leaves, dY)
        found = attempt(dY.clone(), X.detach().clone(), W.detach().clone())
        expect(isinstance(found, tuple) and len(found) == 3, "return three tensors: dX, dW, db")
        for name, a, r in zip(("dX", "dW", "db"), found, right, strict=True):
            shape = list(r.shape)
            expect(torch.is_tensor(a) and list(a.shape) == shape, f"{name} must have shape {shape}")
            expect(
                name != "db" or N == 1 or not torch.allclose(a, r / N),
                "db is the sum over the rows, not their mean: dY already holds the loss's own mean",
            )
            expect(torch.allclose(a, r), f"{name} is off by {(a - r).abs().max().item():.3g}")


@exercise(difficulty=1, minutes=10)
def dropout(attempt):
    """attempt(x [...], p, training) -> in training zeros with probability p and the rest over 1 - p, else x."""
    g = torch.Generator().manual_seed(0)
    for shape, p in (((60_000,), 0.2), ((200, 301), 0.5), ((3, 100, 200), 0.9), ((7,), 0.0)):
        x = 1 + torch.rand(shape, generator=g, dtype=torch.float64)
        y = attempt(x.clone(), p, False)
        expect(torch.is_tensor(y) and y.shape == x.shape, f"the result must have shape {list(shape)}")
        expect(
            torch.equal(y, x),
            f"p={p}, training=False: x must come back unchanged, not scaled and not dropped",
        )
        y = attempt(x.clone(), p, True)
        expect(torch.is_tensor(y) and y.shape == x.shape, f"the result must have shape {list(shape)}")
        dropped = (y == 0).double()
        share = dropped.mean().item()
        expect(
            p == 0.5 or abs(share - (1 - p)) > 0.02 or p == 0,
            f"p={p}: you drop {share:.3f} of the numbers; p is the probability to drop, not to keep",
        )
        expect(abs(share - p) < 0.02, f"p={p}: the share of zeros must be near {p}, yours is {share:.3f}")
        kept = y != 0
        ratio = (y[kept] / x[kept]).mean().item()
        expect(
            torch.allclose(y[kept], x[kept] / (1 - p)),
            f"p={p}: what is kept must be divided by 1 - p, so grow {1 / (1 - p):.3f} times; yours {ratio:.3f} times",
        )
        for dim in range(x.dim() if x.dim() > 1 else 0):
            lines = dropped.mean(dim=[d for d in range(x.dim()) if d != dim])
            expect(
                bool((lines > 0).all() and (lines < 1).all()) and lines.std() < 0.1,
                "whole rows or columns fall out together: draw for every number of x",
            )
        again = attempt(x.clone(), p, True)
        expect(p == 0 or not torch.equal(again == 0, y == 0), "a second call must drop other numbers")


@exercise(difficulty=2, minutes=15)
def gelu_slope(attempt):
    """attempt(x [...]) -> the derivative of x · Φ(x), Φ the standard normal distribution."""
    for shape, seed in (((9,), 0), ((2, 5), 1), ((3, 1, 7), 2)):
        x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        slope = attempt(x.clone())
        expect(torch.is_tensor(slope) and slope.shape == x.shape, f"the result must have shape {list(shape)}")
        right, tanh_form = (
            torch.autograd.functional.vjp(
                lambda x, form=form: F.gelu(x, approximate=form), x, torch.ones_like(x)
            )[1]
            for form in ("none", "tanh")
        )
        below, bell = torch.special.ndtr(x), torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        mistakes = {
            "that is Φ alone; the product rule adds x times the bell curve": below,
            "that is x times the bell curve alone; the product rule has a second part, Φ": x * bell,
            "that is Φ plus the bell curve: the second part is multiplied with x": below + bell,
            "that is GELU itself, not its slope": F.gelu(x),
            "the bell curve lacks its factor 1/√(2π)": below + x * torch.exp(-x * x / 2),
            "the bell curve's exponent is -x²/2": below + x * torch.exp(-x * x) / math.sqrt(2 * math.pi),
            "the two parts are added, not subtracted": below - x * bell,
        }
        for message, wrong in mistakes.items():
            expect(not torch.allclose(slope, wrong), message)
        expect(not torch.allclose(slope, tanh_form, atol=1e-9), "that is the slope of the tanh form")
        expect(torch.allclose(slope, right), f"off by {(slope - right).abs().max().item():.3g}")
