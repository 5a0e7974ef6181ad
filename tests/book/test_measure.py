"""tools/measure: its times, the table and the file of `make bench`, and what it says of what a machine lacks.

Speed itself is not tested.
"""

import json
import sys

import pytest
import torch

from gptlib.config import PRESETS
from tools.files import write_json
from tools.measure import bench, characters, choice, compare, equivalence, gpt2_step, steps, timeline
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
    for module, arguments in (
        (equivalence, [tmp_path / "out.json"]),
        (gpt2_step, ["16"]),
        (compare, [tmp_path]),
        (timeline, [tmp_path / "out.json"]),
    ):
        with pytest.raises(SystemExit) as refused:
            run(module, *arguments)
        assert refused.value.code == 2 and "no CUDA GPU" in capsys.readouterr().err
        assert not (tmp_path / "out.json").exists()


def test_an_unknown_part_is_named(run, capsys):
    with pytest.raises(SystemExit) as refused:
        run(bench, "steps", "kernel")
    said = capsys.readouterr().err
    assert refused.value.code == 2 and "'kernel'" in said and "kernels" in said


# --- the comparison with nanoGPT, from what it prints


def test_their_times_are_read_from_their_lines():
    """An iteration takes 10 ms here; the time that a line names is the host's, which runs ahead."""
    lines = [[3.0, "compiling the model..."], [9.0, "step 0: train loss 4.2874, val loss 4.2823"]]
    lines += [
        [10 + number / 100, f"iter {number}: loss 1.9, time 2.00ms, mfu 9.3%"] for number in range(0, 250, 10)
    ]
    lines += [
        [14.0, "step 250: train loss 1.5, val loss 1.4701"],
        [16.5, "step 260: train loss 1.5, val loss 1.4700"],
    ]
    found = compare.their_times(lines, began=1.0)
    assert found["step_ms"] == pytest.approx(10)
    assert (found["with_evaluation"], found["wall"], found["at_step"]) == (6.5, 15.5, 260)
    assert found["without_evaluation"] == pytest.approx(2.6) and found["lowest_estimate"] == 1.47
    never = compare.their_times(lines[:-1], began=1.0)
    assert never.keys() == {"step_ms", "lowest_estimate"} and never["lowest_estimate"] == 1.4701


def test_our_times_leave_out_the_first_step_and_the_evaluations():
    rows = [
        {"step": 1, "seconds": 7.0, "train_loss": 4.2, "tokens_per_second": 1},
        {"step": 100, "seconds": 8.0, "train_loss": 1.5, "tokens_per_second": 20},
        {"step": 100, "seconds": 8.5, "val_loss": 1.48},
        {"step": 200, "seconds": 9.5, "train_loss": 1.4, "tokens_per_second": 30},
        {"step": 200, "seconds": 9.75, "val_loss": 1.46},
        {"step": 300, "seconds": 10.75, "train_loss": 1.4, "tokens_per_second": 25},
        {"step": 300, "seconds": 11.0, "val_loss": 1.47},
    ]
    found = compare.our_times(rows)
    assert (found["with_evaluation"], found["without_evaluation"], found["at_step"]) == (2.75, 2.0, 200)
    assert (found["lowest"], found["last"], found["tokens"]) == (1.46, 1.47, 25)
    assert "with_evaluation" not in compare.our_times(rows[:3])


def test_a_tenth_and_the_rest_are_the_training_text():
    tokens = torch.arange(103)
    for tenth in (0, 5, 9):
        rest, held_out = choice.without_tenth(tokens, tenth)
        assert held_out.tolist() == list(range(held_out[0], held_out[-1] + 1)) and 10 <= len(held_out) <= 11
        assert sorted([*rest.tolist(), *held_out.tolist()]) == tokens.tolist()


def test_a_candidate_changes_model_and_training():
    run = choice.changed(PRESETS["char-cpu"], {"n_layer": 2, "max_steps": 7})
    assert (run.model.n_layer, run.train.max_steps) == (2, 7)
    assert run.model.n_embd == 128 and run.train.decay == "linear"
