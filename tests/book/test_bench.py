"""`make bench`: its table, its file, and what it says of what a machine lacks. Speed itself is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tools.measure import bench

ROOT = Path(__file__).resolve().parent.parent.parent


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", f"tools.measure.{tool}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_median_and_spread_of_repeats():
    row = bench.row("step", "name", [0.003, 0.001, 0.0015], calls=2)
    assert (row["median"], row["spread"], row["unit"], row["calls"]) == (1.5, 1.5, "ms", 2)


def test_speeds_are_the_inverse_of_times():
    row = bench.row("generation", "name", [1.0, 0.5, 2.0], "tokens/s", lambda t: 255 / t)
    assert (row["median"], row["spread"]) == (255, 255)


def test_each_step_of_the_table_is_the_one_before_with_one_change():
    table = [variant for _, variant in bench.variants()]
    for before, after in zip(table, table[1:], strict=False):
        assert sum(vars(before)[field] != value for field, value in vars(after).items()) == 1


def test_a_part_by_name(tmp_path):
    found = run("bench", "checkpoint", "--out", str(tmp_path / "new" / "bench.json"))
    assert found.returncode == 0, found.stderr
    written = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["save", "load, verified"]
    assert all(row["median"] > 0 for row in written["rows"])
    assert "load, verified" in found.stdout and torch.__version__ in found.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_what_is_missing_is_said(tmp_path):
    found = run("bench", "kernels", "--out", str(tmp_path / "bench.json"))
    assert found.returncode == 0 and "no CUDA GPU" in found.stderr
    assert json.loads((tmp_path / "bench.json").read_text())["rows"] == []
    for tool in ("cold_start", "equivalence"):
        refused = run(tool, str(tmp_path / "out.json"))
        assert refused.returncode == 2 and "no CUDA GPU" in refused.stderr
        assert not (tmp_path / "out.json").exists()


def test_an_unknown_part_is_named():
    found = run("bench", "steps", "kernel")
    assert found.returncode == 2 and "'kernel'" in found.stderr and "kernels" in found.stderr
