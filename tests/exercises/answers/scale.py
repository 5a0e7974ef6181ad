"""Right and wrong answers to the exercises of chapter 15, on which its checkers are tested."""

import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch


def seconds_of(weights, n, compute, bandwidth, *, size=4.0, rounds=2.0, links=None, computes=True, milli=1e3):
    """The time of a step, with switches for the bugs."""
    links = n if links is None else links
    sent = rounds * (n - 1) / links * size * weights / (bandwidth * 1e9)
    return computes * compute + milli * sent


def step_with(**switches):
    return lambda *given: seconds_of(*given, **switches)


def buckets_by_recursion(sizes, limit):
    """From the end: the shortest tail that fills a bucket, then the rest."""
    if not sizes:
        return []
    taken = 1
    while taken < len(sizes) and sum(sizes[-taken:]) < limit:
        taken += 1
    return [
        list(range(len(sizes) - 1, len(sizes) - 1 - taken, -1)),
        *buckets_by_recursion(sizes[:-taken], limit),
    ]


def filling(sizes, limit, *, backwards=True, early=False, late=False, keep_last=True, empty=False):
    """Buckets filled one after the other, with switches for the bugs."""
    found, bucket, held = [], [], 0
    order = reversed(range(len(sizes))) if backwards else range(len(sizes))
    for i in order:
        if early and bucket and held + sizes[i] > limit:
            found.append(bucket)
            bucket, held = [], 0
        bucket.append(i)
        held += sizes[i]
        if not early and (held > limit if late else held >= limit):
            found.append(bucket)
            bucket, held = [], 0
    if (bucket or empty) and keep_last:
        found.append(bucket)
    return found


def buckets_with(**switches):
    return lambda *given: filling(*given, **switches)


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
    with path.open(mode) as file:
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


def span_with(**switches):
    return lambda *given: span_by_starts(*given, **switches)


def needed(p, q, z=2.0, *, variance=None, square=True, gap=2, rounded=math.ceil):
    """The number of questions, with switches for the bugs."""
    v = variance(p, q) if variance else p * (1 - p) + q * (1 - q)
    return rounded((z * z if square else z) * v / abs(p - q) ** gap)


def needed_with(**switches):
    return lambda *given: needed(*given, **switches)


def needed_by_counting(p, q, z=2.0):
    """The first number whose standard error is small enough."""
    n = 1
    while abs(p - q) < z * math.sqrt((p * (1 - p) + q * (1 - q)) / n):
        n += 1
    return n


def mcnemar(first, second, *, sign=1, root=True, of=None, zero=True):
    """The paired comparison, with switches for the bugs."""
    pairs = list(zip(first, second, strict=True))
    b, c = pairs.count((True, False)), pairs.count((False, True))
    under = len(pairs) if of == "all" else b + c
    if zero and b + c == 0:
        return 0.0
    return sign * (b - c) / (math.sqrt(under) if root else under)


def mcnemar_with(**switches):
    return lambda *given: mcnemar(*given, **switches)


def mcnemar_by_numpy(first, second):
    difference = np.array(first, dtype=int) - np.array(second, dtype=int)
    return difference.sum() / np.sqrt(max(1, np.abs(difference).sum()))


ALTERNATIVES = {
    "step_ms": [
        seconds_of,
        lambda w, n, c, b: np.float64(seconds_of(w, n, c, b)),
        lambda *g: torch.tensor(seconds_of(*g), dtype=torch.float64),
    ],
    "buckets": [
        buckets_by_recursion,
        filling,
        lambda *given: tuple(torch.tensor(b) for b in filling(*given)),
    ],
    "read_span": [span_by_starts, span_by_walking, lambda *given: tuple(span_by_walking(*given))],
    "write_whole": [write_beside, write_in_a_folder_below, write_with_the_library],
    "questions_needed": [needed, needed_by_counting, lambda *given: np.int64(needed(*given))],
    "paired": [
        mcnemar,
        mcnemar_by_numpy,
        lambda *given: torch.tensor(mcnemar(*given), dtype=torch.float64),
    ],
}

BUGS = {
    "step_ms": {
        "half of the ring": (step_with(rounds=1.0), "reduce-scatter and all-gather"),
        "communication alone": (step_with(computes=False), "add the computation"),
        "bytes in place of floats": (step_with(size=1.0), "4 bytes"),
        "seconds": (step_with(milli=1.0), "seconds"),
        "all to all": (step_with(links=1), "hardly grow"),
        "computation shared out": (lambda w, n, c, b: seconds_of(w, n, c / n, b), "not shared out"),
        "sent once": (lambda w, n, c, b: c + 4 * w / b / 1e6, ""),
        "nothing": (lambda *given: None, "must be a number"),
    },
    "buckets": {
        "from the first": (buckets_with(backwards=False), "ready first"),
        "closed before it is full": (buckets_with(early=True), "fill it first"),
        "one gradient too many": (buckets_with(late=True), "full as soon as"),
        "the last one lost": (buckets_with(keep_last=False), "in no bucket"),
        "an empty one at the end": (buckets_with(empty=True), "empty"),
        "sizes": (
            lambda sizes, limit: [[sizes[i] for i in b] for b in filling(sizes, limit)],
            "return indices",
        ),
        "one bucket": (lambda sizes, limit: [list(reversed(range(len(sizes))))], "full as soon as"),
        "each its own": (lambda sizes, limit: [[i] for i in reversed(range(len(sizes)))], "fill it first"),
        "a gradient twice": (lambda sizes, limit: [*filling(sizes, limit), [0]], "two buckets"),
        "indices without buckets": (lambda sizes, limit: list(range(len(sizes))), "a bucket"),
        "buckets from the end": (lambda sizes, limit: [b[::-1] for b in filling(sizes, limit)], "ready"),
    },
    "read_span": {
        "puts all together first": (
            lambda parts, a, b: [i for part in parts for i in part][a:b],
            "you read it",
        ),
        "adds all together first": (lambda parts, a, b: sum(parts, start=[])[a:b], "you read it"),
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
    "questions_needed": {
        "one variance": (needed_with(variance=lambda p, q: p * (1 - p)), "both variances"),
        "the other variance": (needed_with(variance=lambda p, q: q * (1 - q)), "both"),
        "z not squared": (needed_with(square=False), "z is squared"),
        "standard deviations added": (
            needed_with(variance=lambda p, q: (math.sqrt(p * (1 - p)) + math.sqrt(q * (1 - q))) ** 2),
            "variances add",
        ),
        "difference not squared": (needed_with(gap=1), "square of the difference"),
        "rounded down": (needed_with(rounded=math.floor), "round up"),
        "the mean of the variances": (
            needed_with(variance=lambda p, q: (p * (1 - p) + q * (1 - q)) / 2),
            "sum, not the mean",
        ),
        "a float": (needed_with(rounded=float), "whole number"),
        "one variance of the mean share": (needed_with(variance=lambda p, q: (p + q) / 2), "are needed"),
    },
    "paired": {
        "the sign": (mcnemar_with(sign=-1), "the sign"),
        "by all questions": (mcnemar_with(of="all"), "not by √n"),
        "without the root": (mcnemar_with(root=False), "square root"),
        "a difference of shares": (mcnemar_with(of="all", root=False), "b and c"),
        "divides by zero": (mcnemar_with(zero=False), "0.0 instead"),
        "without a sign": (lambda *given: abs(mcnemar(*given)), "which one is better"),
        "squared": (lambda *given: mcnemar(*given) ** 2, "square"),
        "the difference": (lambda *both: float(sum(both[0]) - sum(both[1])), "difference of the numbers"),
        "nothing": (lambda *given: None, "must be a number"),
    },
}
