"""The checkers of chapter 16. Each calls the reader's function on several inputs and names the mistake."""

import math
import statistics

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, kind, number, tensor, whole_number

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % of Student's t, by the number of pairs


@exercise(difficulty=1, minutes=5)
def cache_bytes(attempt):
    """attempt(n_layer, n_kv_head, head_size, positions, bytes_each) -> bytes."""
    for case in ((6, 3, 64, 256, 4), (12, 12, 64, 1024, 2), (1, 1, 3, 5, 1), (3, 4, 8, 7, 4)):
        n_layer, heads, size, positions, each = case
        right = 2 * n_layer * heads * size * positions * each
        mistakes = {
            "keys and values are two: twice as many": right / 2,
            "every layer has its own keys and values": right / n_layer,
            "every key head has its own": right / heads,
            "count the numbers, then multiply by their bytes": right / each,
            "a key is head_size numbers": right / size,
            "the cache grows with the positions, not with their square": right * positions,
        }
        expect_close(number(attempt(*case), "the bytes"), right, mistakes, f"for {case}: ")


@exercise(difficulty=2, minutes=15)
def to_halves(attempt):
    """attempt(weight [n_head · head_size, C], n_head) -> the rows in the order of halves."""
    for n_head, size, C, seed in ((2, 4, 3, 0), (3, 6, 5, 1), (1, 8, 2, 2), (4, 2, 6, 3)):
        weight = torch.randn(n_head * size, C, generator=torch.Generator().manual_seed(seed))
        given = weight.clone()
        found = tensor(attempt(weight, n_head), (n_head * size, C), "the matrix")
        expect(torch.equal(weight, given), "the given matrix was changed: return a new one")
        heads = given.view(n_head, size, C)
        right = torch.cat([heads[:, 0::2], heads[:, 1::2]], dim=1).reshape(n_head * size, C)
        mistakes = {
            "nothing was moved": given,
            "the rows of all heads are one list for you: reorder within each head": (
                torch.cat([given[0::2], given[1::2]])
            ),
            "this is the way back, from halves to neighbours": (
                heads.view(n_head, 2, size // 2, C).transpose(1, 2).reshape(n_head * size, C)
            ),
            "the second numbers of the pairs come first in yours": (
                torch.cat([heads[:, 1::2], heads[:, 0::2]], dim=1).reshape(n_head * size, C)
            ),
        }
        if size == 2:  # one pair a head: nothing moves
            del mistakes["nothing was moved"], mistakes["this is the way back, from halves to neighbours"]
        where = f"n_head={n_head}, head_size={size}: "
        expect_close(found, right, mistakes, where, "compare row by row")


def smallest(effect, deviation, factor=lambda n: STUDENT[n], root=math.sqrt, size=abs, beyond=None):
    """The smallest number of pairs, with switches for mistakes."""
    fitting = (n for n in range(2, 6) if factor(n) * deviation / root(n) < size(effect))
    return next(fitting, beyond)


PAIRS_MISTAKES = {
    "an effect below 0 counts by its size: take abs": dict(size=lambda e: e),
    "Student's factor goes by n - 1 degrees of freedom": dict(factor=lambda n: STUDENT.get(n + 1, 2.571)),
    "divide by √n, not by n": dict(root=lambda n: n),
    "1.96 is for many runs: with few, take Student's factor": dict(factor=lambda n: 1.96),
    "the deviation of the mean is deviation / √n": dict(root=lambda n: 1.0),
    "at most five pairs: None where they are not enough": dict(beyond=6),
}


@exercise(difficulty=2, minutes=10)
def pairs_needed(attempt):
    """attempt(effect, deviation) -> 2 … 5 or None."""
    cases = [(0.01, 0.004), (-0.01, 0.004), (0.01, 0.001), (0.01, 0.0007), (0.02, 0.014), (0.02, 0.016)]
    cases += [(1.0, 0.7), (0.001, 0.01), (0.01, 0.0025)]
    answers = [attempt(*case) for case in cases]
    answers = [None if a is None else whole_number(a, "the number of pairs") for a in answers]
    right = [smallest(*case) for case in cases]
    for message, switches in PAIRS_MISTAKES.items():
        wrong = [smallest(*case, **switches) for case in cases]
        expect(answers != wrong, message)
    for (effect, deviation), answer, wanted in zip(cases, answers, right, strict=True):
        said = f"effect {effect:g}, deviation {deviation:g}: it is {wanted}, yours is {answer}"
        if answer is None and wanted is not None:
            said += ": five are not enough there, you say"
        expect(answer == wanted, said)


@exercise(difficulty=3, minutes=40)
def report(attempt):
    """attempt(with_change, without) -> "helps", "hurts" or "cannot tell"."""
    cases = (
        ([2.01, 2.11, 1.95], [2.05, 2.16, 1.99]),  # paired it is clear; the losses themselves scatter more
        ([2.05, 2.16, 1.99], [2.01, 2.11, 1.95]),
        ([2.0, 2.2, 1.9], [2.1, 2.0, 2.0]),
        ([1.50, 1.60], [1.52, 1.63]),  # two pairs: a factor of 12.7
        ([1.90, 1.80, 1.70, 1.85, 1.95], [1.92, 1.81, 1.73, 1.86, 1.97]),
        ([1.9, 1.8, 1.7, 1.7], [1.93, 1.78, 1.75, 1.77]),  # 1.96 would say that it helps
    )
    for ours, theirs in cases:
        d = [a - b for a, b in zip(ours, theirs, strict=True)]
        half = STUDENT[len(d)] * statistics.stdev(d) / math.sqrt(len(d))
        mean = statistics.mean(d)
        right = "cannot tell" if abs(mean) <= half else "helps" if mean < 0 else "hurts"
        found = attempt(list(ours), list(theirs))
        expect(isinstance(found, str), f"return one of three texts, not {kind(found)}")
        said = found.strip().lower()
        expect(said in ("helps", "hurts", "cannot tell"), f"{found!r} is none of helps, hurts, cannot tell")
        where = f"differences {', '.join(f'{x:+.2f}' for x in d)}: "
        opposite = {"helps": "hurts", "hurts": "helps"}.get(right)
        expect(said != opposite, f"{where}a change helps when the loss with it is lower")
        expect(
            not (said == "cannot tell" and right != said),
            f"{where}the interval {mean - half:+.3f} … {mean + half:+.3f} does not hold 0: take differences pair by pair",
        )
        expect(
            said == right,
            f"{where}the interval {mean - half:+.3f} … {mean + half:+.3f} holds 0: Student's factor for {len(d)} pairs is {STUDENT[len(d)]}",
        )
