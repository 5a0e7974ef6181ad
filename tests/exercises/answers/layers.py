"""Right and wrong answers to the exercises of chapter 04, on which its checkers are tested."""

import math

import torch
import torch.nn.functional as F


def by_rows(x, weight, eps=1e-5):
    rows = x.reshape(-1, x.shape[-1])
    out = [row / ((row @ row) / len(row) + eps) ** 0.5 * weight for row in rows]
    return torch.stack(out).view(x.shape)


def root_mean_square(x, weight, eps=1e-5, *, dim=-1, centre=False, scale=True, outside=False):
    """RMSNorm, with switches for the bugs."""
    if centre:
        x = x - x.mean(dim=-1, keepdim=True)
    square = (x * x).mean(dim=dim, keepdim=True)
    y = x / (square.sqrt() + eps) if outside else x / (square + eps).sqrt()
    return y * weight if scale else y


def by_outer_products(dY, X, W):
    dW = sum(torch.outer(dy, x) for dy, x in zip(dY, X, strict=True))
    return torch.stack([W.T @ dy for dy in dY]), dW, torch.ones(len(dY), dtype=dY.dtype) @ dY


def changed(place, f):
    """The right gradients, but for one of them."""

    def linear_backward(dY, X, W):
        gradients = list(by_outer_products(dY, X, W))
        gradients[place] = f(dY, X, W)
        return tuple(gradients)

    return linear_backward


BELL = 1 / math.sqrt(2 * math.pi)


def slope_by_steps(x, approximate="none"):
    step = 1e-5
    return (F.gelu(x + step, approximate=approximate) - F.gelu(x - step, approximate=approximate)) / (
        2 * step
    )


def slope(x, *, below=1.0, bell=1.0, by_x=True, factor=BELL, exponent=0.5):
    """The slope of GELU in two parts, with switches for the bugs."""
    curve = torch.exp(-exponent * x * x) * factor
    return below * torch.special.ndtr(x) + bell * (x if by_x else 1) * curve


def slope_by_autograd(x):
    x = x.clone().requires_grad_()
    F.gelu(x).sum().backward()
    return x.grad


def linear_by_autograd(dY, X, W):
    leaves = [t.requires_grad_() for t in (X, W, torch.zeros(len(W), dtype=W.dtype))]
    return torch.autograd.grad(F.linear(*leaves), leaves, dY)


def slope_with(**switches):
    return lambda x: slope(x, **switches)


ALTERNATIVES = {
    "rms_norm": [by_rows, root_mean_square, lambda x, w, eps: by_rows(x.float(), w.float(), eps).numpy()],
    "linear_backward": [by_outer_products, lambda *given: [t.float() for t in by_outer_products(*given)]],
    "gelu_slope": [slope, slope_by_steps, lambda x: slope(x.float()).tolist()],
}

BUGS = {
    "rms_norm": {
        "centred": (lambda *a: root_mean_square(*a, centre=True), "LayerNorm"),
        "not scaled": (lambda *a: root_mean_square(*a, scale=False), "weight"),
        "eps outside the root": (lambda *a: root_mean_square(*a, outside=True), "under the root"),
        "over all dimensions": (
            lambda x, w, eps=1e-5: x / ((x * x).mean() + eps).sqrt() * w,
            "last dimension",
        ),
        "sum instead of mean": (
            lambda x, w, eps=1e-5: x / ((x * x).sum(-1, keepdim=True) + eps).sqrt() * w,
            "not their sum",
        ),
        "no root": (
            lambda x, w, eps=1e-5: x / ((x * x).mean(-1, keepdim=True) + eps) * w,
            "the root is missing",
        ),
        "eps left out": (lambda x, w, eps=1e-5: root_mean_square(x, w, 0.0), "eps is left out"),
    },
    "linear_backward": {
        "dX not multiplied": (changed(0, lambda dY, X, W: X), "X itself"),
        "dW transposed": (changed(1, lambda dY, X, W: X.T @ dY), "transposed"),
        "dW from the weights": (changed(1, lambda dY, X, W: W), "W itself"),
        "dW averaged": (changed(1, lambda dY, X, W: dY.T @ X / len(X)), "dW: it is the sum"),
        "db averaged": (changed(2, lambda dY, X, W: dY.mean(dim=0)), "db: it is the sum"),
        "db not summed": (changed(2, lambda dY, X, W: dY), "not summed"),
        "wrong order": (lambda dY, X, W: by_outer_products(dY, X, W)[::-1], "the order"),
        "db forgotten": (lambda dY, X, W: by_outer_products(dY, X, W)[:2], "3 values"),
        "by autograd": (linear_by_autograd, "autograd"),
    },
    "gelu_slope": {
        "no product rule": (slope_with(bell=0.0), "Φ alone"),
        "second part alone": (slope_with(below=0.0), "bell curve alone"),
        "second part not multiplied with x": (slope_with(by_x=False), "multiplied with x"),
        "bell curve without its factor": (slope_with(factor=1.0), "factor"),
        "wrong exponent": (slope_with(exponent=1.0), "exponent"),
        "subtracted": (slope_with(bell=-1.0), "not subtracted"),
        "GELU itself": (F.gelu, "GELU itself"),
        "slope of ReLU": (lambda x: (x > 0).to(x.dtype), "ReLU"),
        "slope of the tanh form": (
            lambda x: slope_by_steps(x, approximate="tanh"),
            "tanh form",
        ),
        "by autograd": (slope_by_autograd, "autograd"),
    },
}
