"""The board's list of work, without a GPU."""

import json

import pytest
import torch

from gptlib.board import read_runs
from gptlib.files import DATA
from gptlib.modern import ModernGPT
from gptlib.modern_config import MODERN_PRESETS, ModernConfig
from tools.measure import since

SHAPE, SMALL, HOW = since.sizes(tiny=True)


def record(part="board", name="base", pair=0, loss=2.0, kind="steps"):
    return dict(
        part=part, name=name, kind=kind, pair=pair, val_loss=loss, step_ms=5.0, parameters=1, model=SHAPE
    )


def write(folder, rows):
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "since-gpu0.jsonl").write_text(text, encoding="utf-8")


def wanted(folder, unit):
    return [(pair, kind) for pair, kind, _, _ in since.wanted(unit, folder, HOW, lambda model, changes: 5.0)]


def test_each_row_changes_one_thing():
    units = {unit.name: unit for unit in since.rows(since.SHAPE, "board")}
    base, full = ModernConfig(**units["base"].model), ModernConfig(**units["all"].model)
    for name in since.SINGLE:
        ours = ModernConfig(**units[name].model)
        assert len([f for f in vars(base) if getattr(ours, f) != getattr(base, f)]) == 1, name
    for name in since.NAMES.values():
        ours = ModernConfig(**units[f"all but {name}"].model)
        (field,) = [f for f in vars(full) if getattr(ours, f) != getattr(full, f)]
        assert getattr(ours, field) == getattr(base, field)
    assert len([f for f in vars(full) if getattr(full, f) != getattr(base, f)]) == len(since.FULL)


def test_rows_have_as_many_weights_as_they_say():
    def size(model):
        with torch.device("meta"):
            return sum(p.numel() for p in ModernGPT(ModernConfig(**model)).parameters())

    units = {unit.name: size(unit.model) for unit in since.rows(since.SHAPE, "board")}
    base = units["base"]
    for name in ("SwiGLU", "ReLU²", "grouped queries, wider MLP", "QK-norm", "shortcuts"):
        assert units[name] / base == pytest.approx(1, abs=2e-3), name
    assert units["grouped queries"] / base == pytest.approx(0.89, abs=0.01)
    assert size(since.SMALL) / base == pytest.approx(1 / 3, abs=0.01)


def test_a_unit_lacks_what_is_not_recorded(tmp_path):
    unit = next(unit for unit in since.rows(SHAPE, "board") if unit.name == "RoPE")
    assert wanted(tmp_path, unit) == [(0, "steps"), (1, "steps"), (2, "steps")]
    write(tmp_path, [record(name="RoPE", pair=1)])
    assert wanted(tmp_path, unit) == [(0, "steps"), (2, "steps")]
    more = since.Unit("more board", "RoPE", unit.model)
    rows = [record(pair=p) for p in range(5)]
    clear = [record(name="RoPE", pair=p, loss=1.9 + 0.01 * p) for p in range(3)]
    seconds = [(p, "seconds") for p in range(3)]
    write(tmp_path, rows + clear)
    assert wanted(tmp_path, more) == [(3, "steps"), (4, "steps"), *seconds]
    noisy = [record(name="RoPE", pair=p, loss=2.0 + (-1) ** p * 0.1) for p in range(3)]
    write(tmp_path, rows + noisy)
    assert wanted(tmp_path, more) == seconds
    done = [record(name="RoPE", pair=p, kind="seconds") for p in range(3)]
    write(tmp_path, rows + noisy + done)
    assert wanted(tmp_path, more) == []


def test_equal_seconds_are_fewer_steps_of_a_slower_model(tmp_path):
    write(tmp_path, [record(), record(name="RoPE")])
    unit = since.Unit("more board", "RoPE", {**SHAPE, "position": "rope"})
    found = since.wanted(unit, tmp_path, HOW, lambda model, changes: 10.0 if "position" in model else 5.0)
    assert {steps for _, kind, _, steps in found if kind == "seconds"} == {HOW("board").max_steps // 2}


def test_what_helped_in_all_pairs_is_chosen():
    runs = [record(pair=p) for p in range(3)]
    runs += [record(name="RMSNorm", pair=p, loss=1.9) for p in range(3)]
    runs += [record(name="QK-norm", pair=p, loss=1.9 + 0.2 * (p == 2)) for p in range(3)]
    runs += [record(name="ReLU²", pair=p, loss=1.8) for p in range(3)]
    chosen = since.what_helped(runs)
    assert chosen == {"position": "rope", "bias": False, "norm": "rms", "mlp": "relu2"}


def test_two_processes_share_the_units(tmp_path):
    unit = since.Unit("board", "ReLU²", SHAPE)
    assert since.claimed(tmp_path, unit) and not since.claimed(tmp_path, unit)
    assert since.claimed(tmp_path, since.Unit("small", "ReLU²", SHAPE))


def test_a_run_is_recorded(tmp_path):
    tokens = torch.arange(4000) ** 2 % 65
    runner = since.Runner(tmp_path, 3, tokens, tokens[:300], HOW)
    for name, changes in (("base", {}), ("tail average", {"average": True}), ("WSD", {"schedule": "stable"})):
        runner.run(since.Unit("board", name, SHAPE), 1, "steps", changes)
    rows = read_runs(tmp_path)
    assert [row["name"] for row in rows] == ["base", "tail average", "WSD"]
    assert {(row["seed"], row["tenth"], row["steps"]) for row in rows} == {(*since.PAIRS[1], 12)}
    assert rows[2]["val_loss"] != rows[0]["val_loss"]  # the last rate is 0, so the average is nearly the end
    assert runner.step_ms(SHAPE, {}) > 0


def test_the_preset_is_what_the_rule_chose_and_what_was_tested_with_five_seeds():
    preset, runs = MODERN_PRESETS["char-gpu-modern"], read_runs(DATA / "runs" / "since")
    name, kind = since.lowest(runs)
    tested = [run for run in runs if (run["part"], run["name"], run["kind"]) == ("tested", name, kind)]
    assert [run["seed"] for run in tested] == [1, 2, 3, 4, 5] and {run["tenth"] for run in tested} == {None}
    how = {**vars(since.LONG), **json.loads(kind)}
    for run in tested:
        assert ModernConfig(**run["model"]) == preset.model and run["steps"] == preset.train.max_steps
    differing = {"eval_interval", "sample_interval"}
    assert {key for key, value in vars(preset.train).items() if how[key] != value} == differing


def test_what_was_expected_of_the_new_speakers_is_older_than_the_runs():
    runs = read_runs(DATA / "runs" / "since")
    expected = json.loads((DATA / "runs" / "since" / "speakers.json").read_text(encoding="utf-8"))
    ends = {part: [run["ended"] for run in runs if run["part"] == part] for part in ("speakers", "controls")}
    assert expected["written"] < min(ends["speakers"]) < expected["choice"]["written"] < min(ends["controls"])
    later = set(since.CHOICE) - {"RoPE"}
    assert all(
        run["ended"] > expected["choice"]["written"]
        for run in runs
        if run["part"] == "speakers" and run["name"] in later
    )


def test_the_lowest_mean_of_the_first_four_pairs_is_chosen(tmp_path):
    rows = [
        record("speakers", name, pair, loss, "{}")
        for name, loss in (("A", 1.5), ("B", 1.4))
        for pair in range(4)
    ]
    rows += [record("speakers", "A", pair, 0.1, "{}") for pair in (4, 5)]  # more than four do not count
    rows += [record("speakers", "C", pair, 0.1, "{}") for pair in range(3)]  # nor does one with fewer
    rows += [record("controls", "D", pair, 0.1, "{}") for pair in range(4)]
    assert since.lowest(rows) == ("B", "{}")


def test_new_speakers_have_tenths_of_their_own(tmp_path):
    for part, pairs in (("speakers", 6), ("choice", 4), ("controls", 4)):
        for unit in since.units_of(part, tmp_path, since.SHAPE, since.SMALL):
            found = [pair for pair, *_ in since.wanted(unit, tmp_path, HOW, None)]
            assert found == list(range(pairs)) * len(unit.runs) and ModernConfig(**unit.model)
    assert {tenth for _, tenth in since.NEW_SPEAKERS} == {3, 9}
    assert not {seed for seed, _ in since.NEW_SPEAKERS} & {seed for seed, _ in since.PAIRS}


def test_what_is_tested_sees_the_whole_training_text(tmp_path):
    tokens = torch.arange(4000) ** 2 % 65
    runner = since.Runner(tmp_path, 0, tokens, tokens[:300] // 2, HOW)
    unit = since.units_of("tested", tmp_path, SHAPE, SMALL)[0]
    assert [(pair, kind) for pair, kind, *_ in since.wanted(unit, tmp_path, HOW, None)] == [
        (pair, json.dumps(since.AS_BEST)) for pair in range(5)
    ]
    runner.run(unit, 2, json.dumps(since.AS_BEST), since.AS_BEST)
    (row,) = read_runs(tmp_path)
    assert (row["part"], row["seed"], row["tenth"]) == ("tested", 3, None)


def test_a_second_choice_runs_all_five_tenths(tmp_path):
    rows = [record("candidates", "RoPE", pair, kind="{}") for pair in range(2)]
    write(tmp_path, rows)
    unit = next(unit for unit in since.units_of("again", tmp_path, SHAPE, SMALL) if unit.name == "RoPE")
    lacking = wanted(tmp_path, unit)
    assert [pair for pair, kind in lacking if kind == "{}"] == [2, 3, 4]
    assert [pair for pair, kind in lacking if kind != "{}"] == [0, 1, 2, 3, 4]
