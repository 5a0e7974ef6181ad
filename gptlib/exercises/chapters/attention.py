"""The checkers of chapter 05. Each calls the reader's function on inputs of several sizes and names the mistake."""

import math
from itertools import permutations

import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, tensor
from gptlib.exercises.limits import stream


@exercise(difficulty=1, minutes=5)
def sliding_window_mask(attempt):
    """attempt(T, window) -> bool [T, T]: True where t may look at s, itself and the window - 1 positions before."""
    for T, window in ((5, 2), (6, 3), (4, 1), (3, 10)):
        answer = attempt(T, window)
        mask = tensor(answer, (T, T), "the mask")
        dtype = torch.as_tensor(answer).dtype
        expect(dtype == torch.bool, f"the mask must be torch.bool, yours is {dtype}")
        causal = torch.ones(T, T).tril()
        first = (torch.arange(T) < torch.arange(1, T + 1).clamp(max=window)[:, None]).double()
        mistakes = {
            "the window is ignored: every position sees the whole past": causal,
            "one position too many: the window counts the position itself": causal.triu(-window),
            "one position too few: the window counts the position itself": causal.triu(2 - window),
            "the mask is transposed: rows are the positions that look": causal.triu(1 - window).T,
            "every position sees the first ones: the window must move along with it": first,
        }
        where = f"T={T}, window={window}: "
        expect_close(mask, causal.triu(1 - window), mistakes, where, "compare it with the example above")


@exercise(difficulty=2, minutes=15)
def multi_head_attention(attempt):
    """attempt(x [T, C], c_attn [3C, C], c_proj [C, C], n_head) -> [T, C], causal, without biases."""
    for T, C, n_head, seed in ((5, 12, 3, 0), (7, 8, 2, 1), (1, 4, 4, 2), (6, 6, 1, 3)):
        g = torch.Generator().manual_seed(seed)
        x, c_attn, c_proj = (
            torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((T, C), (3 * C, C), (C, C))
        )
        y = tensor(attempt(x.clone(), c_attn.clone(), c_proj.clone(), n_head), (T, C))
        expect(torch.isfinite(y[0]).all(), "the first row is not finite: a position must also see itself")
        right = reference(x, c_attn, c_proj, n_head)
        where = f"T={T}, C={C}, n_head={n_head}: "
        expect_close(y, right, attention_mistakes(x, c_attn, c_proj, n_head), where)


def reference(x, c_attn, c_proj, n_head, causal=True, scale=None, order=(0, 1, 2)):
    """Multi-head attention by PyTorch's own function; `order` is that of query, key and value in c_attn."""
    y = F.scaled_dot_product_attention(*heads(x, c_attn, n_head, order), is_causal=causal, scale=scale)
    return F.linear(y.transpose(0, 1).flatten(1), c_proj)


def heads(x, c_attn, n_head, order=(0, 1, 2)):
    """Query, key and value of each head, [n_head, T, head_size]."""
    T, C = x.shape
    parts = F.linear(x, c_attn).split(C, dim=-1)
    return [parts[i].view(T, n_head, C // n_head).transpose(0, 1) for i in order]


def attention_mistakes(x, c_attn, c_proj, n_head) -> dict:
    """What usual mistakes give, by the message for each."""
    T, C = x.shape
    given = (x, c_attn, c_proj)
    identity = torch.eye(C, dtype=x.dtype)
    mixed = [part.reshape(n_head, T, C // n_head) for part in F.linear(x, c_attn).split(C, dim=-1)]
    y = F.scaled_dot_product_attention(*heads(x, c_attn, n_head), is_causal=True)
    from_mixed = F.scaled_dot_product_attention(*mixed, is_causal=True)
    mistakes = {
        "positions see the future: apply a causal mask": reference(*given, n_head, causal=False),
        "the scores are divided by √C; divide by √head_size = √(C / n_head)": (
            reference(*given, n_head, scale=C**-0.5)
        ),
        "the scores are not divided by √head_size": reference(*given, n_head, scale=1.0),
        "c_proj is missing at the end": reference(x, c_attn, identity, n_head),
        "c_proj is [n_out, n_in]: multiply by its transpose": reference(x, c_attn, c_proj.T, n_head),
        "this is one head of size C: split q, k and v into n_head heads": reference(*given, 1),
        "view(n_head, T, head_size) mixes positions: view as [T, n_head, head_size], then transpose": (
            F.linear(from_mixed.transpose(0, 1).flatten(1), c_proj)
        ),
        "the heads are merged without a transpose: bring [n_head, T, head_size] to [T, C] by transpose first": (
            F.linear(y.reshape(T, C), c_proj)
        ),
        "view and merge both lack the transpose between T and n_head": (
            F.linear(from_mixed.reshape(T, C), c_proj)
        ),
    }
    names = ("queries", "keys", "values")
    for order in list(permutations(range(3)))[1:]:
        wrong = ", ".join(names[i] for i in order)
        message = f"the rows of c_attn are queries, keys, values; where they belong yours takes {wrong}"
        mistakes[message] = reference(*given, n_head, order=order)
    return mistakes


@exercise(difficulty=2, minutes=10)
def leaks(attempt):
    """attempt(f, T, C) -> bool: True when some output of f, [1, T, C] -> [1, T, C], depends on a later position."""
    T, C = 6, 4
    causal = {
        "a constant depends on nothing": torch.zeros_like,
        "the identity only looks at the present": lambda x: x + 0,
        "a running mean only looks back": lambda x: x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None],
    }
    for name, f in causal.items():
        found = attempt(f, T, C)
        expect(found is not None, "return True or False, not None")
        expect(not found, f"{name}, but yours finds a leak: compare only the outputs before the change")
    everything = attempt(lambda x: x.mean(dim=1, keepdim=True).expand_as(x) + 0, T, C)
    expect(
        everything,
        "every output is the mean of the whole text, but yours finds no leak: "
        "change each position after the first, and compare the outputs before it",
    )
    for t, s in ((0, 1), (2, 3), (0, T - 1), (T - 2, T - 1)):
        message = f"position {s} leaks into output {t} unnoticed: change every position, one at a time"
        expect(attempt(leak(t, s), T, C), message)
    for c in range(C):
        only = slice(c, c + 1)
        into = attempt(leak(1, 3, of=lambda x: x.sum(-1, keepdim=True), into=only), T, C)
        expect(into, f"a leak into channel {c} alone is unnoticed: compare all channels")
        out_of = attempt(leak(1, 3, of=lambda x, only=only: x[..., only]), T, C)
        expect(out_of, f"a leak from channel {c} alone is unnoticed: change all channels")
    faint = attempt(leak(1, 3, of=lambda x: 1e-12 * x), T, C)
    expect(faint, "a leak of 1e-12 is unnoticed: compare without a tolerance")
    ranks = attempt(leak(1, 3, of=lambda x: x.argsort(-1).to(x.dtype)), T, 4 * C)
    expect(
        ranks,
        "a leak of the order of the channels is unnoticed: it has no gradient, and one amount for all channels "
        "keeps it; change each channel by a random amount of its own",
    )


def leak(t, s, of=lambda x: x, into=slice(None)):
    """A layer whose output is 0, but for output t, into which something of position s leaks."""

    def f(x):
        y = torch.zeros_like(x)
        y[:, t, into] += of(x[:, s])
        return y

    return f


@exercise(difficulty=3, minutes=20)
def one_pass_attention(attempt):
    """attempt(q [head_size], pairs) -> [head_size]: attention over an iterator of (key, value), read only once."""
    for S, head_size, size, seed in ((6, 4, 1.0, 1), (1, 3, 1.0, 0), (9, 8, 40.0, 2), (9, 8, -40.0, 3)):
        g = torch.Generator().manual_seed(seed)
        q = size * torch.rand(head_size, generator=g, dtype=torch.float64)
        k, v = (torch.randn(S, head_size, generator=g, dtype=torch.float64) for _ in range(2))
        if abs(size) > 1:
            k = 20 * k.abs()  # scores of several hundred, whose exp overflows
            k = k[torch.argsort(k @ q)]  # rising scores: the maximum changes at every step
        read = []

        def pairs(k=k, v=v, read=read):
            for pair in zip(k, v, strict=True):
                read.append(pair)
                yield pair

        y = tensor(attempt(q.clone(), stream(pairs())), (head_size,))
        expect(len(read) == S, f"{S} pairs were offered and {len(read)} read")
        expect(
            S > 1 or close(y, v[0]),
            "with a single pair the result is its value: the first pair counts like the others",
        )
        expect(
            torch.isfinite(y).all(),
            "the result is not finite: exp of a large score overflows; subtract the largest score so far",
        )
        expect_close(y, weighted(k @ q / math.sqrt(head_size), v), one_pass_mistakes(q, k, v), f"{S} pairs: ")


def weighted(scores, v):
    """The mean of the values, weighted by the softmax of the scores."""
    return scores.softmax(dim=0) @ v


def one_pass_mistakes(q, k, v) -> dict:
    """What usual mistakes give, by the message for each."""
    scores = k @ q / math.sqrt(len(q))
    if len(scores) == 1:
        return {}
    weights = (scores - scores.cummax(dim=0).values).exp()  # relative to the largest score of their own step
    right = (scores - scores.max()).exp()
    return {
        "the scores are not divided by √head_size": weighted(k @ q, v),
        "the first pair is missing": weighted(scores[1:], v[1:]),
        "the last pair is missing": weighted(scores[:-1], v[:-1]),
        "this is the plain mean of the values: weight each by exp(score - largest)": v.mean(dim=0),
        "the sum of the weighted values is not rescaled by exp(old - new) when the largest score changes": (
            weights @ v / right.sum()
        ),
        "the sum of the weights is not rescaled by exp(old - new) when the largest score changes": (
            right @ v / weights.sum()
        ),
        "neither sum is rescaled by exp(old - new) when the largest score changes": (
            weights @ v / weights.sum()
        ),
    }
