"""Runs that go on: from where, as what, and with which changes."""

import dataclasses
import json
import shutil

import pytest
import torch
from tiny_commands import (
    complaint,
    contents,
    losses,
    run,
    settings_of,
    stop_after_step_3,
)

from gptlib.checkpoint import (
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from gptlib.commands.resume import MAY_CHANGE
from gptlib.config import PRESETS, TrainConfig

PRESET = PRESETS["char-cpu"].train
MAY_NOT = [
    (
        "--train.learning-rate 0.5",
        f"learning_rate is {PRESET.learning_rate} in this run and cannot become 0.5",
    ),
    ("--train.seed 3", "seed is 1 in this run and cannot become 3"),
    ("--train.batch-size 8", "batch_size is 4 in this run and cannot become 8"),
    ("--train.grad-clip 7", "grad_clip is 1.0 in this run and cannot become 7"),
    ("--train.max-steps 2", "is at its last step, 4: extend it with --train.max-steps 8"),
    ("--model.n-embd 32", "--model.n-embd"),  # there is no such option
    ("", "is at its last step, 4: extend it with --train.max-steps 8, say"),
]
SETTINGS = [
    ('{"corpus": "plays", "device": "', "cannot be read (JSONDecodeError"),
    ("", "cannot be read (JSONDecodeError"),
    ('["plays"]', "cannot be read (TypeError"),
    ("{}", "cannot be read (KeyError: 'train'"),
    ("[" * 100_000, "cannot be read (RecursionError"),
    (("max_steps", "max_stepz"), "unexpected keyword argument 'max_stepz'"),
    (('"max_steps": 4', '"max_steps": -4'), "max_steps=-4 must be above 0"),
    (('"n_layer": 1', '"n_layer": 0'), "n_layer=0"),
    (('"corpus"', '"text of"'), "it lacks corpus"),
    (('"sha256": "', '"sha256": "0'), "the text plays is not what the run was trained on"),
]


def weights(folder) -> dict:
    return load_checkpoint(latest_checkpoint(folder)).state.model


def assert_same_run(a, b):
    assert losses(a) == losses(b)
    assert all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))
    assert (a / "samples.txt").read_bytes() == (b / "samples.txt").read_bytes()
    assert settings_of(a) == settings_of(b)


def test_resuming_equals_the_uninterrupted_run(tmp_path, uninterrupted, capsys):
    stop_after_step_3(tmp_path / "run")
    assert f"stopped; go on with: python -m gptlib resume {tmp_path / 'run'}" in capsys.readouterr().err
    torch.manual_seed(77)
    assert run("resume", tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", uninterrupted)


def test_resuming_passes_over_a_damaged_checkpoint(tmp_path, uninterrupted, caplog):
    stop_after_step_3(tmp_path / "run")
    damaged = tmp_path / "run" / "checkpoints" / "step_000003" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run("resume", tmp_path / "run") == 0
    assert "step_000003/model.safetensors is damaged" in caplog.text
    assert losses(tmp_path / "run") == losses(uninterrupted)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path, uninterrupted):
    stop_after_step_3(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert run("resume", tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", uninterrupted)


def test_a_run_that_was_killed_after_its_last_step_gets_its_ladder(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "ladder.json").unlink()
    assert run("resume", tmp_path / "run") == 2  # at its last step
    assert contents(tmp_path / "run") == contents(finished)


def test_a_lost_machine_and_its_mirror(tmp_path, uninterrupted):
    """Colab's case: run folder and machine are gone, the copy on the drive is there."""
    lost, anew, drive = (tmp_path / name for name in ("lost", "anew", "drive"))
    drive.mkdir()
    stop_after_step_3(lost, "--mirror", drive)
    shutil.rmtree(lost)
    assert run("resume", anew, "--mirror", drive) == 0
    assert losses(anew) == losses(uninterrupted)
    assert contents(drive) == {n: h for n, h in contents(anew).items() if n != "ladder.json"}


def test_what_may_change_is_taken_and_said(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    capsys.readouterr()
    changes = ["--train.max-steps", 6, "--train.micro-batch-size", 2, "--train.eval-interval", 3]
    assert run("resume", *changes, tmp_path / "run") == 0
    out = capsys.readouterr().out
    for line in ("max_steps is 6 from here on, it was 4", "micro_batch_size is 2 from here on, it was None"):
        assert line in out
    assert settings_of(tmp_path / "run")["train"]["max_steps"] == 6
    assert latest_checkpoint(tmp_path / "run").name == "step_000006"
    assert [step for step, _, val in losses(tmp_path / "run") if val] == [2, 6]
    assert run("resume", tmp_path / "run", "--train.max-steps", 7) == 0  # a finished run goes on, too
    assert latest_checkpoint(tmp_path / "run").name == "step_000007"


@pytest.mark.parametrize(("changes", "message"), MAY_NOT)
def test_what_may_not_change_is_refused(changes, message, finished, capsys):
    before = contents(finished)
    assert run("resume", finished, *changes.split()) == 2
    assert message in complaint(capsys)
    assert contents(finished) == before


def test_every_training_setting_may_or_may_not_change():
    assert {field.name for field in dataclasses.fields(TrainConfig)} > MAY_CHANGE


def test_another_machine_is_said(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    settings = settings_of(tmp_path / "run")
    assert settings["device"] == f"CPU, {torch.get_num_threads()} threads"
    text = json.dumps({**settings, "device": "CPU, 99 threads"})
    (tmp_path / "run" / "config.json").write_text(text, encoding="utf-8")
    assert run("resume", tmp_path / "run") == 0
    assert "this run was on CPU, 99 threads, here it is CPU, " in capsys.readouterr().out


@pytest.mark.parametrize(("settings", "said"), SETTINGS, ids=[said for _, said in SETTINGS])
def test_settings_that_make_no_sense(settings, said, finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    if isinstance(settings, tuple):
        assert settings[0] in path.read_text(encoding="utf-8")
        settings = path.read_text(encoding="utf-8").replace(*settings)
    path.write_text(settings, encoding="utf-8")
    before = contents(tmp_path)
    assert run("resume", tmp_path / "run", "--train.max-steps", "9") == 2
    assert said in complaint(capsys)
    assert contents(tmp_path) == before


def test_a_checkpoint_for_reading_is_not_resumed(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    folder = latest_checkpoint(tmp_path / "run")
    saved = load_checkpoint(folder)
    shutil.rmtree(folder)
    without = dataclasses.replace(saved.state, optimizer=None)
    save_checkpoint(folder, dataclasses.replace(saved, state=without))
    before = contents(tmp_path / "run")
    capsys.readouterr()
    assert run("resume", tmp_path / "run") == 2
    assert "step_000003 has no optimizer state: it was saved for reading" in complaint(capsys)
    assert contents(tmp_path / "run") == before
