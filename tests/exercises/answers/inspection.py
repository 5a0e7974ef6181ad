"""Right and wrong answers to the exercises of chapter 13, on which its checkers are tested."""

import math
from statistics import NormalDist

import numpy as np
import torch


def clear(costs, *, corrected=True, sides=2, absolute=True, root=True, unbiased=True):
    """Which heads are clear, with switches for the bugs."""
    costs = np.asarray(costs)
    n_heads, N = costs.shape
    error = costs.std(axis=1, ddof=int(unbiased)) / (math.sqrt(N) if root else 1)
    z = costs.mean(axis=1) / error
    bound = NormalDist().inv_cdf(1 - 0.05 / (n_heads if corrected else 1) / sides)
    return [i for i in range(n_heads) if (abs(z[i]) if absolute else z[i]) > bound]


def clear_with(**switches):
    return lambda costs: clear(costs, **switches)


def clear_by_p(costs):
    z = costs.mean(1) / costs.std(1) * costs.shape[1] ** 0.5
    p = 2 * (1 - torch.special.ndtr(z.abs()))
    return (p < 0.05 / len(costs)).nonzero().flatten()


def without_by_subtraction(model, parts, name):
    stream = torch.stack(list(parts.values())).sum(dim=0) - parts[name]
    return (model.ln_f(stream) @ model.lm_head.weight.T).detach()


def frozen(model, parts, name):
    from gptlib.inspection import logit_parts

    shares = logit_parts(model, parts)
    return sum(share for key, share in shares.items() if key != name)


def through(model, stream):
    with torch.no_grad():
        return model.lm_head(model.ln_f(stream))


def popped(model, parts, name):
    parts.pop(name)
    return through(model, sum(parts.values()))


def no_norm(model, parts, name):
    with torch.no_grad():
        return model.lm_head(sum(part for key, part in parts.items() if key != name))


def task(tokens, share, seed, *, generator=True, per_kind=True, of_these=False, flipped=False, offset=0):
    """A control task, with switches for the bugs."""
    rng = torch.Generator().manual_seed(seed + offset) if generator else None
    if not per_kind:
        return (torch.rand(tokens.shape, generator=rng) < share).long()
    if of_these:
        kinds, places = tokens.unique(return_inverse=True)
        return (torch.rand(len(kinds), generator=rng) < share).long()[places]
    table = torch.rand(50_000, generator=rng) < share
    return (~table if flipped else table).long()[tokens]


def task_with(**switches):
    return lambda tokens, share, seed: task(tokens, share, seed, **switches)


def task_by_default_rng(tokens, share, seed):
    torch.manual_seed(seed)
    return (torch.rand(50_000) < share).long()[tokens]


def task_by_hash(tokens, share, seed):
    import random

    return [
        [int(random.Random(f"{seed} {token}").random() < share) for token in row] for row in tokens.tolist()
    ]


def where(
    before,
    after,
    marked,
    *,
    swapped=False,
    of_windows=False,
    root=True,
    counted=False,
    positions=False,
    drop=True,
):
    """The cost at marked positions and elsewhere, with switches for the bugs."""
    rise = before - after if swapped else after - before
    inside, outside = rise[marked].mean(), rise[~marked].mean()
    if of_windows:
        inside = torch.stack([r[m].mean() for r, m in zip(rise, marked, strict=True) if m.any()]).mean()
    rows = [(r, m) for r, m in zip(rise, marked, strict=True) if not drop or (m.any() and not m.all())]
    differences = torch.stack([r[m].mean() - r[~m].mean() for r, m in rows])
    n = len(rise) if counted else len(rows)
    error = differences.std() / (n**0.5 if root else 1)
    if positions:
        error = rise.flatten().std() / rise.numel() ** 0.5
    return inside, outside, error


def where_with(**switches):
    return lambda before, after, marked: where(before, after, marked, **switches)


def where_in_numpy(before, after, marked):
    rise, marked = (after - before).numpy(), marked.numpy()
    differences = [
        r[m].mean() - r[~m].mean() for r, m in zip(rise, marked, strict=True) if 0 < m.sum() < len(m)
    ]
    error = np.std(differences, ddof=1) / math.sqrt(len(differences))
    return [float(rise[marked].mean()), float(rise[~marked].mean()), float(error)]


ALTERNATIVES = {
    "clear_heads": [clear, clear_by_p, lambda costs: tuple(clear(costs))],
    "without": [without_by_subtraction, lambda *given: without_by_subtraction(*given).tolist()],
    "control_task": [task, task_by_hash, lambda *given: task(*given).numpy()],
    "cost_where": [where, where_in_numpy],
}

BUGS = {
    "clear_heads": {
        "no correction": (clear_with(corrected=False), "no correction"),
        "one side": (clear_with(sides=1), "each side"),
        "only rises": (clear_with(absolute=False), "lowers the loss"),
        "no root": (clear_with(root=False), "root of N"),
        "none": (lambda costs: [], "clear are"),
        "a set of booleans": (lambda costs: None, "a list of indices"),
        "means": (lambda costs: costs.mean(1), "whole number"),
    },
    "without": {
        "frozen divisor": (frozen, "old one"),
        "nothing taken out": (lambda m, p, n: through(m, sum(p.values())), "nothing was taken out"),
        "no norm": (no_norm, "ln_f is missing"),
        "the part alone": (lambda m, p, n: through(m, p[n]), "part alone"),
        "changes the dictionary": (popped, "dictionary"),
        "the stream": (lambda m, p, n: sum(p.values()) - p[n], "shape"),
    },
    "control_task": {
        "a label a position": (task_with(per_kind=False), "same kind"),
        "depends on the text": (task_with(of_these=True), "what else"),
        "flipped": (task_with(flipped=True), "not of 0"),
        "seed ignored": (lambda tokens, share, seed: task(tokens, share, 3), "another seed"),
        "no seed": (task_with(generator=False), "depend"),
        "default generator": (task_by_default_rng, "default one"),
        "even kinds": (
            lambda tokens, share, seed: (tokens % 2 if share == 0.5 else tokens % 5 == 0).long(),
            "order",
        ),
        "share ignored": (lambda tokens, share, seed: task(tokens, 0.5, seed), "have the label 1"),
    },
    "cost_where": {
        "swapped": (where_with(swapped=True), "swapped"),
        "means of windows": (where_with(of_windows=True), "all positions together"),
        "no root": (where_with(root=False), "root of the number"),
        "counts windows left out": (where_with(counted=True), "left out do not count"),
        "positions as units": (where_with(positions=True), "windows are the units"),
        "keeps all windows": (where_with(drop=False), "not a number"),
        "two values": (lambda b, a, m: where(b, a, m)[:2], "3 values"),
        "marked and others": (lambda b, a, m: where(b, a, ~m), "others are swapped"),
    },
}
