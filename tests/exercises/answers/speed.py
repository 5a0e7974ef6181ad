"""Right answers and planted bugs for the exercises of chapter 14."""

import numpy as np
import torch


def step_with(
    combine=max,
    keep_unnamed=True,
    divide=True,
    host_too=True,
    first_only=False,
    all_kernels=False,
    swapped=False,
):
    """The predicted step, with switches for the bugs."""

    def step(kernels, host, faster, host_faster=1.0):
        if not keep_unnamed:
            kernels = [(kind, ms) for kind, ms in kernels if kind in faster]
        if not divide:
            device = sum(ms for kind, ms in kernels if kind not in faster)
        elif all_kernels:
            device = sum(ms for _, ms in kernels) / max(faster.values(), default=1)
        else:
            device = sum(ms / faster.get(kind, 1) for kind, ms in kernels)
        launches = host / host_faster if host_too else host
        decides = "device" if (device > launches) != swapped else "host"
        return combine(device, launches), decides

    return step


def by_kind(kernels, host, faster, host_faster=1.0):
    """Sums by kind first; NumPy's number, in a list."""
    total = {}
    for kind, ms in kernels:
        total[kind] = total.get(kind, 0.0) + ms
    for kind, factor in faster.items():
        if kind in total:
            total[kind] /= factor
    times = {"device": np.sum(list(total.values())), "host": np.float64(host) / host_faster}
    name = max(times, key=times.get)
    return [times[name], name]


RIGHT_CHANGES = {"A": "precision", "B": "fuse", "C": "record", "D": "no_reads", "E": "nothing"}


def with_change(step, change):
    return lambda: {**RIGHT_CHANGES, step: change}


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
    "predicted_step": [by_kind, lambda *given: list(step_with()(*given))],
    "diagnosis": [lambda: dict(reversed(RIGHT_CHANGES.items())), lambda: {**RIGHT_CHANGES, "F": "fuse"}],
    "recorded": [with_slices, replayed_at_once],
    "one_pass": [welford, in_float64, lambda chunks: torch.tensor(welford(chunks))],
}

BUGS = {
    "predicted_step": {
        "the sum of both": (step_with(combine=lambda a, b: a + b), "not the sum"),
        "the shorter one": (step_with(combine=min), "not the shorter"),
        "the device alone": (step_with(combine=lambda a, b: a), "the host is left out"),
        "the host alone": (step_with(combine=lambda a, b: b), "the device is left out"),
        "forgets the launches' factor": (step_with(host_too=False), "host_faster"),
        "drops the kinds that stay": (step_with(keep_unnamed=False), "stay as they are"),
        "takes the faster ones away": (step_with(divide=False), "does not vanish"),
        "one factor for all kernels": (step_with(all_kernels=True), "belongs to its kind"),
        "one kernel of each kind": (
            lambda kernels, *given: step_with()(list(dict(kernels).items()), *given),
            "both count",
        ),
        "names the wrong one": (step_with(swapped=True), "decides, you say"),
        "only the milliseconds": (lambda *given: step_with()(*given)[0], "2 values"),
        "nothing gets faster": (
            lambda kernels, host, faster, host_faster=1.0: step_with()(kernels, host, {}, host_faster),
            "nothing got faster",
        ),
    },
    "diagnosis": {
        "the kernels of a step of products": (with_change("A", "fuse"), "70"),
        "records where the device decides": (with_change("B", "record"), "27 ms"),
        "shorter numbers where they are short": (with_change("B", "precision"), "in bf16 already"),
        "fuses where the host decides": (with_change("C", "fuse"), "the host's 11"),
        "records a step with reads": (with_change("D", "record"), "cannot hold a read"),
        "fuses what is fused": (with_change("E", "fuse"), "fused already"),
        "a key that is none": (with_change("C", "graph"), "none of the keys"),
        "a step is missing": (lambda: {"A": "precision"}, "B, C, D, E"),
        "a list": (lambda: list(RIGHT_CHANGES.values()), "a dictionary"),
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
