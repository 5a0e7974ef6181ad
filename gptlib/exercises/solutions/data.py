"""Solutions to the exercises of chapter 02, each after a line with its checker's name."""

import os

import numpy as np


# --- epoch_starts
def epoch_starts(n_tokens, block_size, batch_size, seed, step):
    windows = (n_tokens - 1) // block_size
    epoch, place = divmod(step, windows // batch_size)
    order = np.random.default_rng([seed, epoch]).permutation(windows)
    return order[place * batch_size : (place + 1) * batch_size] * block_size


# --- read_span
def read_span(parts, a, b):
    found = []
    for part in parts:
        if max(a, 0) < min(b, len(part)):
            found += part[max(a, 0) : b]
        a, b = a - len(part), b - len(part)
    return found


# --- write_whole
def write_whole(path, pieces):
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
