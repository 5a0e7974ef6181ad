"""Right and wrong answers to the exercises of chapter 02, on which its checkers are tested."""

import os
import random
import shutil
import tempfile
from pathlib import Path

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


def beside(path):
    return path.with_name("." + path.name + ".part")


def elsewhere(path):
    return path.parent.parent / path.name


def write_beside(
    path, pieces, *, temporary=beside, early=False, clean=True, swallow=False, old_first=False, late=False
):
    """A file written under another name, with switches for the bugs."""
    temporary = temporary(path)
    try:
        if old_first:
            path.unlink(missing_ok=True)
        with open(temporary, "wb") as file:
            if late:
                pieces = [b"".join(pieces)]
            if early:
                temporary.rename(path)
            for piece in pieces:
                file.write(piece)
                if early:
                    file.flush()
        if not early:
            temporary.rename(path)
    except Exception:
        if clean:
            temporary.unlink(missing_ok=True)
        if not swallow:
            raise


def write_in_a_folder_below(path, pieces):
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        write_beside(path, pieces, temporary=lambda path: Path(folder) / "new")


def write_with_the_library(path, pieces):
    """With a temporary file of the library, moved by shutil."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            for piece in pieces:
                file.write(piece)
        except BaseException:
            os.unlink(file.name)
            raise
    shutil.move(file.name, path)


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


def write_with(**switches):
    return lambda *given: write_beside(*given, **switches)


def epochs_with(**switches):
    return lambda *given: epochs(*given, **switches)


def added(n, block, batch, seed, step):
    windows = (n - 1) // block
    epoch, place = divmod(step, windows // batch)
    order = np.random.default_rng(seed + epoch).permutation(windows) * block
    return order[place * batch : (place + 1) * batch]


def span_with(**switches):
    return lambda *given: span_by_starts(*given, **switches)


ALTERNATIVES = {
    "epoch_starts": [epochs, lambda *given: torch.tensor(epochs(*given))],
    "read_span": [span_by_starts, span_by_walking, lambda *given: tuple(span_by_walking(*given))],
    "write_whole": [write_beside, write_in_a_folder_below, write_with_the_library],
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
    "read_span": {
        "puts all together first": (
            lambda parts, a, b: [i for part in parts for i in part][a:b],
            "you read it",
        ),
        "slices every shard": (span_with(all_shards=True), "you read it"),
        "reads one shard too many": (span_of_one_shard_more, "you read it"),
        "stops at the first shard's end": (span_with(last=False), "end of a shard"),
        "seams counted twice": (span_with(first=False), "each shard begins"),
        "one token short": (
            lambda parts, a, b: span_by_starts(parts, a, max(a, b - 1)),
            "last token is missing",
        ),
        "one token too many": (lambda parts, a, b: span_by_starts(parts, a, b + 1), "one token too many"),
        "shards backwards": (lambda parts, a, b: span_by_starts(parts, a, b)[::-1], "order"),
        "the last shard only": (lambda parts, a, b: list(parts[-1])[a:b], "the tokens must be"),
        "a generator": (lambda parts, a, b: iter(span_by_starts(parts, a, b)), "return a list"),
    },
    "write_whole": {
        "in place": (write_in_place, "into path itself"),
        "in place, appending": (lambda path, pieces: write_in_place(path, pieces, "ab"), "appended"),
        "in place, tidied up": (write_and_tidy_up, "into path itself"),
        "renamed before it is written": (write_with(early=True), "before it is complete"),
        "leaves its temporary file": (write_with(clean=False), "left behind"),
        "swallows the exception": (write_with(swallow=True), "swallow"),
        "old file removed first": (write_with(old_first=True), "removed before"),
        "renamed although it failed": (rename_in_any_case, "what had come until then"),
        "everything in memory first": (
            lambda path, pieces: path.write_bytes(b"".join(pieces)),
            "as it comes",
        ),
        "joined, then written beside": (write_with(late=True), "as it comes"),
        "temporary file in another folder": (write_with(temporary=elsewhere), "another folder"),
    },
}
