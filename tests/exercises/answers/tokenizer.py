"""Right and wrong answers to the exercises of chapter 01, on which their checkers are tested."""

from collections import Counter

import numpy as np

from gptlib.bpe import merge


def by_sorting(ids):
    pairs = [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]
    return sorted(set(pairs), key=lambda pair: (-pairs.count(pair), pair))[0]


def pairs_of(ids):
    return Counter(zip(ids, ids[1:], strict=False))


def by_strings(data):
    """Binary digits as text."""
    found, bits = [], ""
    for b in data:
        digits = f"{b:08b}"
        if digits.startswith("10"):
            bits += digits[2:]
            continue
        if bits:
            found.append(int(bits, 2))
        bits = digits[digits.index("0") + 1 :] if b >= 128 else digits
    return found + ([int(bits, 2)] if bits else [])


def read(data, lengths=(128, 224, 240), mask=True, shift=6, strip=0b00111111, most=4):
    """A right answer, and its parts to be broken."""
    found, i = [], 0
    while i < len(data):
        first = data[i]
        length = min(most, 1 + sum(first >= limit for limit in lengths))
        value = first & (0xFF >> (length + 1)) if mask and length > 1 else first
        for b in data[i + 1 : i + length]:
            value = (value << shift) + (b & strip)
        found.append(value)
        i += length
    return found


def earliest_first(ids, pairs):
    rank = {pair: i for i, pair in enumerate(pairs)}
    while known := [pair for pair in zip(ids, ids[1:], strict=False) if pair in rank]:
        pair = min(known, key=rank.get)
        ids = merge(ids, pair, 256 + rank[pair])
    return list(ids)


def only_the_first_place(ids, pairs):
    ids = list(ids)
    for i, pair in enumerate(pairs):
        for place in range(len(ids) - 1):
            if (ids[place], ids[place + 1]) == pair:
                ids[place : place + 2] = [256 + i]
                break
    return ids


def from_the_right(ids, pairs):
    ids = list(ids)
    for i, (a, b) in enumerate(pairs):
        ids = merge(ids[::-1], (b, a), 256 + i)[::-1]
    return ids


def latest_first(ids, pairs):
    ids = list(ids)
    for i, pair in reversed(list(enumerate(pairs))):
        ids = merge(ids, pair, 256 + i)
    return ids


def most_frequent_first(ids, pairs):
    rank = {pair: i for i, pair in enumerate(pairs)}
    ids = list(ids)
    while known := Counter(pair for pair in zip(ids, ids[1:], strict=False) if pair in rank):
        pair = min(known, key=lambda pair: (-known[pair], -rank[pair]))
        ids = merge(ids, pair, 256 + rank[pair])
    return ids


def in_place(ids, pairs):
    ids[:] = earliest_first(ids, pairs)
    return ids


def numbers_from_zero(ids, pairs):
    ids = list(ids)
    for i, pair in enumerate(pairs):
        ids = merge(ids, pair, i)
    return ids


def without_overlap(ids):
    pairs = Counter(zip(ids[::2], ids[1::2], strict=False))
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


ALTERNATIVES = {
    "most_frequent_pair": [
        by_sorting,
        lambda ids: list(by_sorting(ids)),
        lambda ids: np.array(by_sorting(ids)),
    ],
    "code_points": [
        by_strings,
        read,
        lambda data: tuple(read(data)),
        lambda data: np.array(read(data), dtype=int),
    ],
    "encode_with": [earliest_first, lambda *given: tuple(earliest_first(*given))],
}

BUGS = {
    "most_frequent_pair": {
        "first of equals": (lambda ids: pairs_of(ids).most_common(1)[0][0], "yours is the first"),
        "highest of equals": (
            lambda ids: max(pairs_of(ids), key=lambda pair: (pairs_of(ids)[pair], pair)),
            "yours is the highest",
        ),
        "rarest": (lambda ids: min(pairs_of(ids), key=lambda pair: (pairs_of(ids)[pair], pair)), "rarest"),
        "pairs without overlap": (without_overlap, "overlap"),
        "most frequent single ids": (
            lambda ids: tuple(i for i, _ in Counter(ids).most_common(2)),
            "count pairs of neighbours",
        ),
        "with its count": (lambda ids: pairs_of(ids).most_common(1), "2 values"),
    },
    "code_points": {
        "the bytes themselves": (list, "these are the bytes"),
        "leading bits kept": (lambda data: read(data, mask=False), "only tell the length"),
        "eight bits from each byte": (lambda data: read(data, shift=8), "not by 8"),
        "marks of following bytes kept": (lambda data: read(data, strip=0xFF), "its mark"),
        "no four bytes": (lambda data: read(data, most=3), "four bytes are not read"),
        "a wrong border of four bytes": (lambda data: read(data, lengths=(128, 224, 248)), "240 or more"),
        "a wrong border of three bytes": (
            lambda data: read(data, lengths=(128, 230, 240)),
            "below 128, 224, 240",
        ),
        "characters": (lambda data: "".join(map(chr, read(data))), "a list of numbers"),
        "decoded": (lambda data: [ord(character) for character in data.decode()], "decode"),
        "decoded in slices": (lambda data: [ord(character) for character in data[:].decode()], "decode"),
    },
    "encode_with": {
        "only the first place": (only_the_first_place, "at its first place"),
        "from the right": (from_the_right, "left to right"),
        "latest pair first": (latest_first, "begins with the latest"),
        "most frequent pair first": (most_frequent_first, "takes the most frequent"),
        "only one round": (
            lambda ids, pairs: merge(ids, pairs[0], 256) if pairs else list(ids),
            "one round",
        ),
        "changes the list it was given": (in_place, "copy"),
        "numbers from 0": (numbers_from_zero, "begins at 0"),
        "text": (lambda *given: str(earliest_first(*given)), "a list of ids"),
    },
}
