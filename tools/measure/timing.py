"""Times of a call in seconds, by torch.utils.benchmark: on a GPU it waits until the work is done."""

import statistics
from collections.abc import Callable

import torch
from torch.utils.benchmark import Timer, timer


def single_calls(work: Callable[[], object], repeats: int) -> list[float]:
    """The time of each of some calls, the first of which may set something up."""
    times = []
    for _ in range(repeats):
        start = timer()
        work()
        times.append(timer() - start)
    return times


def mean_calls(work: Callable[[], object], repeats: int, calls: int = 1) -> list[float]:
    """The mean time of `calls` calls in a row, some times over, each after calls that do not count."""
    clock = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
    return [clock.timeit(calls).mean for _ in range(repeats)]


def row(part: str, name: str, times: list[float], unit: str = "ms", of=lambda t: 1e3 * t, **more) -> dict:
    """One line of a table: the median of `of(time)`, and how far the repeats lie from it at most."""
    values = [of(t) for t in times]
    median = statistics.median(values)
    spread = max(abs(v - median) for v in values)
    return {"part": part, "name": name, "median": median, "spread": spread, "unit": unit, **more}
