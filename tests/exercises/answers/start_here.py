"""Right and wrong answers to the exercises of chapter 00, on which its checkers are tested."""

import torch
import torch.nn.functional as F


def distances(a, b):
    return (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T


def distances_by_loop(a, b):
    return torch.stack([torch.stack([((p - q) ** 2).sum() for q in b]) for p in a])


def distances_by_inner_function(a, b):
    def to_point(q):
        return ((a - q) ** 2).sum(dim=1)

    return torch.stack(list(map(to_point, b)), dim=1)


def distances_by_coordinates(a, b):
    total = 0
    for i in range(a.shape[1]):
        total = total + (a[:, i, None] - b[:, i]) ** 2
    return total


def descend(
    x, y, steps=500, rate=0.1, sign=-1, clear=True, moved=(1.0, 1.0), reduce=torch.mean, start=(0.0, 0.0)
):
    """Gradient descent on a line, with switches for the bugs."""
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        if clear:
            w.grad = None
        reduce((w[0] * x + w[1] - y) ** 2).backward()
        with torch.no_grad():
            w += sign * rate * w.grad * torch.tensor(moved)
    return w[0].item(), w[1].item()


def descend_with(**switches):
    return lambda x, y: descend(x, y, **switches)


def descend_by_optimizer(x, y):
    line = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(line.parameters(), lr=0.1, momentum=0.5)
    for _ in range(400):
        optimizer.zero_grad()
        F.mse_loss(line(x[:, None])[:, 0], y).backward()
        optimizer.step()
    return [line.weight, line.bias]


def descend_on_new_tensors(x, y):
    """No number is changed in place."""
    w = torch.zeros(2, dtype=torch.float64)
    for _ in range(500):
        w = w.detach().requires_grad_()
        ((w[0] * x + w[1] - y) ** 2).mean().backward()
        w = w - 0.1 * w.grad
    return w.detach().numpy()


def slope_alone(x, y):
    slope = torch.zeros((), requires_grad=True)
    for _ in range(300):
        slope.grad = None
        ((slope * x - y) ** 2).mean().backward()
        with torch.no_grad():
            slope -= 0.1 * slope.grad
    return slope.item(), 0.0


def normal_equations(x, y):
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return slope, y.mean() - slope * x.mean()


ALTERNATIVES = {
    "squared_distances": [
        distances,
        lambda a, b: torch.cdist(a, b) ** 2,
        lambda a, b: ((a.numpy()[:, None] - b.numpy()) ** 2).sum(-1),
    ],
    "fit_line": [descend, descend_by_optimizer, descend_on_new_tensors],
}

BUGS = {
    "squared_distances": {
        "rows and columns exchanged": (lambda a, b: distances(b, a), "transposed"),
        "with the root": (lambda a, b: distances(a, b).clamp(min=0).sqrt(), "no root"),
        "mean of the coordinates": (lambda a, b: distances(a, b) / a.shape[1], "their mean"),
        "not squared": (lambda a, b: (a[:, None] - b).sum(dim=-1), "square the differences"),
        "squared too late": (lambda a, b: (a[:, None] - b).sum(dim=-1) ** 2, "then squares"),
        "absolute values": (lambda a, b: (a[:, None] - b).abs().sum(dim=-1), "absolute"),
        "first coordinate only": (lambda a, b: (a[:, None, 0] - b[None, :, 0]) ** 2, "first coordinate"),
        "products forgotten": (lambda a, b: (a**2).sum(1)[:, None] + (b**2).sum(1), "products"),
        "a loop over the points": (distances_by_loop, "you loop"),
        "a loop by map": (distances_by_inner_function, "you loop"),
        "a loop over the coordinates": (distances_by_coordinates, "you loop"),
    },
    "fit_line": {
        "too few steps": (descend_with(steps=5), "too few"),
        "uphill": (descend_with(steps=3, sign=1), "uphill"),
        "uphill for long": (descend_with(sign=1), "uphill"),
        "gradients add up": (descend_with(clear=False), "add up"),
        "sum instead of mean": (descend_with(reduce=torch.sum), "not their sum"),
        "too high a rate": (descend_with(rate=2.0), "too high"),
        "offset never moves": (descend_with(moved=(1.0, 0.0)), "only one number"),
        "no offset": (slope_alone, "only one number"),
        "offset and slope exchanged": (lambda x, y: descend(x, y)[::-1], "exchanged"),
        "too low a rate": (descend_with(rate=1e-4), "must be"),
        "by formula": (normal_equations, "backward()"),
        "one number": (lambda x, y: descend(x, y)[0], "2 values"),
    },
}
