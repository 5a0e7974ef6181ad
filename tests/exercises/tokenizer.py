"""Right and wrong answers to the exercise of chapter 01, on which its checker is tested."""

from collections import Counter


def by_sorting(ids):
    pairs = [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]
    return sorted(set(pairs), key=lambda pair: (-pairs.count(pair), pair))[0]


def pairs_of(ids):
    return Counter(zip(ids, ids[1:], strict=False))


ALTERNATIVES = {"most_frequent_pair": [by_sorting]}

BUGS = {
    "most_frequent_pair": {
        "first of equals": lambda ids: pairs_of(ids).most_common(1)[0][0],
        "highest of equals": lambda ids: max(pairs_of(ids), key=lambda pair: (pairs_of(ids)[pair], pair)),
        "rarest": lambda ids: min(pairs_of(ids), key=lambda pair: (pairs_of(ids)[pair], pair)),
        "pairs without overlap": lambda ids: by_sorting(ids) if len(ids) < 3 else tuple(ids[2:4]),
        "most frequent single ids": lambda ids: tuple(i for i, _ in Counter(ids).most_common(2)),
    }
}
