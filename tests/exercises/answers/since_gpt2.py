"""Right answers and planted bugs for the exercises of chapter 16."""

import math
import statistics

import numpy as np
import torch

T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def by_index(weight, n_head):
    """The rows picked one by one, as NumPy would."""
    rows = weight.shape[0]
    size = rows // n_head
    order = [h * size + i for h in range(n_head) for i in (*range(0, size, 2), *range(1, size, 2))]
    return weight.numpy()[np.array(order)]


def all_heads_together(weight, n_head):
    return torch.cat([weight[0::2], weight[1::2]])


def the_way_back(weight, n_head):
    rows, C = weight.shape
    return weight.reshape(n_head, 2, rows // n_head // 2, C).transpose(1, 2).reshape(rows, C)


def second_first(weight, n_head):
    heads = weight.view(n_head, -1, weight.shape[1])
    return torch.cat([heads[:, 1::2], heads[:, 0::2]], dim=1).reshape(weight.shape)


def in_place(weight, n_head):
    weight.copy_(torch.as_tensor(by_index(weight.clone(), n_head)))
    return weight


def pairs(effect, deviation, factor=lambda n: T[n - 1], root=math.sqrt, size=abs, last=5, beyond=None):
    """The loop, with switches for the bugs."""
    n = 2
    while n <= last:
        if factor(n) * deviation / root(n) < size(effect):
            return n
        n += 1
    return beyond


def with_pairs(**switches):
    return lambda *given: pairs(*given, **switches)


def verdict(ours, theirs, factor=lambda n: T[n - 1], paired=True, turned=False):
    """The sentence, with switches for the bugs."""
    d = np.array(ours) - np.array(theirs)
    s = d.std(ddof=1) if paired else math.hypot(statistics.stdev(ours), statistics.stdev(theirs))
    half = factor(len(d)) * s / math.sqrt(len(d))
    if abs(d.mean()) <= half:
        return "cannot tell"
    return "helps" if (d.mean() < 0) != turned else "hurts"


def with_verdict(**switches):
    return lambda *given: verdict(*given, **switches)


ALTERNATIVES = {
    "cache_bytes": [
        lambda layers, heads, size, n, each: sum(2 * heads * size * each for _ in range(layers * n)),
        lambda *given: np.float64(2 * math.prod(given)),
    ],
    "to_halves": [by_index, lambda w, n: w.unflatten(0, (n, -1, 2)).transpose(1, 2).flatten(0, 2)],
    "pairs_needed": [with_pairs(), lambda *given: None if pairs(*given) is None else np.int64(pairs(*given))],
    "report": [verdict, lambda *given: verdict(*given).capitalize()],
}

BUGS = {
    "cache_bytes": {
        "keys only": (lambda *given: math.prod(given), "keys and values"),
        "one layer": (lambda layers, *rest: 2 * math.prod(rest), "every layer"),
        "one head": (lambda layers, heads, *rest: 2 * layers * math.prod(rest), "every key head"),
        "numbers, not bytes": (lambda *given: 2 * math.prod(given[:-1]), "multiply by their bytes"),
        "square of the positions": (lambda *given: 2 * math.prod(given) * given[3], "not with their square"),
    },
    "to_halves": {
        "unchanged": (lambda weight, n_head: weight, "nothing was moved"),
        "across heads": (all_heads_together, "within each head"),
        "the inverse": (the_way_back, "way back"),
        "second numbers first": (second_first, "second numbers"),
        "in place": (in_place, "was changed"),
        "transposed": (lambda weight, n_head: weight.T, "shape"),
    },
    "pairs_needed": {
        "negative effects": (with_pairs(size=lambda e: e), "take abs"),
        "factor by n": (with_pairs(factor=lambda n: {**T, 5: 2.571}[n]), "degrees of freedom"),
        "divided by n": (with_pairs(root=lambda n: n), "not by n"),
        "1.96": (with_pairs(factor=lambda n: 1.96), "many runs"),
        "no root": (with_pairs(root=lambda n: 1.0), "of the mean"),
        "six": (with_pairs(beyond=6), "at most five"),
        "gives up at three": (with_pairs(last=3), "five are not enough"),
    },
    "report": {
        "the other way round": (with_verdict(turned=True), "lower"),
        "unpaired": (with_verdict(paired=False), "pair by pair"),
        "1.96": (with_verdict(factor=lambda n: 1.96), "Student's factor"),
        "the sign alone": (with_verdict(factor=lambda n: 0.0), "holds 0"),
        "a number": (lambda ours, theirs: statistics.mean(ours) - statistics.mean(theirs), "three texts"),
        "another word": (lambda ours, theirs: "better", "none of"),
    },
}
