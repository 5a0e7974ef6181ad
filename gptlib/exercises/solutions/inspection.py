"""Solutions to the exercises of chapter 13, each after a line with its checker's name."""

from statistics import NormalDist

import torch


# --- clear_heads
def clear_heads(costs):
    n_heads, N = costs.shape
    z = costs.mean(dim=1) / (costs.std(dim=1) / N**0.5)
    bound = NormalDist().inv_cdf(1 - 0.05 / n_heads / 2)
    return [i for i, value in enumerate(z.tolist()) if abs(value) > bound]


# --- without
def without(model, parts, name):
    rest = sum(part for key, part in parts.items() if key != name)
    with torch.no_grad():
        return model.lm_head(model.ln_f(rest))


# --- control_task
def control_task(tokens, share, seed):
    table = torch.rand(100_000, generator=torch.Generator().manual_seed(seed)) < share
    return table.long()[tokens]


# --- cost_where
def cost_where(before, after, marked):
    rise = after - before
    differences = [
        rise[b][marked[b]].mean() - rise[b][~marked[b]].mean()
        for b in range(len(rise))
        if marked[b].any() and not marked[b].all()
    ]
    error = torch.stack(differences).std() / len(differences) ** 0.5
    return rise[marked].mean(), rise[~marked].mean(), error
