"""The checkers of chapter 05. Each calls the reader's function on inputs of several sizes and names the mistake."""

import math

import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def sliding_window_mask(attempt):
    """attempt(T, window) -> bool [T, T]: True where t may look at s, itself and the window - 1 positions before."""
    for T, window in ((5, 2), (6, 3), (4, 1), (3, 10)):
        mask = attempt(T, window)
        expect(
            torch.is_tensor(mask) and mask.shape == (T, T),
            f"sliding_window_mask({T}, {window}) must have shape [{T}, {T}]",
        )
        expect(mask.dtype == torch.bool, f"the mask must be torch.bool, yours is {mask.dtype}")
        expect(not mask.triu(1).any(), "your mask lets a position look at a later one")
        expect(mask.diagonal().all(), "every position must see itself")
        for t in range(T):
            seen, right = int(mask[t].sum()), min(t + 1, window)
            expect(
                seen == right,
                f"with window={window}, position {t} must see {right} positions, yours sees {seen}",
            )
            expect(
                mask[t, t - right + 1 : t + 1].all(),
                f"position {t} must see the nearest positions, without gaps",
            )


@exercise(difficulty=2, minutes=15)
def multi_head_attention(attempt):
    """attempt(x [T, C], c_attn [3C, C], c_proj [C, C], n_head) -> [T, C], causal, without biases."""
    for T, C, n_head, seed in ((5, 12, 3, 0), (7, 8, 2, 1), (1, 4, 4, 2), (6, 6, 1, 3)):
        g = torch.Generator().manual_seed(seed)
        x, c_attn, c_proj = (
            torch.randn(*s, generator=g, dtype=torch.float64) for s in ((T, C), (3 * C, C), (C, C))
        )
        y = attempt(x, c_attn, c_proj, n_head)
        expect(torch.is_tensor(y) and y.shape == (T, C), f"the result must have shape [{T}, {C}]")
        right = reference(x, c_attn, c_proj, n_head)
        if torch.allclose(y, right):
            continue
        expect(
            not torch.allclose(y, reference(x, c_attn, c_proj, n_head, causal=False)),
            "positions see the future: mask them",
        )
        expect(
            not torch.allclose(y, reference(x, c_attn, c_proj, n_head, scale=C**-0.5)),
            "the scores are divided by √C; divide by √head_size = √(C / n_head)",
        )
        expect(
            not torch.allclose(y, reference(x, c_attn, c_proj, n_head, scale=1.0)),
            "the scores are not divided by √head_size",
        )
        expect(
            not torch.allclose(y, reference(x, c_attn, torch.eye(C, dtype=x.dtype), n_head)),
            "the heads are right, but c_proj is missing",
        )
        expect(
            not torch.allclose(y, reference(x, c_attn, c_proj.T, n_head)),
            "c_proj is [n_out, n_in]: multiply with its transpose",
        )
        difference = (y - right).abs().max().item()
        expect(
            False,
            f"T={T}, C={C}, n_head={n_head}: off by {difference:.3g}; head h owns columns h·head_size … of q, k and v, "
            "so view as [T, n_head, head_size] before you transpose",
        )


def reference(x, c_attn, c_proj, n_head, causal=True, scale=None):
    """Multi-head attention by PyTorch's own function."""
    T, C = x.shape
    q, k, v = (
        part.view(T, n_head, C // n_head).transpose(0, 1) for part in F.linear(x, c_attn).split(C, dim=-1)
    )
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
    return F.linear(y.transpose(0, 1).reshape(T, C), c_proj)


@exercise(difficulty=2, minutes=10)
def leaks(attempt):
    """attempt(f, T, C) -> bool: True when some output of f, [1, T, C] -> [1, T, C], depends on a later position."""
    T, C = 6, 4

    def running_mean(x):
        return x.cumsum(dim=1) / torch.arange(1, x.shape[1] + 1)[:, None]

    def with_leak(t, s, size, channel=slice(None)):
        """The running mean plus a little of position s in output t."""

        def f(x):
            y = running_mean(x).clone()
            y[:, t, channel] += size * x[:, s, channel]
            return y

        return f

    causal = {"a running mean": running_mean, "the identity": lambda x: x, "a constant": torch.zeros_like}
    for name, f in causal.items():
        expect(
            not attempt(f, T, C),
            f"{name} never looks ahead, but yours reports a leak: only outputs before the change count",
        )
    for t, s, size in ((0, 1, 1.0), (0, T - 1, 1.0), (T - 2, T - 1, 1.0), (2, 4, 1e-3)):
        found = attempt(with_leak(t, s, size), T, C)
        expect(
            found, f"output {t} got {size:g} times position {s}, and yours did not notice: try every position"
        )
    found = attempt(with_leak(1, 3, 1.0, channel=slice(C - 1, C)), T, C)
    expect(found, "a leak in the last channel only went unnoticed: look at all channels")


@exercise(difficulty=3, minutes=20)
def one_pass_attention(attempt):
    """attempt(q [head_size], pairs) -> [head_size]: attention over an iterator of (key, value), read only once."""
    for S, head_size, size, seed in ((1, 3, 1.0, 0), (6, 4, 1.0, 1), (9, 8, 40.0, 2), (9, 8, -40.0, 3)):
        g = torch.Generator().manual_seed(seed)
        q = size * torch.rand(head_size, generator=g, dtype=torch.float64)
        k, v = (torch.randn(S, head_size, generator=g, dtype=torch.float64) for _ in range(2))
        if abs(size) > 1:
            k = 20 * k.abs()  # scores of several hundred, whose exp overflows
            k = k[torch.argsort(k @ q)]  # rising scores: the maximum changes at every step
        right = ((k @ q) / math.sqrt(head_size)).softmax(dim=0) @ v
        seen = []

        def one_at_a_time(k=k, v=v, seen=seen):
            for pair in zip(k, v, strict=True):
                seen.append(pair)
                yield pair

        y = attempt(q, one_at_a_time())
        expect(len(seen) == S, f"{S} pairs were offered and {len(seen)} read")
        expect(torch.is_tensor(y) and y.shape == (head_size,), f"the result must have shape [{head_size}]")
        expect(
            bool(torch.isfinite(y).all()),
            "the result is not finite: exp of a large score overflows; subtract the largest score so far",
        )
        unscaled = (k @ q).softmax(dim=0) @ v
        expect(
            S == 1 or not torch.allclose(y, unscaled) or torch.allclose(y, right),
            "the scores are not divided by √head_size",
        )
        expect(
            torch.allclose(y, right),
            f"off by {(y - right).abs().max().item():.3g} for {S} pairs: when the largest score changes, "
            "rescale both sums by exp(old - new)",
        )
