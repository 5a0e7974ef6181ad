"""The checkers of chapter 04."""

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
