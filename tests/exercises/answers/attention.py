"""Right and wrong answers to the exercises of chapter 05, on which its checkers are tested."""

import math

import torch

from gptlib.attention import attention_weights, causal_mask


def window_by_difference(T, window):
    distance = torch.arange(T)[:, None] - torch.arange(T)[None, :]
    return (distance >= 0) & (distance < window)


def heads(x, c_attn, c_proj, n_head, *, mask=True, scale=None, swapped=False, viewed_wrongly=False):
    """Multi-head attention in plain loops, with switches for the bugs."""
    T, C = x.shape
    size = C // n_head
    q, k, v = (x @ c_attn.T).split(C, dim=-1)
    if swapped:
        q, k = v, q
    out = torch.zeros_like(x)
    for h in range(n_head):
        columns = slice(h * size, (h + 1) * size)
        a, b, c = q[:, columns], k[:, columns], v[:, columns]
        if viewed_wrongly:
            a, b, c = (t.reshape(n_head, T, size)[h] for t in (q, k, v))
        scores = a @ b.T * (scale or size**-0.5)
        if mask:
            scores = scores.masked_fill(~causal_mask(T), -math.inf)
        out[:, columns] = scores.softmax(-1) @ c
    return out @ c_proj.T


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


def leaks_when_changing(positions, channels=slice(None), tolerance=0.0, before=True):
    """A detector that changes only some positions, or looks only at some channels."""

    def leaks(f, T, C):
        x = torch.ones(1, T, C)
        for j in positions(T):
            changed = x.clone()
            changed[0, j] += 1
            difference = (f(changed) - f(x))[0][: j if before else T, channels].abs()
            if difference.numel() and difference.max() > tolerance:
                return True
        return False

    return leaks


def running(q, pairs, *, stable=True, scaled=True, rescale_values=True, skip_first=False):
    """Online softmax, with switches for the bugs."""
    top, total, out = (-math.inf if stable else 0.0), 0.0, torch.zeros_like(q)
    for i, (k, v) in enumerate(pairs):
        if skip_first and i == 0:
            continue
        score = (q @ k).item() / (math.sqrt(len(q)) if scaled else 1)
        new = max(top, score) if stable else 0.0
        shrink = math.exp(top - new) if stable else 1.0
        weight = torch.tensor(score - new, dtype=q.dtype).exp()
        total = total * shrink + weight
        out = out * (shrink if rescale_values else 1.0) + weight * v
        top = new
    return out / total


def all_at_once(q, pairs):
    k, v = (torch.stack(t) for t in zip(*pairs, strict=True))
    return attention_weights(q[None], k)[0] @ v


ALTERNATIVES = {
    "sliding_window_mask": [window_by_difference, lambda T, w: causal_mask(T).triu(1 - w)],
    "multi_head_attention": [heads],
    "leaks": [leaks_by_gradient],
    "one_pass_attention": [running, all_at_once],
}

BUGS = {
    "sliding_window_mask": {
        "one position too many": lambda T, w: causal_mask(T).triu(-w),
        "one position too few": lambda T, w: causal_mask(T).triu(min(0, 2 - w)),
        "window ignored": lambda T, w: causal_mask(T),
        "looks ahead": lambda T, w: window_by_difference(T, w).T,
        "numbers instead of booleans": lambda T, w: window_by_difference(T, w).float(),
        "far end of the window": lambda T, w: (
            torch.arange(T)[None, :] < torch.arange(1, T + 1).clamp(max=w)[:, None]
        ),
    },
    "multi_head_attention": {
        "no mask": lambda x, a, p, n: heads(x, a, p, n, mask=False),
        "scaled by √C": lambda x, a, p, n: heads(x, a, p, n, scale=x.shape[1] ** -0.5),
        "not scaled": lambda x, a, p, n: heads(x, a, p, n, scale=1.0),
        "projection missing": lambda x, a, p, n: heads(x, a, torch.eye(x.shape[1], dtype=x.dtype), n),
        "projection transposed": lambda x, a, p, n: heads(x, a, p.T, n),
        "queries and values swapped": lambda x, a, p, n: heads(x, a, p, n, swapped=True),
        "view without transpose": lambda x, a, p, n: heads(x, a, p, n, viewed_wrongly=True),
        "one head only": lambda x, a, p, n: heads(x, a, p, 1),
    },
    "leaks": {
        "never finds anything": lambda f, T, C: False,
        "always finds something": lambda f, T, C: True,
        "changes only the first token": leaks_when_changing(lambda T: [0]),
        "changes only the last token": leaks_when_changing(lambda T: [T - 1]),
        "looks at one channel": leaks_when_changing(range, channels=slice(0, 1)),
        "too coarse": leaks_when_changing(range, tolerance=0.01),
        "counts the present and what follows": leaks_when_changing(range, before=False),
    },
    "one_pass_attention": {
        "overflows": lambda q, pairs: running(q, pairs, stable=False),
        "values not rescaled": lambda q, pairs: running(q, pairs, rescale_values=False),
        "not scaled": lambda q, pairs: running(q, pairs, scaled=False),
        "first pair skipped": lambda q, pairs: running(q, pairs, skip_first=True),
        "plain average": lambda q, pairs: torch.stack([v for _, v in pairs]).mean(dim=0),
    },
}
