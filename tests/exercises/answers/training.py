"""Right and wrong answers to the exercises of chapter 10, on which its checkers are tested."""

import numpy as np
import torch


def pieces(x, y, micro):
    return list(zip(x.split(micro), y.split(micro), strict=True))


def as_sum_of_rows(gradient_of, x, y, micro):
    total = 0
    for start in range(0, len(x), micro):
        a, b = x[start : start + micro], y[start : start + micro]
        total = total + len(a) * gradient_of(a, b)
    return total / len(x)


def row_by_row(gradient_of, x, y, micro):
    return torch.stack([gradient_of(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]).mean(dim=0)


def plain_mean(gradient_of, x, y, micro):
    return torch.stack([gradient_of(a, b) for a, b in pieces(x, y, micro)]).mean(dim=0)


def last_piece_dropped(gradient_of, x, y, micro):
    full = len(x) // micro * micro or len(x)
    return as_sum_of_rows(gradient_of, x[:full], y[:full], micro)


def only_the_last(gradient_of, x, y, micro):
    for a, b in pieces(x, y, micro):
        gradient = gradient_of(a, b)
    return gradient


def share_of_micro(gradient_of, x, y, micro):
    return sum(gradient_of(a, b) * micro / len(x) for a, b in pieces(x, y, micro))


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
    "accumulated_gradient": [
        as_sum_of_rows,
        row_by_row,
        lambda f, x, y, micro: as_sum_of_rows(f, x, y, micro).float().numpy(),
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
    "accumulated_gradient": {
        "summed without shares": (
            lambda f, x, y, micro: sum(f(a, b) for a, b in pieces(x, y, micro)),
            "without their shares",
        ),
        "plain mean of the pieces": (plain_mean, "too much weight"),
        "sum over the rows": (
            lambda f, x, y, micro: len(x) * as_sum_of_rows(f, x, y, micro),
            "sum over the rows",
        ),
        "all rows at once": (lambda f, x, y, micro: f(x, y), "has memory for"),
        "short last piece dropped": (last_piece_dropped, "shorter piece is missing"),
        "only the last piece": (only_the_last, "last piece alone"),
        "share as if the last piece were full": (share_of_micro, "not micro / n"),
        "the first target for every row": (
            lambda f, x, y, micro: as_sum_of_rows(f, x, y[:1].expand(len(y)), micro),
            "its own entry of y",
        ),
        "the first piece again and again": (
            lambda f, x, y, micro: sum(f(x[:micro], y[:micro]) for _ in pieces(x, y, micro)),
            "exactly once",
        ),
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
