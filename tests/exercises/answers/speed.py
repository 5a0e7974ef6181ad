"""Right answers and planted bugs for the exercises of chapter 14."""

import torch


def rate_first(m, k, n, width, peak, bandwidth):
    """From the intensity: the rate that the roof allows."""
    flops, moved = 2 * m * k * n, width * (m * k + k * n + m * n)
    rate = min(peak, bandwidth * flops / moved)
    return flops / rate, flops / moved < peak / bandwidth


def the_sum(m, k, n, width, peak, bandwidth):
    computing, moving = 2 * m * k * n / peak, width * (m * k + k * n + m * n) / bandwidth
    return computing + moving, moving > computing


def the_shorter(m, k, n, width, peak, bandwidth):
    computing, moving = 2 * m * k * n / peak, width * (m * k + k * n + m * n) / bandwidth
    return min(computing, moving), moving > computing


def one_flop(m, k, n, width, peak, bandwidth):
    computing, moving = m * k * n / peak, width * (m * k + k * n + m * n) / bandwidth
    return max(computing, moving), moving > computing


def no_width(m, k, n, width, peak, bandwidth):
    computing, moving = 2 * m * k * n / peak, (m * k + k * n + m * n) / bandwidth
    return max(computing, moving), moving > computing


def result_not_written(m, k, n, width, peak, bandwidth):
    computing, moving = 2 * m * k * n / peak, width * (m * k + k * n) / bandwidth
    return max(computing, moving), moving > computing


def wrong_way_round(m, k, n, width, peak, bandwidth):
    computing, moving = 2 * m * k * n / peak, width * (m * k + k * n + m * n) / bandwidth
    return max(computing, moving), computing > moving


def only_seconds(m, k, n, width, peak, bandwidth):
    return max(2 * m * k * n / peak, width * (m * k + k * n + m * n) / bandwidth)


def with_slices(record, function, x):
    buffer, out = torch.zeros_like(x), torch.zeros_like(x)
    replay = record(function, buffer, out)

    def call(new):
        buffer[...] = new
        replay()
        return out + 0

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


ALTERNATIVES = {
    "product_time": [rate_first],
    "recorded": [with_slices],
    "one_pass": [welford, in_float64],
}

BUGS = {
    "product_time": {
        "the sum of both times": the_sum,
        "the shorter time": the_shorter,
        "one FLOP for each product": one_flop,
        "numbers instead of bytes": no_width,
        "the result is not written": result_not_written,
        "limits the wrong way round": wrong_way_round,
        "only the seconds": only_seconds,
    },
    "recorded": {
        "rebinds the buffer": rebinds,
        "hands out the recording's own output": hands_out_its_own,
        "records at each call": records_each_time,
        "runs the function again": runs_it_again,
        "records on the example itself": overwrites_the_example,
        "never replays": forgets_to_replay,
        "output over input": in_place,
    },
    "one_pass": {
        "mean of squares minus square of the mean": squares_minus_square,
        "forgets the distance of the means": lambda chunks: combined(chunks, between=False),
        "weighs all chunks alike": lambda chunks: combined(chunks, weigh=False),
        "divides by the count minus one": lambda chunks: combined(chunks, last=1),
        "means of the chunks": means_of_chunks,
        "standard deviation": lambda chunks: (lambda a: (a[0], a[1] ** 0.5))(combined(chunks)),
    },
}
