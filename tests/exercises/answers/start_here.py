"""Right and wrong answers to the exercises of chapter 00, on which its checkers are tested."""

import numpy as np
import torch
import torch.nn.functional as F


def by_two_indices(table, columns):
    return table[range(len(table)), columns]


def by_mask(table, columns):
    return table[torch.arange(table.shape[1]) == columns[:, None]]


def by_loop(table, columns):
    return torch.stack([row[column] for row, column in zip(table, columns, strict=True)])


def by_inner_function(table, columns):
    def one(i):
        return table[i, columns[i]]

    return torch.stack(list(map(one, range(len(table)))))


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
    "what_came": [
        by_two_indices,
        by_mask,
        lambda table, columns: (table * F.one_hot(columns, table.shape[1])).sum(dim=1),
        lambda table, columns: np.take_along_axis(table.numpy(), columns.numpy()[:, None], 1)[:, 0],
        lambda table, columns: by_two_indices(table, columns).tolist(),
    ],
    "fit_line": [descend, descend_by_optimizer, descend_on_new_tensors],
}

BUGS = {
    "what_came": {
        "a last dimension too many": (lambda t, c: t.gather(1, c[:, None]), "squeeze"),
        "from every row": (lambda t, c: t[:, c], "every row"),
        "whole rows": (lambda t, c: t[c % len(t)], "whole rows"),
        "the largest": (lambda t, c: t.amax(1), "largest"),
        "one too far": (lambda t, c: by_two_indices(t, (c + 1) % t.shape[1]), "too far"),
        "one too early": (lambda t, c: by_two_indices(t, c - 1), "too early"),
        "the first column": (lambda t, c: t[:, 0], "first column"),
        "the first row": (lambda t, c: t[0, c], "first row"),
        "sums": (lambda t, c: t.sum(1), "summed"),
        "a loop": (by_loop, "you loop"),
        "a loop by map": (by_inner_function, "you loop"),
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
