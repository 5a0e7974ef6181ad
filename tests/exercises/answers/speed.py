"""Right answers and planted bugs for the exercises of chapter 14."""

import numpy as np
import torch


def rate_first(m, k, n, width, peak, bandwidth):
    """From the intensity: the rate that the roof allows."""
    flops, moved = 2 * m * k * n, width * (m * k + k * n + m * n)
    rate = min(peak, bandwidth * flops / moved)
    return flops / rate, flops / moved < peak / bandwidth


def longest(
    m, k, n, width, peak, bandwidth, *, flops=2, bytes_each=None, moved=None, combine=max, exchanged=False
):
    """From the two times, with switches for the bugs."""
    computing = flops * m * k * n / peak
    numbers = m * k + k * n + m * n if moved is None else moved(m, k, n)
    moving = (bytes_each or width) * numbers / bandwidth
    return combine(computing, moving), (moving > computing) != exchanged


def time_with(**switches):
    return lambda *given: longest(*given, **switches)


def with_slices(record, function, x):
    buffer, out = torch.zeros_like(x), torch.zeros_like(x)
    replay = record(function, buffer, out)

    def call(new):
        buffer[...] = new
        replay()
        return out + 0

    return call


def replayed_at_once(record, function, x):
    """The replay is tried before the first call; outputs are lists of numbers."""
    buffer, out = torch.empty_like(x), torch.empty_like(x)
    replay = record(function, buffer, out)
    replay()

    def call(new):
        buffer.copy_(new)
        replay()
        return out.tolist()

    return call


def rebinds(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    replay = record(function, buffer, out)

    def call(new):
        buffer = new  # noqa: F841
        replay()
        return out.clone()

    return call


def hands_out_its_own(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    replay = record(function, buffer, out)

    def call(new):
        buffer.copy_(new)
        replay()
        return out

    return call


def records_each_time(record, function, x):
    def call(new):
        out = torch.empty_like(new)
        record(function, new, out)
        return out

    return call


def runs_it_again(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    record(function, buffer, out)

    def call(new):
        out = torch.empty_like(new)
        function(new, out)
        return out

    return call


def overwrites_the_example(record, function, x):
    out = torch.empty_like(x)
    replay = record(function, x, out)

    def call(new):
        x.copy_(new)
        replay()
        return out.clone()

    return call


def forgets_to_replay(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    record(function, buffer, out)

    def call(new):
        buffer.copy_(new)
        return out.clone()

    return call


def records_again(record, function, x):
    out = torch.empty_like(x)
    record(function, x.clone(), out)

    def call(new):
        out = torch.empty_like(new)
        record(function, new, out)
        return out

    return call


def copies_too_late(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    replay = record(function, buffer, out)

    def call(new):
        replay()
        buffer.copy_(new)
        return out.clone()

    return call


def in_place(record, function, x):
    buffer = x.clone()
    replay = record(function, buffer, buffer)

    def call(new):
        buffer.copy_(new)
        replay()
        return buffer.clone()

    return call


def welford(chunks):
    n, mean, squares = 0, 0.0, 0.0
    for chunk in chunks:
        for value in chunk.tolist():
            n += 1
            delta = value - mean
            mean += delta / n
            squares += delta * (value - mean)
    return mean, squares / n


def in_float64(chunks):
    n, total, squares = 0, 0.0, 0.0
    for chunk in chunks:
        n, total, squares = (
            n + len(chunk),
            total + chunk.double().sum().item(),
            squares + (chunk.double() ** 2).sum().item(),
        )
    return total / n, squares / n - (total / n) ** 2


def squares_minus_square(chunks):
    n, total, squares = 0, torch.zeros(()), torch.zeros(())
    for chunk in chunks:
        n, total, squares = n + len(chunk), total + chunk.sum(), squares + (chunk**2).sum()
    return (total / n).item(), (squares / n - (total / n) ** 2).item()


def combined(chunks, between=True, weigh=True, last=0):
    n, mean, squares = 0, 0.0, 0.0
    for chunk in chunks:
        m, own = len(chunk), chunk.double().mean().item()
        delta = own - mean
        squares += ((chunk.double() - own) ** 2).sum().item()
        if between:
            squares += delta**2 * n * m / (n + m)
        mean += delta * m / (n + m) if weigh else (own if n == 0 else delta / 2)
        n += m
    return mean, squares / max(1, n - last)


def means_of_chunks(chunks):
    pairs = [(c.mean().item(), c.var(correction=0).item()) for c in chunks]
    return sum(p[0] for p in pairs) / len(pairs), sum(p[1] for p in pairs) / len(pairs)


def all_at_once(chunks):
    whole = torch.cat(list(chunks)).double()
    return whole.mean().item(), whole.var(correction=0).item()


def combined_with(**switches):
    return lambda chunks: combined(chunks, **switches)


ALTERNATIVES = {
    "product_time": [rate_first, lambda *given: list(map(np.float32, longest(*given)))],
    "recorded": [with_slices, replayed_at_once],
    "one_pass": [welford, in_float64, lambda chunks: torch.tensor(welford(chunks))],
}

BUGS = {
    "product_time": {
        "the sum of both times": (time_with(combine=lambda a, b: a + b), "not the sum"),
        "the shorter time": (time_with(combine=min), "not the shorter"),
        "one FLOP for each product": (time_with(flops=1), "2 FLOPs"),
        "numbers instead of bytes": (time_with(bytes_each=1), "`width` bytes"),
        "the result is not written": (
            time_with(moved=lambda m, k, n: m * k + k * n),
            "the result is written",
        ),
        "the matrices are not read": (time_with(moved=lambda m, k, n: m * n), "the two matrices are read"),
        "memory forgotten": (time_with(moved=lambda m, k, n: 0), "memory is left out"),
        "limits the wrong way round": (time_with(exchanged=True), "you say memory"),
        "only the seconds": (lambda *given: longest(*given)[0], "2 values"),
    },
    "recorded": {
        "rebinds the buffer": (rebinds, "belongs to the example"),
        "hands out the recording's own output": (hands_out_its_own, "hand out a copy"),
        "records at the calls only": (records_each_time, "before the first call"),
        "records again": (records_again, "every call records"),
        "runs the function again": (runs_it_again, "ran again"),
        "records on the example itself": (overwrites_the_example, "example input was overwritten"),
        "never replays": (forgets_to_replay, "without replay()"),
        "copies after the replay": (copies_too_late, "before the replay"),
        "output over input": (in_place, "share their memory"),
    },
    "one_pass": {
        "mean of squares minus square of the mean": (squares_minus_square, "loses its digits"),
        "forgets the distance of the means": (combined_with(between=False), "is left out"),
        "weighs all chunks alike": (combined_with(weigh=False), "half-way"),
        "divides by the count minus one": (combined_with(last=1), "minus one"),
        "means of the chunks": (means_of_chunks, "plain mean"),
        "standard deviation": (
            lambda chunks: (lambda a: (a[0], a[1] ** 0.5))(combined(chunks)),
            "standard deviation",
        ),
        "all kept": (all_at_once, "are kept"),
        "the mean alone": (lambda chunks: combined(chunks)[0], "2 values"),
    },
}
