"""Solutions to the exercises of chapter 11, each after a line with its checker's name."""

import itertools
import os
import random


# --- write_safely
def write_safely(path, text):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


# --- snapshot
def snapshot(run):
    return {
        "weight": run.weight.clone(),
        "momentum": run.momentum.clone(),
        "step": run.step,
        "rng": run.rng.get_state(),
    }


# --- finish_time
def finish_time(work, interval, cost, failures):
    now, saved, failures = 0.0, 0.0, iter(failures)
    failure = next(failures, float("inf"))
    while saved < work:
        piece = min(interval, work - saved)
        if failure < now + piece + cost:
            now, failure = failure, next(failures, float("inf"))
        else:
            now, saved = now + piece + cost, saved + piece
    return now


def mean_times(intervals):
    """Eight hours of work, a failure an hour on average, 5 seconds a save: the mean of 200 runs for each interval."""
    draws = [random.Random(seed) for seed in range(200)]
    lists = [list(itertools.accumulate(rng.expovariate(1 / 3600) for _ in range(200))) for rng in draws]
    return {i: sum(finish_time(8 * 3600, i, 5, failures) for failures in lists) / 200 for i in intervals}


def experiment():
    means = mean_times([30, 60, 100, 150, 200, 270, 350, 500, 800, 1500])
    assert 100 <= min(means, key=means.get) <= 350  # Young: √(2 · 5 · 3600) = 190 seconds
    assert min(means[30], means[1500]) > 1.1 * min(means.values())
