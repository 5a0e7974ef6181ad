"""tools/measure: its times, the table and the file of `make bench`, and what it says of what a machine lacks.

Speed itself is not tested.
"""

import json
import sys

import pytest
import torch

from tools.files import write_json
from tools.measure import bench, characters, cold_start, equivalence, steps
from tools.measure.timing import mean_calls, row, single_calls

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")


@pytest.fixture
def run(monkeypatch):
    """Run a module's command."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", ["python -m tools.measure", *map(str, arguments)])
        module.main()

    return run


def test_calls_are_counted_and_timed():
    called = []
    assert len(single_calls(lambda: called.append(1), repeats=3)) == len(called) == 3
    called.clear()
    times = mean_calls(lambda: called.append(1), repeats=2, calls=5)
    assert len(times) == 2 and min(times) > 0
    assert len(called) == 2 * (2 + 5)  # after each two that do not count


def test_calls_run_with_the_threads_that_were_set():
    before = torch.get_num_threads()
    seen = []
    torch.set_num_threads(2)
    mean_calls(lambda: seen.append(torch.get_num_threads()), repeats=1)
    torch.set_num_threads(before)
    assert set(seen) == {2}


def test_median_and_spread_of_repeats():
    found = row("step", "name", [0.003, 0.001, 0.0015], calls=2)
    assert (found["median"], found["spread"], found["unit"], found["calls"]) == (1.5, 1.5, "ms", 2)
    speeds = row("generation", "name", [1.0, 0.5, 2.0], "tokens/s", lambda t: 255 / t)
    assert (speeds["median"], speeds["spread"]) == (255, 255)


def test_each_step_of_the_table_is_the_one_before_with_one_change():
    table = [variant for _, variant in steps.variants()]
    for before, after in zip(table, table[1:], strict=False):
        assert sum(vars(before)[field] != value for field, value in vars(after).items()) == 1


def test_the_tokens_are_those_of_the_two_parts():
    corpus, tokenizer, (train, val) = characters()
    assert tokenizer.decode(torch.cat([train, val]).tolist()) == corpus.text
    assert 0.09 < len(val) / len(corpus.text) < 0.11


def test_a_part_by_name(run, tmp_path, capsys):
    run(bench, "widget", "--out", tmp_path / "new" / "bench.json")
    written = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert written.keys() == {"device", "torch", "corpus", "rows"}
    assert [row["name"] for row in written["rows"]] == ["redraw", "new prompt"]
    assert all(row.keys() == {"part", "name", "median", "spread", "unit"} for row in written["rows"])
    printed = capsys.readouterr().out
    assert "new prompt" in printed and torch.__version__ in printed


def test_a_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "a" / "found.json"
    write_json(path, [1])
    with pytest.raises(TypeError):
        write_json(path, [1, object()])
    assert json.loads(path.read_text(encoding="utf-8")) == [1] and list(path.parent.iterdir()) == [path]


@no_gpu
def test_what_is_missing_is_said(run, tmp_path, capsys):
    run(bench, "kernels", "--out", tmp_path / "bench.json")
    assert "no CUDA GPU" in capsys.readouterr().err
    assert json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"] == []
    for module in (cold_start, equivalence):
        with pytest.raises(SystemExit) as refused:
            run(module, tmp_path / "out.json")
        assert refused.value.code == 2 and "no CUDA GPU" in capsys.readouterr().err
        assert not (tmp_path / "out.json").exists()


def test_an_unknown_part_is_named(run, capsys):
    with pytest.raises(SystemExit) as refused:
        run(bench, "steps", "kernel")
    said = capsys.readouterr().err
    assert refused.value.code == 2 and "'kernel'" in said and "kernels" in said
