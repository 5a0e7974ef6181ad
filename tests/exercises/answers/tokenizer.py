"""Right and wrong answers to the exercises of chapter 01, on which their checkers are tested."""

import functools

import numpy as np


def by_recursion(data, tokens):
    """The first piece is a byte or a token; the rest is the same question."""

    @functools.cache
    def rest(start):
        if start == len(data):
            return 0
        fitting = [len(token) for token in tokens if data[start:].startswith(token)]
        return 1 + min(rest(start + length) for length in {1, *fitting})

    return rest(0)


def longest_first(data, tokens):
    count = 0
    while data:
        data = data[max([1, *(len(token) for token in tokens if data.startswith(token))]) :]
        count += 1
    return count


def longest_from_the_end(data, tokens):
    return longest_first(data[::-1], {token[::-1] for token in tokens})


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


ALTERNATIVES = {
    "fewest_tokens": [by_recursion, lambda *given: np.int64(by_recursion(*given))],
    "code_points": [
        by_strings,
        read,
        lambda data: tuple(read(data)),
        lambda data: np.array(read(data), dtype=int),
    ],
}

BUGS = {
    "fewest_tokens": {
        "longest at each place": (longest_first, "longest token at each place"),
        "longest from the end": (longest_from_the_end, "from the end"),
        "one too many": (lambda *given: by_recursion(*given) + 1, "one too many"),
        "a byte in no piece": (lambda data, tokens: by_recursion(data[1:], tokens), "too few"),
        "single bytes only": (lambda data, tokens: len(data), "will do"),
        "a float": (lambda *given: float(by_recursion(*given)), "a whole number"),
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
}
