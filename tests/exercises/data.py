"""Right and wrong answers to the exercises of chapter 02, on which its checkers are tested."""

import random

import numpy as np


def one_by_one(tokens, start, block_size):
    places = range(start, start + block_size)
    return [tokens[i] for i in places], [tokens[i + 1] for i in places]


def epochs(n, block, batch, seed, step, *, shuffle=True, by_epoch=True, seeded=True, replace=False):
    """Shuffled epochs, with switches for the bugs."""
    windows = (n - 1) // block
    epoch, place = divmod(step, windows // batch)
    generator = random.Random(f"{seed if seeded else 0} {epoch if by_epoch else 0}")
    order = list(range(windows))
    if shuffle:
        generator.shuffle(order)
    if replace:
        order = [generator.randrange(windows) for _ in order]
    return [block * i for i in order[place * batch : (place + 1) * batch]]


def forgetful(n, block, batch, seed, step):
    windows = (n - 1) // block
    return np.random.default_rng().permutation(windows)[:batch] * block


ALTERNATIVES = {
    "window": [lambda tokens, s, b: (tokens[s : s + b], tokens[s + 1 : s + b + 1]), one_by_one],
    "epoch_starts": [epochs],
}

BUGS = {
    "window": {
        "targets not shifted": lambda tokens, s, b: (tokens[s : s + b], tokens[s : s + b]),
        "shifted the wrong way": lambda tokens, s, b: (tokens[s + 1 : s + b + 1], tokens[s : s + b]),
        "one token short": lambda tokens, s, b: (tokens[s : s + b - 1], tokens[s + 1 : s + b]),
        "start ignored": lambda tokens, s, b: (tokens[:b], tokens[1 : b + 1]),
        "only the last target": lambda tokens, s, b: (tokens[s : s + b], tokens[s + b : s + b + 1]),
    },
    "epoch_starts": {
        "not shuffled": lambda *a: epochs(*a, shuffle=False),
        "every epoch alike": lambda *a: epochs(*a, by_epoch=False),
        "seed ignored": lambda *a: epochs(*a, seeded=False),
        "with repetition": lambda *a: epochs(*a, replace=True),
        "another order each call": forgetful,
        "numbers of windows, not positions": lambda n, block, *a: [i // block for i in epochs(n, block, *a)],
        "last window cut off": lambda n, block, *a: [i + block for i in epochs(n, block, *a)],
    },
}
