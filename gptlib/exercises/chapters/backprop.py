"""The checkers of chapter 08. Each calls the reader's function on inputs of several sizes and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, parts, tensor
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


def layer_norm_gradient(x, grad_hat, eps):
    """What LayerNorm hands back to x."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(torch.nn.functional.layer_norm(x, x.shape[-1:], eps=eps), x, grad_hat)[0]


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
            "the factor r in front is missing": right_x / r,
            "take the mean of ĝ · x̂, not the sum": (
                r * (grad_hat - x_hat * (grad_hat * x_hat).sum(dim=-1, keepdim=True))
            ),
            "the weight is missing: ĝ = g · w": r * (grad_out - x_hat * mean(grad_out * x_hat)),
            "r is missing in x̂ = r · x": r * (grad_hat - x * mean(grad_hat * x)),
            "the second part is subtracted, not added": r * (grad_hat + x_hat * mean(grad_hat * x_hat)),
        }
        for centred in (
            right_x - r * mean(grad_hat),
            right_x - mean(right_x),
            layer_norm_gradient(x, grad_hat, eps),
        ):
            expect(
                not close(grad_x, centred),
                "the gradient of x: nothing was centred forward, so no mean of the gradient is subtracted backward",
            )
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
