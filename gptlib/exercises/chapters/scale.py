"""The checkers of chapter 15. Each calls the reader's function on several inputs and names the mistake."""

import math
import random
import tempfile
from pathlib import Path

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, expect_close, number, whole_number
from gptlib.exercises.written import check_write


@exercise(difficulty=1, minutes=10)
def step_ms(attempt):
    """attempt(weights, n, compute_ms, bandwidth) -> milliseconds of a step without overlap."""
    for weights, n, compute, bandwidth in (
        (124e6, 2, 66.0, 300.0),
        (124e6, 8, 66.0, 10.0),
        (1e7, 4, 5.0, 50.0),
        (3e9, 3, 100.0, 25.0),
        (1e8, 1, 10.0, 100.0),
    ):
        found = number(attempt(weights, n, compute, bandwidth), "the milliseconds")
        whole = 4 * weights / bandwidth / 1e6  # of all gradients, sent once
        ring = 2 * (n - 1) / n * whole
        where = f"{weights:.3g} weights, n={n}, {compute} ms, {bandwidth} GB/s: "
        mistakes = {
            "one GPU sends nothing": whole + compute,
            "that is the communication alone: add the computation": ring,
            "these are seconds added to milliseconds": compute + ring / 1e3,
            "a weight's gradient has 4 bytes": compute + ring / 4,
            "the computation is not shared out: each GPU has a slice of its own": compute / n + ring,
            "a process sends 2 (n - 1) / n times the gradients, not once": compute + whole,
            "a ring sends 2 (n - 1) / n times the gradients: reduce-scatter and all-gather": compute
            + ring / 2,
            "with a ring the bytes hardly grow with n: 2 (n - 1) / n, not 2 (n - 1)": compute + n * ring,
        }
        same = {
            message for message, value in mistakes.items() if abs(value - compute - ring) < 1e-6 * compute
        }
        expect_close(
            found, compute + ring, {m: v for m, v in mistakes.items() if m not in same}, where, rtol=1e-6
        )


@exercise(difficulty=2, minutes=15)
def buckets(attempt):
    """attempt(sizes, limit) -> lists of indices, from the last gradient to the first."""
    cases = [
        ([30, 10, 5, 20], 25),
        ([1] * 7, 3),
        ([100], 25),
        ([5, 5, 5], 5),
        ([40, 1, 1, 1], 10),
        ([2, 9, 4, 4], 1000),
    ]
    for sizes, limit in cases:
        answer = as_list(attempt(list(sizes), limit), "a list of buckets")
        found = [
            [whole_number(i, "an index") for i in as_list(bucket, "a bucket, a list of indices")]
            for bucket in answer
        ]
        where = f"sizes={sizes}, limit={limit}: "
        right, flat = filled(sizes, limit), [i for bucket in found for i in bucket]
        if found == right:
            continue
        expect(all(found), where + "a bucket is empty")
        expect(
            found != [[sizes[i] for i in bucket] for bucket in right],
            where + "these are sizes: return indices",
        )
        twice = len(flat) != len(set(flat))
        expect(not twice, where + "a gradient is in two buckets")
        expect(
            set(flat) == set(range(len(sizes))),
            f"{where}gradients {sorted(set(range(len(sizes))) - set(flat))} are in no bucket",
        )
        expect(
            flat != list(range(len(sizes))) or len(sizes) == 1,
            where + "the last gradient is ready first: go from the last to the first",
        )
        expect(
            flat == sorted(flat, reverse=True),
            where + "the order must be that in which they become ready, the last first",
        )
        totals = [sum(sizes[i] for i in bucket) for bucket in found]
        expect(
            all(total >= limit for total in totals[:-1]),
            f"{where}a bucket is sent with less than {limit} bytes: fill it first",
        )
        expect(False, f"{where}a bucket is full as soon as it holds {limit} bytes: {right}, yours is {found}")


def filled(sizes: list, limit: int) -> list[list[int]]:
    """The buckets."""
    found, held = [[]], 0
    for i in reversed(range(len(sizes))):
        if held >= limit:
            found.append([])
            held = 0
        found[-1].append(i)
        held += sizes[i]
    return found


@exercise(difficulty=2, minutes=15)
def read_span(attempt):
    """attempt(parts, a, b) -> list: tokens a … b - 1 of the lists put together, only the needed ones sliced."""
    for lengths in ((4, 4, 3), (1, 1, 1, 1), (7,), (2, 9, 1, 5)):
        total = sum(lengths)
        whole = list(range(100, 100 + total))
        spans = [(a, b) for a in range(total + 1) for b in range(a, total + 1)]
        spans.sort(key=lambda span: span[0] == span[1])  # the empty ones, which tell least, come last
        for a, b in spans:
            shards, start = [], 0
            for n in lengths:
                shards.append(Watched(whole[start : start + n]))
                start += n
            call = f"shards of {list(lengths)} tokens, a={a}, b={b}: "
            found = as_list(attempt(shards, a, b), "a list of tokens")
            check_span(found, whole, lengths, a, b, call)
            start = 0
            for n, shard in enumerate(shards):
                needed = max(a, start) < min(b, start + len(shard))
                expect(
                    needed or not shard.read, f"{call}shard {n} holds nothing of the slice, but you read it"
                )
                start += len(shard)


def check_span(found: list, whole: list, lengths: tuple, a: int, b: int, call: str) -> None:
    """Whether these are the tokens a … b - 1 of the whole."""
    right = whole[a:b]
    if found == right:
        return
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    seam = len(found) > len(right) and b >= ends[0]
    expect(not seam, f"{call}too many tokens: each shard begins where the one before it ends")
    expect(found != whole[a : b + 1], f"{call}one token too many: b itself is no part of the slice")
    stops = [whole[a:end] for end in ends if a < end < b]
    expect(found not in stops, f"{call}you stop at the end of a shard; the slice goes on in the next")
    expect(found != right[:-1], f"{call}the last token is missing: the slice ends before b, not before b - 1")
    expect(sorted(found) != right, f"{call}the order of the tokens is wrong")
    expect(False, f"{call}the tokens must be {right}, yours are {found}")


class Watched(list):
    """A shard that remembers whether tokens were taken out of it."""

    read = False

    def __getitem__(self, key):
        self.read = True
        return super().__getitem__(key)

    def __iter__(self):
        self.read = True
        return super().__iter__()

    def __radd__(self, other):  # sum(parts, [])
        self.read = True
        return other + list(self)


@exercise(difficulty=2, minutes=15)
def write_whole(attempt):
    """attempt(path, pieces): at every moment the file is absent, old or complete; nothing else is left."""
    pieces = [b"1" * 300_000, b"", b"2" * 200_000, b"3" * 7]  # larger than a file's buffer
    for old in (b"the old file, longer than the new one", None):
        for fails_after in (None, 0, 2, 4):
            with tempfile.TemporaryDirectory() as folder:
                check_write(attempt, Path(folder) / "shard.bin", pieces, old, fails_after)


@exercise(difficulty=2, minutes=15)
def questions_needed(attempt):
    """attempt(p, q, z) -> the smallest number of questions whose difference is z standard errors."""
    for p, q, z in (
        (0.25, 0.30, 1.96),
        (0.3, 0.33, 2.0),
        (0.7, 0.25, 3.0),
        (0.31, 0.295, 2.0),
        (0.9, 0.5, 1.0),
    ):
        found = whole_number(attempt(p, q, z), "the number of questions")
        v, d = p * (1 - p) + q * (1 - q), p - q
        exact = z * z * v / (d * d)
        where = f"p={p}, q={q}, z={z}: "
        mistakes = {
            "the standard error goes with √n: solve |p - q| = z √(v / n) for n, and z is squared": z
            * v
            / d**2,
            "both shares are measured: add both variances": z * z * p * (1 - p) / d**2,
            "that is the other model's variance alone: add both": z * z * q * (1 - q) / d**2,
            "√(p (1 - p)) is a standard deviation; variances add, standard deviations do not": z
            * z
            * (math.sqrt(p * (1 - p)) + math.sqrt(q * (1 - q))) ** 2
            / d**2,
            "divide by the square of the difference": z * z * v / abs(d),
            "each model answers questions of its own: the variance of a difference is the sum, not the mean": exact
            / 2,
        }
        right = math.ceil(exact)
        for message, value in mistakes.items():
            wrong = {math.floor(value), round(value), math.ceil(value)}
            expect(found == right or found not in wrong, f"{where}{message}")
        expect(found != right - 1, f"{where}{found} are one too few: round up, the condition must hold")
        expect(found == right, f"{where}{right} are needed, yours are {found}")


@exercise(difficulty=2, minutes=15)
def paired(attempt):
    """attempt(first, second) -> McNemar's (b - c) / sqrt(b + c); 0.0 where the answers never differ."""
    rng = random.Random(4)
    cases = [([True, True, True, False, True], [True, False, False, True, True])]
    cases += [
        ([rng.random() < p for _ in range(40)], [rng.random() < 0.4 for _ in range(40)])
        for p in (0.7, 0.2, 0.5)
    ]
    cases.append(([True, False, True], [True, False, True]))
    for first, second in cases:
        pairs = list(zip(first, second, strict=True))
        b, c, n = pairs.count((True, False)), pairs.count((False, True)), len(pairs)
        where = f"the first alone is right {b} times, the second alone {c} times: "
        try:
            found = number(attempt(list(first), list(second)), "the result")
        except ZeroDivisionError:
            expect(False, f"{where}the models differ in no question: return 0.0 instead of dividing by zero")
        right = (b - c) / math.sqrt(b + c) if b + c else 0.0
        mistakes = {
            "without the absolute value: the sign tells which one is better": abs(right),
            "the sign: it is positive when the first is better": -right,
            "divide by √(b + c), not by √n: questions with equal answers say nothing": (b - c) / math.sqrt(n),
            "divide by the square root of b + c": (b - c) / max(1, b + c),
            "that is the difference of the numbers: divide by √(b + c)": float(b - c),
            "that is the difference of the shares of n: count b and c": (b - c) / n,
            "that is the square: (b - c) / √(b + c) itself is asked for": right * right,
        }
        mistakes = {message: value for message, value in mistakes.items() if abs(value - right) > 1e-9}
        expect_close(found, right, mistakes, where, rtol=1e-9)
