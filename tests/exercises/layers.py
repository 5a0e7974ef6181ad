"""Right and wrong answers to the exercises of chapter 04, on which its checkers are tested."""

import torch


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


ALTERNATIVES = {"rms_norm": [by_rows, root_mean_square], "linear_backward": [by_outer_products]}

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
}
