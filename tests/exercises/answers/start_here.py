"""Right and wrong answers to the exercises of chapter 00, on which its checkers are tested."""

import torch


def distances_by_loop(a, b):
    return torch.stack([torch.stack([((p - q) ** 2).sum() for q in b]) for p in a])


def descend(x, y, steps=500, sign=-1, clear=True, offset_too=True):
    """Gradient descent on a line, with switches for the bugs."""
    w = torch.zeros(2, requires_grad=True)
    for _ in range(steps):
        if clear:
            w.grad = None
        ((w[0] * x + w[1] - y) ** 2).mean().backward()
        with torch.no_grad():
            w += sign * 0.1 * w.grad * torch.tensor([1.0, float(offset_too)])
    return w[0].item(), w[1].item()


def normal_equations(x, y):
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return slope, y.mean() - slope * x.mean()


ALTERNATIVES = {
    "squared_distances": [
        distances_by_loop,
        lambda a, b: (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T,
    ],
    "fit_line": [normal_equations, descend],
}

BUGS = {
    "squared_distances": {
        "turned over": lambda a, b: distances_by_loop(b, a),
        "with the root": lambda a, b: distances_by_loop(a, b).sqrt(),
        "mean of the coordinates": lambda a, b: distances_by_loop(a, b) / a.shape[1],
        "not squared": lambda a, b: (a[:, None] - b).sum(dim=-1),
        "first coordinate only": lambda a, b: (a[:, None, 0] - b[None, :, 0]) ** 2,
    },
    "fit_line": {
        "too few steps": lambda x, y: descend(x, y, steps=5),
        "uphill": lambda x, y: descend(x, y, steps=3, sign=1),
        "gradients add up": lambda x, y: descend(x, y, clear=False),
        "no offset": lambda x, y: descend(x, y, offset_too=False),
        "offset and slope swapped": lambda x, y: descend(x, y)[::-1],
    },
}
