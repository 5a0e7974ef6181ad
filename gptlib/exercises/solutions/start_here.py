"""Solutions to the exercises of chapter 00, each after a line with its checker's name."""

import torch


# --- what_came
def what_came(table, columns):
    return table.gather(1, columns.unsqueeze(-1)).squeeze(-1)


# --- fit_line
def fit_line(x, y):
    slope, offset = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    for _ in range(500):
        loss = ((slope * x + offset - y) ** 2).mean()
        slope.grad = offset.grad = None
        loss.backward()
        with torch.no_grad():
            slope -= 0.1 * slope.grad
            offset -= 0.1 * offset.grad
    return slope.item(), offset.item()
