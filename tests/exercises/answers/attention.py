"""Right and wrong answers to the exercises of chapter 05, on which its checkers are tested."""

import math

import numpy as np
import torch

from gptlib.attention import attention_weights, causal_mask


def window_by_difference(T, window):
    distance = torch.arange(T)[:, None] - torch.arange(T)[None, :]
    return (distance >= 0) & (distance < window)


def heads(
    x,
    c_attn,
    c_proj,
    n_head,
    *,
    mask=causal_mask,
    scale=None,
    order=(0, 1, 2),
    viewed_wrongly=False,
    merged_wrongly=False,
):
    """Multi-head attention in plain loops, with switches for the bugs."""
    T, C = x.shape
    size = C // n_head
    parts = (x @ c_attn.T).split(C, dim=-1)
    outputs = []
    for h in range(n_head):
        columns = slice(h * size, (h + 1) * size)
        a, b, c = (
            parts[i].reshape(n_head, T, size)[h] if viewed_wrongly else parts[i][:, columns] for i in order
        )
        scores = (a @ b.T * (scale or size**-0.5)).masked_fill(~mask(T), -math.inf)
        outputs.append(scores.softmax(-1) @ c)
    merged = torch.stack(outputs).reshape(T, C) if merged_wrongly else torch.cat(outputs, dim=-1)
    return merged @ c_proj.T


def heads_with(**switches):
    return lambda *given: heads(*given, **switches)


def leaks_by_gradient(f, T, C):
    x = torch.randn(1, T, C, requires_grad=True)
    y = f(x)
    if not y.requires_grad:
        return False
    for t in range(T - 1):
        (gradient,) = torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)
        if gradient[0, t + 1 :].abs().max() > 0:
            return True
    return False


def leaks_when_changing(
    positions=lambda T: range(1, T),
    change=torch.randn_like,
    seen=slice(None),
    tolerance=0.0,
    before=True,
):
    """A right detector, and its parts to be broken."""

    def leaks(f, T, C):
        x = torch.ones(1, T, C)
        for j in positions(T):
            changed = x.clone()
            changed[0, j] += change(changed[0, j])
            difference = (f(changed) - f(x))[0][: j if before else T, seen].abs()
            if difference.numel() and difference.max() > tolerance:
                return True
        return False

    return leaks


def in_channels(channels):
    """A random change of some channels only."""

    def change(row):
        amounts = torch.zeros_like(row)
        amounts[channels] = torch.randn_like(row[channels])
        return amounts

    return change


def leaks_at_numbers_of_its_own(f, T, C):
    """Compares whole outputs, in NumPy."""
    for j in range(1, T):
        x = torch.rand(1, T, C)
        y = x.clone()
        y[0, j] = torch.rand(C) - 9
        if (f(x).numpy()[0, :j] != f(y).numpy()[0, :j]).any():
            return np.True_
    return np.False_


def running(q, pairs, *, stable=True, scaled=True, rescale_values=True, rescale_total=True, first=0):
    """Online softmax, with switches for the bugs."""
    top, total, out = (-math.inf if stable else 0.0), 0.0, torch.zeros_like(q)
    for i, (k, v) in enumerate(pairs):
        if i < first:
            continue
        score = (q @ k).item() / (math.sqrt(len(q)) if scaled else 1)
        new = max(top, score) if stable else 0.0
        shrink = math.exp(top - new) if stable else 1.0
        weight = torch.tensor(score - new, dtype=q.dtype).exp()
        total = total * (shrink if rescale_total else 1.0) + weight
        out = out * (shrink if rescale_values else 1.0) + weight * v
        top = new
    return out / total


def running_with(**switches):
    return lambda q, pairs: running(q, pairs, **switches)


def in_lists(q, pairs):
    """Plain numbers instead of tensors."""
    top, total, out = -math.inf, 0.0, [0.0] * len(q)
    for k, v in pairs:
        score = sum(a * b for a, b in zip(q.tolist(), k.tolist(), strict=True)) / len(q) ** 0.5
        shrink, weight = math.exp(top - max(top, score)), math.exp(score - max(top, score))
        top = max(top, score)
        total = total * shrink + weight
        out = [o * shrink + weight * value for o, value in zip(out, v.tolist(), strict=True)]
    return [o / total for o in out]


def running_from_the_first(q, pairs):
    """The first pair is held to the end."""
    first_key, first_value = next(pairs)
    scale = len(q) ** -0.5
    top, total, out = (q @ first_key * scale).item(), 1.0, first_value
    for k, v in pairs:
        score = (q @ k * scale).item()
        shrink, weight = math.exp(min(0.0, top - score)), math.exp(min(0.0, score - top))
        top, total, out = max(top, score), total * shrink + weight, out * shrink + weight * v
    return out / total


def all_at_once(q, pairs):
    k, v = (torch.stack(t) for t in zip(*pairs, strict=True))
    return attention_weights(q[None], k)[0] @ v


def plain_average(q, pairs):
    total, n = 0, 0
    for _, v in pairs:
        total, n = total + v, n + 1
    return total / n


ALTERNATIVES = {
    "sliding_window_mask": [
        window_by_difference,
        lambda T, w: causal_mask(T).triu(1 - w),
        lambda T, w: window_by_difference(T, w).numpy(),
    ],
    "multi_head_attention": [
        heads,
        lambda *given: heads(*given).float(),
        lambda *given: heads(*given).tolist(),
    ],
    "leaks": [leaks_when_changing(), leaks_at_numbers_of_its_own],
    "one_pass_attention": [running, running_from_the_first, in_lists],
}

BUGS = {
    "sliding_window_mask": {
        "one position too many": (lambda T, w: causal_mask(T).triu(-w), "too many"),
        "one position too few": (lambda T, w: causal_mask(T).triu(2 - w), "too few"),
        "window ignored": (lambda T, w: causal_mask(T), "ignored"),
        "looks ahead": (lambda T, w: window_by_difference(T, w).T, "transposed"),
        "numbers instead of booleans": (lambda T, w: window_by_difference(T, w).float(), "torch.bool"),
        "far end of the window": (
            lambda T, w: torch.arange(T)[None, :] < torch.arange(1, T + 1).clamp(max=w)[:, None],
            "move",
        ),
        "one row": (lambda T, w: window_by_difference(T, w)[-1], "shape"),
    },
    "multi_head_attention": {
        "no mask": (heads_with(mask=lambda T: torch.ones(T, T, dtype=torch.bool)), "future"),
        "does not see itself": (heads_with(mask=lambda T: causal_mask(T).tril(-1)), "itself"),
        "scaled by √C": (lambda x, *given: heads(x, *given, scale=x.shape[1] ** -0.5), "divided by √C"),
        "not scaled": (heads_with(scale=1.0), "not divided"),
        "projection missing": (
            lambda x, a, p, n: heads(x, a, torch.eye(x.shape[1], dtype=x.dtype), n),
            "missing",
        ),
        "projection transposed": (lambda x, a, p, n: heads(x, a, p.T, n), "transpose"),
        "queries and keys swapped": (heads_with(order=(1, 0, 2)), "keys, queries, values"),
        "queries and values swapped": (heads_with(order=(2, 1, 0)), "values, keys, queries"),
        "keys and values swapped": (heads_with(order=(0, 2, 1)), "queries, values, keys"),
        "view without transpose": (heads_with(viewed_wrongly=True), "view(n_head, T, head_size)"),
        "merged without transpose": (heads_with(merged_wrongly=True), "merged"),
        "no transpose at all": (heads_with(viewed_wrongly=True, merged_wrongly=True), "both"),
        "one head only": (lambda x, a, p, n: heads(x, a, p, 1), "one head"),
    },
    "leaks": {
        "never finds anything": (lambda f, T, C: False, "finds no leak"),
        "always finds something": (lambda f, T, C: True, "constant"),
        "returns nothing": (lambda f, T, C: None, "True or False"),
        "changes only the first token": (leaks_when_changing(lambda T: [0]), "after the first"),
        "changes only the last token": (leaks_when_changing(lambda T: [T - 1]), "every position"),
        "looks at the last channel": (leaks_when_changing(seen=slice(-1, None)), "compare all channels"),
        "changes the first channel": (leaks_when_changing(change=in_channels([0])), "change all channels"),
        "changes the last channel": (leaks_when_changing(change=in_channels([-1])), "change all channels"),
        "too coarse": (leaks_when_changing(tolerance=1e-4), "tolerance"),
        "a little too coarse": (leaks_when_changing(tolerance=1e-7), "tolerance"),
        "one amount for all channels": (leaks_when_changing(change=torch.ones_like), "of its own"),
        "by the gradient": (leaks_by_gradient, "gradient"),
        "counts the present and what follows": (leaks_when_changing(before=False), "before the change"),
    },
    "one_pass_attention": {
        "overflows": (running_with(stable=False), "overflows"),
        "values not rescaled": (running_with(rescale_values=False), "weighted values is not rescaled"),
        "weights not rescaled": (running_with(rescale_total=False), "weights is not rescaled"),
        "nothing rescaled": (running_with(rescale_values=False, rescale_total=False), "neither"),
        "not scaled": (running_with(scaled=False), "not divided"),
        "first pair skipped": (running_with(first=1), "first pair"),
        "plain average": (plain_average, "plain mean"),
        "all kept": (all_at_once, "are kept"),
        "reads one pair": (lambda q, pairs: next(pairs)[1], "1 read"),
    },
}
