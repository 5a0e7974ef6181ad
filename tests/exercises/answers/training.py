"""Right and wrong answers to the exercises of chapter 10, on which its checkers are tested."""

import numpy as np
import torch

RIGHT = {"A": "few", "B": "next", "C": "schedule", "D": "shift"}


def with_key(**changed):
    """An answer to the four curves with other keys."""
    return lambda: {**RIGHT, **changed}


def by_cramer(a, square_a, b, square_b):
    """The two equations as a matrix: [1, 1 / B] times [square of the gradient, noise]."""
    matrix = np.array([[1, 1 / a], [1, 1 / b]], dtype=np.float64)
    true, noise = np.linalg.solve(matrix, np.array([square_a, square_b]))
    return noise / true


def noise_of(a, square_a, b, square_b):
    return (square_a - square_b) / (1 / a - 1 / b)


def one_expression(scale, good_steps, overflow, interval):
    grown = not overflow and good_steps + 1 >= interval
    return scale * (0.5 if overflow else 2.0 if grown else 1.0), 0 if overflow or grown else good_steps + 1


def scale_rule(scale, good_steps, overflow, interval, *, down=0.5, up=2.0, keep=False, late=0, forget=True):
    """The scaler's rule with switches for the bugs."""
    if overflow:
        return scale * down, good_steps if keep else 0
    good_steps += 1
    if good_steps >= interval + late:
        return scale * up, 0 if forget else good_steps
    return scale, good_steps


def scale_with(**switches):
    return lambda *settings: scale_rule(*settings, **switches)


def divisors(batch, fits):
    """Downwards through the divisors."""
    for pieces in range(1, batch + 1):
        if batch % pieces == 0 and fits(batch // pieces):
            return batch // pieces
    raise ValueError(f"not one window of batch_size={batch} fits")


def upwards(batch, fits):
    """From one window on, until one number does not fit."""
    best = 0
    for m in range(1, batch + 1):
        if batch % m == 0:
            if not fits(m):
                break
            best = m
    if not best:
        raise ValueError(f"batch_size={batch}: memory is too small for one window")
    return best


def halves(batch, fits):
    micro = batch
    while micro > 1 and not fits(micro):
        micro //= 2
    return micro


def whatever_fits(batch, fits):
    micro = batch
    while not fits(micro):
        micro -= 1
        if micro == 0:
            raise ValueError(f"nothing of batch_size={batch} fits")
    return micro


def or_else(batch, fits, otherwise):
    try:
        return divisors(batch, fits)
    except ValueError:
        return otherwise(batch)


def without_naming(batch):
    raise ValueError("out of memory")


def smallest(batch, fits):
    divisors(batch, fits)
    return 1


ALTERNATIVES = {
    "largest_micro_batch": [divisors, upwards, lambda batch, fits: torch.tensor(divisors(batch, fits))],
    "diagnose": [
        lambda: dict(reversed(RIGHT.items())),
        lambda: {letter: str(key) for letter, key in RIGHT.items()},
    ],
    "noise_scale": [
        by_cramer,
        lambda a, p, b, q: torch.tensor((p - q) * a * b / (b * q - a * p)),
    ],
    "next_scale": [one_expression, scale_rule, lambda *given: list(map(np.float32, scale_rule(*given)))],
}

BUGS = {
    "largest_micro_batch": {
        "only halves": (halves, "do not only halve"),
        "does not divide": (whatever_fits, "does not divide"),
        "the whole batch": (lambda batch, fits: batch, "do not fit"),
        "always one": (smallest, "1 is not the largest"),
        "zero when nothing fits": (
            lambda batch, fits: or_else(batch, fits, lambda batch: 0),
            "raise a ValueError",
        ),
        "error without the number": (
            lambda batch, fits: or_else(batch, fits, without_naming),
            "name the batch size",
        ),
        "the number of pieces": (lambda batch, fits: batch // divisors(batch, fits), "number of pieces"),
        "asks again and again": (
            lambda batch, fits: [fits(1) for _ in range(99)] and divisors(batch, fits),
            "each try is slow",
        ),
        "asks about half a window": (
            lambda batch, fits: fits(batch / 2) and divisors(batch, fits),
            "a whole number",
        ),
    },
    "diagnose": {
        "A is dropout": (with_key(A="dropout"), "turns up after step 80"),
        "A and D exchanged": (with_key(A="shift", D="few"), "nothing else needs"),
        "B is too high a rate": (with_key(B="rate"), "table of single characters"),
        "C is too high a rate": (with_key(C="rate"), "the weights do not"),
        "D is clipped": (with_key(D="clip"), "find the answer"),
        "a key of its own": (with_key(D="leak"), "is not in the list"),
        "a list": (lambda: list(RIGHT.values()), "return a dictionary"),
        "one curve left out": (lambda: {"A": "few"}, "A, B, C and D"),
    },
    "noise_scale": {
        "the noise": (noise_of, "noise S alone"),
        "the gradient": (lambda a, p, b, q: q - noise_of(a, p, b, q) / b, "gradient's square alone"),
        "upside down": (lambda *given: 1 / by_cramer(*given), "upside down"),
        "over the measured square": (lambda a, p, b, q: noise_of(a, p, b, q) / q, "still holds noise"),
        "a root": (lambda *given: by_cramer(*given) ** 0.5, "no root"),
        "sign": (lambda a, p, b, q: -by_cramer(a, p, b, q), "sign"),
    },
    "next_scale": {
        "never grows": (scale_with(up=1.0), "never grows"),
        "grows fourfold": (scale_with(up=4.0), "must be doubled"),
        "never shrinks": (scale_with(down=1.0), "1024 became 1024"),
        "shrinks to a quarter": (scale_with(down=0.25), "halve the scale, 1024 became 256"),
        "grows on overflow": (scale_with(down=2.0), "1024 became 2048"),
        "count goes on after an overflow": (scale_with(keep=True), "after an overflow the count"),
        "grows one step late": (scale_with(late=1), "grows after 4 good steps"),
        "grows one step early": (scale_with(late=-1), "grows after 2 good steps"),
        "count goes on after growing": (scale_with(forget=False), "after growing the count"),
        "exchanged": (lambda *given: scale_rule(*given)[::-1], "exchanged"),
        "the scale alone": (lambda *given: scale_rule(*given)[0], "2 values"),
    },
}
