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


def span_by_starts(parts, a, b, *, first=True, last=True, all_shards=False):
    """A slice across shards by where each begins in the whole, with switches for the bugs."""
    found, start = [], 0
    for part in parts:
        end = start + len(part)
        low, high = max(a, start), min(b, end)
        if low < high or all_shards:
            found.extend(part[max(low - start, 0) : max(high - start, 0)])
            if not last and b > end:
                return found
        start = end if first else start + len(part) - 1
    return found


def span_by_walking(parts, a, b):
    shard, found = 0, []
    while a < b:
        while a >= len(parts[shard]):
            a, b, shard = a - len(parts[shard]), b - len(parts[shard]), shard + 1
        found.append(parts[shard][a])
        a += 1
    return found


def span_of_one_shard_more(parts, a, b):
    """Stops too late: it reads the shard after the slice's last."""
    found = []
    for part in parts:
        if b >= 0 and a < len(part):
            found += part[max(a, 0) : max(b, 0)]
        a, b = a - len(part), b - len(part)
    return found


def write_beside(path, pieces, *, rename_first=False, clean=True, swallow=False, old_first=False, late=False):
    """A file written under another name, with switches for the bugs."""
    temporary = path.with_name("." + path.name + ".part")
    try:
        if old_first:
            path.unlink(missing_ok=True)
        with open(temporary, "wb") as file:
            if late:
                pieces = [b"".join(pieces)]
            if rename_first:
                temporary.rename(path)
            for piece in pieces:
                file.write(piece)
                if rename_first:
                    file.flush()
        if not rename_first:
            temporary.rename(path)
    except Exception:
        if clean:
            temporary.unlink(missing_ok=True)
        if not swallow:
            raise


def write_in_place(path, pieces, mode="wb"):
    with open(path, mode) as file:
        for piece in pieces:
            file.write(piece)


def write_and_tidy_up(path, pieces):
    """In place, and what was begun is removed: the old file with it."""
    try:
        write_in_place(path, pieces)
    except Exception:
        path.unlink()
        raise


def rename_in_any_case(path, pieces):
    temporary = path.with_name(path.name + ".tmp")
    try:
        write_in_place(temporary, pieces)
    finally:
        temporary.rename(path)


ALTERNATIVES = {
    "window": [lambda tokens, s, b: (tokens[s : s + b], tokens[s + 1 : s + b + 1]), one_by_one],
    "epoch_starts": [epochs],
    "read_span": [span_by_starts, span_by_walking],
    "write_whole": [write_beside],
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
    "read_span": {
        "puts all together first": lambda parts, a, b: [i for part in parts for i in part][a:b],
        "slices every shard": lambda *args: span_by_starts(*args, all_shards=True),
        "reads one shard too many": span_of_one_shard_more,
        "stops at the first shard's end": lambda *args: span_by_starts(*args, last=False),
        "seams counted twice": lambda *args: span_by_starts(*args, first=False),
        "one token short": lambda parts, a, b: span_by_starts(parts, a, max(a, b - 1)),
        "shards backwards": lambda parts, a, b: span_by_starts(parts, a, b)[::-1],
        "the last shard only": lambda parts, a, b: list(parts[-1])[a:b],
    },
    "write_whole": {
        "in place": write_in_place,
        "in place, appending": lambda path, pieces: write_in_place(path, pieces, "ab"),
        "in place, tidied up": write_and_tidy_up,
        "renamed before it is written": lambda *args: write_beside(*args, rename_first=True),
        "leaves its temporary file": lambda *args: write_beside(*args, clean=False),
        "swallows the exception": lambda *args: write_beside(*args, swallow=True),
        "old file removed first": lambda *args: write_beside(*args, old_first=True),
        "renamed although it failed": rename_in_any_case,
        "everything in memory first": lambda path, pieces: path.write_bytes(b"".join(pieces)),
        "joined, then written beside": lambda *args: write_beside(*args, late=True),
    },
}
