"""Right and wrong answers to the exercises of chapter 10, on which its checkers are tested."""

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


ALTERNATIVES = {
    "accumulated_gradient": [as_sum_of_rows, row_by_row],
    "next_scale": [one_expression, scale_rule],
}

BUGS = {
    "accumulated_gradient": {
        "summed without shares": lambda f, x, y, micro: sum(f(a, b) for a, b in pieces(x, y, micro)),
        "plain mean of the pieces": plain_mean,
        "sum over the rows": lambda f, x, y, micro: len(x) * as_sum_of_rows(f, x, y, micro),
        "all rows at once": lambda f, x, y, micro: f(x, y),
        "short last piece dropped": last_piece_dropped,
        "only the last piece": only_the_last,
        "share as if the last piece were full": share_of_micro,
        "targets of the first piece": lambda f, x, y, micro: as_sum_of_rows(
            f, x, y[:1].expand(len(y)), micro
        ),
    },
    "next_scale": {
        "never grows": scale_with(up=1.0),
        "never shrinks": scale_with(down=1.0),
        "shrinks to a quarter": scale_with(down=0.25),
        "grows on overflow": scale_with(down=2.0),
        "count goes on after an overflow": scale_with(keep=True),
        "grows one step late": scale_with(late=1),
        "grows one step early": scale_with(late=-1),
        "count goes on after growing": scale_with(forget=False),
        "swapped": lambda *settings: scale_rule(*settings)[::-1],
    },
}
