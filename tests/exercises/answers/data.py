"""Right and wrong answers to the exercises of chapter 02, on which its checkers are tested."""

import random

import numpy as np
import torch


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


def epochs_with(**switches):
    return lambda *given: epochs(*given, **switches)


def added(n, block, batch, seed, step):
    windows = (n - 1) // block
    epoch, place = divmod(step, windows // batch)
    order = np.random.default_rng(seed + epoch).permutation(windows) * block
    return order[place * batch : (place + 1) * batch]


ALTERNATIVES = {
    "epoch_starts": [epochs, lambda *given: torch.tensor(epochs(*given))],
}

BUGS = {
    "epoch_starts": {
        "not shuffled": (epochs_with(shuffle=False), "shuffle"),
        "every epoch alike": (epochs_with(by_epoch=False), "of its own"),
        "seed ignored": (epochs_with(seeded=False), "another seed"),
        "with repetition": (epochs_with(replace=True), "twice"),
        "seed and epoch added": (added, "list of both"),
        "another order each call": (forgetful, "asked again"),
        "numbers of windows, not positions": (
            lambda n, block, *a: [i // block for i in epochs(n, block, *a)],
            "numbers of windows",
        ),
        "a window further": (lambda n, block, *a: [i + block for i in epochs(n, block, *a)], "the last one"),
        "any positions": (
            lambda n, block, batch, seed, step: np.random.default_rng([seed, step]).integers(
                n - block, size=batch
            ),
            "no multiple",
        ),
        "one start": (lambda *given: epochs(*given)[:1], "a batch must hold"),
    },
}
