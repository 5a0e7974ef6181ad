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


def dropped(x, p, training, *, keep=None, scale=None, always=False, fixed=False, shape=None):
    """Dropout, with switches for the bugs."""
    if not training and not always:
        return x
    generator = torch.Generator().manual_seed(0) if fixed else None
    drawn = torch.rand(x.shape if shape is None else shape(x.shape), generator=generator)
    kept = (drawn < (1 - p if keep is None else keep(p))).expand(x.shape)
    return torch.where(kept, x * (1 / (1 - p) if scale is None else scale(p)), 0.0)


BELL = 1 / math.sqrt(2 * math.pi)


def slope_by_steps(x):
    step = 1e-5
    return (F.gelu(x + step) - F.gelu(x - step)) / (2 * step)


def slope(x, *, below=1.0, bell=1.0, by_x=True, factor=BELL, exponent=0.5):
    """The slope of GELU in two parts, with switches for the bugs."""
    curve = torch.exp(-exponent * x * x) * factor
    return below * torch.special.ndtr(x) + bell * (x if by_x else 1) * curve


def slope_of_the_tanh_form(x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.gelu(x, approximate="tanh").sum(), x)[0]


ALTERNATIVES = {
    "rms_norm": [by_rows, root_mean_square],
    "linear_backward": [by_outer_products],
    "dropout": [dropped, lambda x, p, training: F.dropout(x, p, training)],
    "gelu_slope": [slope, slope_by_steps],
}

BUGS = {
    "rms_norm": {
        "centred": lambda *a: root_mean_square(*a, centre=True),
        "not scaled": lambda *a: root_mean_square(*a, scale=False),
        "eps outside the root": lambda *a: root_mean_square(*a, outside=True),
        "over all dimensions": lambda x, w, eps=1e-5: x / ((x * x).mean() + eps).sqrt() * w,
        "sum instead of mean": lambda x, w, eps=1e-5: x / ((x * x).sum(-1, keepdim=True) + eps).sqrt() * w,
        "eps left out": lambda x, w, eps=1e-5: root_mean_square(x, w, 0.0),
    },
    "linear_backward": {
        "dX not multiplied": changed(0, lambda dY, X, W: X),
        "dW turned over": changed(1, lambda dY, X, W: X.T @ dY),
        "dW from the weights": changed(1, lambda dY, X, W: W),
        "db averaged": changed(2, lambda dY, X, W: dY.mean(dim=0)),
        "db not summed": changed(2, lambda dY, X, W: dY),
        "wrong order": lambda dY, X, W: by_outer_products(dY, X, W)[::-1],
    },
    "dropout": {
        "not scaled": lambda *a: dropped(*a, scale=lambda p: 1.0),
        "scaled the wrong way": lambda *a: dropped(*a, scale=lambda p: 1 - p),
        "divided by p": lambda *a: dropped(*a, scale=lambda p: 1 / max(p, 1e-9)),
        "p is kept": lambda *a: dropped(*a, keep=lambda p: p),
        "left on in evaluation": lambda *a: dropped(*a, always=True),
        "scaled in evaluation": lambda x, p, t: dropped(x, p, t, scale=lambda p: 1.0) if t else x * (1 - p),
        "the same numbers each time": lambda *a: dropped(*a, fixed=True),
        "whole rows": lambda *a: dropped(*a, shape=lambda s: (*s[:-1], 1)),
        "whole columns": lambda *a: dropped(*a, shape=lambda s: s[-1:]),
        "training and evaluation swapped": lambda x, p, t: dropped(x, p, not t),
    },
    "gelu_slope": {
        "no product rule": lambda x: slope(x, bell=0.0),
        "second part alone": lambda x: slope(x, below=0.0),
        "second part not multiplied with x": lambda x: slope(x, by_x=False),
        "bell curve without its factor": lambda x: slope(x, factor=1.0),
        "wrong exponent": lambda x: slope(x, exponent=1.0),
        "subtracted": lambda x: slope(x, bell=-1.0),
        "GELU itself": F.gelu,
        "slope of ReLU": lambda x: (x > 0).to(x.dtype),
        "slope of the tanh form": slope_of_the_tanh_form,
    },
}
