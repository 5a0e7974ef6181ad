"""The checkers of chapter 08."""

import torch

from gptlib.exercises import exercise, expect


def close(a, b, tolerance=1e-9):
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)


@exercise(difficulty=1, minutes=10)
def average_backward(attempt):
    """attempt(grad_out) -> the gradient of x in y_t = mean of x_0 … x_t."""
    for T, C, seed in ((1, 2, 0), (3, 1, 1), (5, 4, 2)):
        g = torch.Generator().manual_seed(seed)
        grad_out = torch.randn(T, C, generator=g, dtype=torch.float64)
        lower = torch.tril(torch.ones(T, T, dtype=torch.float64))
        average = lower / lower.sum(dim=1, keepdim=True)
        right, given = average.T @ grad_out, grad_out.clone()
        found = attempt(grad_out)
        expect(
            isinstance(found, torch.Tensor) and found.shape == (T, C), f"return a tensor of shape {(T, C)}"
        )
        expect(torch.equal(grad_out, given), "the gradient that was given has changed; work on a copy")
        if T > 1:
            expect(
                not close(found, average @ grad_out),
                "this averages the past again; backward, position s collects from the positions after it",
            )
            expect(
                not close(found, lower.T @ grad_out), "divide each gradient by the number it averaged: t + 1"
            )
            wrong = (lower.T @ grad_out) / lower.sum(dim=1, keepdim=True)
            expect(not close(found, wrong), "divide by t + 1 of the output, before you add up over outputs")
        expect(close(found, right), f"T={T}: off by {(found - right).abs().max():.2e}")


@exercise(difficulty=2, minutes=15)
def numerical_gradient(attempt):
    """attempt(f, x, h) -> the gradient of f at x, measured."""
    g = torch.Generator().manual_seed(3)
    cases = (
        ("a sum of squares", lambda x: (x**2).sum(), lambda x: 2 * x, (3,)),
        ("a cube", lambda x: (x**3).sum(), lambda x: 3 * x**2, (2, 2)),
        ("a product of entries", lambda x: x[0, 0] * x[1, 2], None, (2, 3)),
        ("a plain number", lambda x: float(x.exp().sum()), lambda x: x.exp(), ()),
    )
    for name, f, slope, shape in cases:
        x = torch.randn(shape, generator=g, dtype=torch.float64)
        if slope is None:
            right = torch.zeros_like(x)
            right[0, 0], right[1, 2] = x[1, 2], x[0, 0]
        else:
            right = slope(x)
        given = x.clone()
        found = attempt(f, x, 1e-4)
        expect(torch.equal(x, given), "x has changed: move a copy of it")
        expect(
            isinstance(found, torch.Tensor) and found.shape == x.shape,
            f"{name}: return a tensor of the shape of x, {tuple(x.shape)}",
        )
        expect(found.dtype == torch.float64, "return float64, as x is")
        off = (found - right).abs().max().item()
        expect(not torch.allclose(found, 2 * right, atol=1e-4), f"{name}: the distance is 2h, not h")
        expect(
            off < 1e-6,
            f"{name}: off by {off:.1e}" + ("; go up and down, not only up" if off < 1e-2 else ""),
        )


@exercise(difficulty=3, minutes=20)
def rms_norm_backward(attempt):
    """attempt(grad_out, x, weight, eps) -> (gradient of x, gradient of weight) of y = x / rms(x) * weight."""
    for shape, eps, seed in (((4,), 1e-5, 4), ((3, 5), 1e-5, 5), ((2, 3, 6), 0.5, 6)):
        g = torch.Generator().manual_seed(seed)
        x, grad_out = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
        weight = 1 + torch.randn(shape[-1], generator=g, dtype=torch.float64)
        x.requires_grad_()
        weight.requires_grad_()
        y = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * weight
        right_x, right_w = torch.autograd.grad(y, (x, weight), grad_out)
        x, weight = x.detach(), weight.detach()
        answer = attempt(grad_out.clone(), x.clone(), weight.clone(), eps)
        expect(
            isinstance(answer, tuple) and len(answer) == 2,
            "return two tensors: the gradients of x and of weight",
        )
        grad_x, grad_w = answer
        expect(
            grad_x.shape == x.shape, f"x has the shape {tuple(x.shape)}, its gradient {tuple(grad_x.shape)}"
        )
        r = torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + eps)
        straight = r * grad_out * weight
        expect(
            not close(grad_x, straight), "r depends on x too: stretching x must (nearly) not change the loss"
        )
        expect(
            not close(grad_x, straight - r * straight.mean(dim=-1, keepdim=True) / r),
            "nothing was centred forward, so no mean is subtracted backward",
        )
        expect(close(grad_x, right_x), f"the gradient of x is off by {(grad_x - right_x).abs().max():.1e}")
        expect(
            grad_w.shape == weight.shape,
            f"weight was used in every row: sum its gradient to the shape {tuple(weight.shape)}",
        )
        expect(
            close(grad_w, right_w), f"the gradient of weight is off by {(grad_w - right_w).abs().max():.1e}"
        )
