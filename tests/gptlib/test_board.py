"""Intervals and effects of recorded runs, and chapter 16's page against its files."""

import json
import random
import statistics

import pytest

from gptlib.board import T_975, effect, interval, paired, read_runs
from gptlib.files import DATA


def row(name, pair, loss, part="board", kind="steps"):
    return dict(part=part, name=name, kind=kind, pair=pair, val_loss=loss, step_ms=5.0, parameters=10)


def test_intervals_hold_the_true_mean_in_95_of_100_samples():
    draw = random.Random(1)
    for n in (2, 3, 5):
        hits = 0
        for _ in range(2000):
            mean, half = interval([draw.gauss(0.3, 0.1) for _ in range(n)])
            hits += abs(mean - 0.3) <= half
        assert hits / 2000 == pytest.approx(0.95, abs=0.015)
    assert T_975[2] / 1.96 > 2  # a normal factor would be too narrow


def test_differences_are_taken_pair_by_pair():
    runs = [row("base", i, 2.0 + i) for i in range(4)] + [row("x", i, 1.9 + i) for i in (2, 0)]
    assert paired(runs, "board", "x") == pytest.approx([-0.1, -0.1])
    found = effect(runs, "board", "x")
    assert found.pairs == 2 and found.sign == -1 and found.mean == pytest.approx(-0.1)
    assert effect(runs, "small", "x") is None and effect(runs[:5], "board", "x") is None


def test_an_interval_that_holds_zero_has_no_sign():
    runs = [row("base", i, 2.0) for i in range(3)] + [
        row("x", i, 2.0 + d) for i, d in enumerate((-0.1, 0.2, 0.1))
    ]
    assert effect(runs, "board", "x").sign == 0
    runs += [row("y", i, 2.2 + d) for i, d in enumerate((-0.01, 0.02, 0.01))]
    assert effect(runs, "board", "y").sign == 1


def test_half_written_lines_are_left_out(tmp_path):
    whole = json.dumps(row("x", 0, 1.0))
    (tmp_path / "since-gpu0.jsonl").write_text(f"{whole}\n{whole[:30]}", encoding="utf-8")
    assert len(read_runs(tmp_path)) == 1


def test_the_recorded_board():
    """Every row of the board is there with three pairs or more, its runs on tenths of the training text."""
    runs = read_runs(DATA / "runs" / "since")
    board = [run for run in runs if run["part"] == "board" and run["kind"] == "steps"]
    assert {run["steps"] for run in board} == {900} and {run["tenth"] for run in board} <= {1, 2, 5, 6, 8}
    keys = [(run["part"], run["name"], run["kind"], run["pair"]) for run in runs]
    assert len(keys) == len(set(keys))
    for name in {run["name"] for run in board} - {"base"}:
        found = effect(runs, "board", name)
        assert found.pairs >= 3
        ours = {run["pair"]: run["val_loss"] for run in board if run["name"] == name}
        base = {run["pair"]: run["val_loss"] for run in board if run["name"] == "base"}
        differences = [ours[p] - base[p] for p in sorted(ours)]
        assert found.mean == pytest.approx(statistics.mean(differences))


def test_equal_seconds_are_compared_with_equal_seconds():
    runs = [row("base", i, 2.0) for i in range(2)] + [row("all", i, 1.0) for i in range(2)]
    runs += [row("all", i, 1.5, kind="seconds") for i in range(2)]
    runs += [row("x", i, 1.75, kind="seconds") for i in range(2)]
    assert paired(runs, "board", "x", "all", "seconds") == [0.25, 0.25]  # not with the full set's longer runs
    assert paired(runs, "board", "x", kind="seconds") == [
        -0.25,
        -0.25,
    ]  # the base has as many steps either way
