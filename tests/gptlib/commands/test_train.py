"""A new run: its folder, what it tells, what it must not overwrite, what it leaves behind."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from tiny_commands import (
    RESUMABLE,
    TEXT,
    TINY,
    complaint,
    contents,
    losses,
    run,
    settings_of,
    stop_after_step_3,
)

import gptlib.commands.job
from gptlib.checkpoint import latest_checkpoint, load_checkpoint
from gptlib.config import PRESETS
from gptlib.runs import read_records


def test_the_run_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "samples.txt", "ladder.json", "checkpoints"}
    config = settings_of(finished)
    assert (config["preset"], config["corpus"], config["tokenizer"]) == ("char-cpu", "plays", "char")
    assert config["model"]["n_layer"] == 1 and config["model"]["vocab_size"] == 65
    assert config["train"]["max_steps"] == 4
    rows = read_records(finished)
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "val_loss" in row] == [2, 4]
    assert (finished / "samples.txt").read_text(encoding="utf-8").count("--- step") == 2
    assert latest_checkpoint(finished).name == "step_000004"


def test_train_tells_where_it_stands(tmp_path, capsys):
    assert run("train", *TINY) == 0
    out = capsys.readouterr().out
    assert re.match(r"char-cpu: [\d,]+ weights on CPU, \d+ threads, into runs/char-cpu-001\n", out)
    assert "18,058 training tokens, each seen 0.0 times" in out and "validation loss" in out
    ladder = re.findall(r"^ +(\d\.\d{3})  (\S.*)$", out, re.M)
    assert {"uniform", "1-gram", "5-gram", "this model  <--"} < {name for _, name in ladder}
    assert [float(loss) for loss, _ in ladder] == sorted((float(loss) for loss, _ in ladder), reverse=True)
    assert "More of it:  python -m gptlib sample --checkpoint runs/char-cpu-001" in out
    assert run("train", *TINY) == 0  # the next free folder
    assert (tmp_path / "runs" / "char-cpu-002" / "metrics.jsonl").exists()


def test_arguments_in_any_order(tmp_path):
    small = "--model.n-layer 1 --model.block-size 8 --model.n-embd 8 --model.n-head 1".split()
    order = ["--train.max-steps", 1, "--preset", "bpe-cpu", "--model.vocab-size", 300]
    assert run("train", *order, *small, "--out", tmp_path / "run") == 0
    checkpoint = load_checkpoint(latest_checkpoint(tmp_path / "run"))
    assert checkpoint.tokenizer.kind == "bpe" and settings_of(tmp_path / "run")["tokenizer"] == "bpe:300"
    assert checkpoint.tokenizer.vocab_size == checkpoint.model_config.vocab_size == 300
    assert checkpoint.train_config.batch_size == PRESETS["bpe-cpu"].train.batch_size


def test_a_run_folder_is_not_overwritten(finished, capsys):
    before = contents(finished)
    assert run("train", "--out", finished, *TINY) == 2
    assert f"holds a run already: go on with it by `resume {finished}`" in complaint(capsys)
    assert contents(finished) == before


def test_copies_of_another_run_are_not_overwritten(tmp_path, capsys):
    (drive := tmp_path / "drive").mkdir()
    stop_after_step_3(tmp_path / "lost", "--mirror", drive)
    before = contents(drive)
    capsys.readouterr()
    assert run("train", "--out", tmp_path / "anew", "--mirror", drive, *RESUMABLE) == 2
    assert "drive holds a run already" in complaint(capsys)
    assert contents(drive) == before and not (tmp_path / "anew").exists()


def test_a_run_folder_without_settings_is_not_overwritten(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    before = contents(tmp_path / "run")
    capsys.readouterr()
    assert run("train", "--out", tmp_path / "run", *RESUMABLE) == 2
    assert "holds a run already" in complaint(capsys) and contents(tmp_path / "run") == before


def test_nothing_is_written_when_the_mirror_is_missing(tmp_path, capsys):
    assert run("train", "--out", tmp_path / "run", "--mirror", tmp_path / "drive", *RESUMABLE) == 2
    assert "mount the drive" in complaint(capsys) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("no space"), RuntimeError("bug")])
def test_a_run_that_fails_before_its_first_record_leaves_no_folder(error, tmp_path, monkeypatch):
    def failing(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("gptlib.commands.job.train", failing)
        try:
            assert run("train", "--out", tmp_path / "run", *TINY) == (
                2 if isinstance(error, OSError) else 130
            )
        except RuntimeError:
            assert isinstance(error, RuntimeError)
    assert list(tmp_path.iterdir()) == []
    assert run("train", "--out", tmp_path / "run", *TINY) == 0  # the next try works


def test_advice_against_too_little_memory_can_be_followed(tmp_path, monkeypatch, capsys):
    def no_memory(*_, **__):
        raise RuntimeError("not enough memory")

    with monkeypatch.context() as patch:
        patch.setattr("gptlib.commands.job.step_function", lambda job: no_memory)
        assert run("train", "--out", tmp_path / "run", *TINY) == 2
    advice = re.search("set (micro_batch_size)=(2)", complaint(capsys))
    option = f"--train.{advice[1].replace('_', '-')}"
    assert run("train", "--out", tmp_path / "run", *TINY, option, advice[2]) == 0


def test_two_runs_that_begin_at_once_get_two_folders(tmp_path, monkeypatch):
    real = gptlib.commands.job.describe

    def meanwhile(*arguments):
        monkeypatch.setattr("gptlib.commands.job.describe", real)
        assert run("train", *TINY) == 0  # another process, while the first has written nothing yet
        return real(*arguments)

    monkeypatch.setattr("gptlib.commands.job.describe", meanwhile)
    assert run("train", *TINY) == 0
    assert [len(losses(tmp_path / "runs" / f"char-cpu-00{n}")) for n in (1, 2)] == [6, 6]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_a_run_saves_and_leaves(tmp_path, number, code):
    folder, text = tmp_path / "run", tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    endless = " ".join(TINY).replace("max-steps 4", "max-steps 100000").split()
    command = [sys.executable, "-m", "gptlib", "train", "--text", text, "--out", folder, *endless]
    environment = {**os.environ, "TQDM_DISABLE": "1", "GPTLIB_CHECK_SHAPES": ""}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        began = time.monotonic()
        while not (folder / "metrics.jsonl").exists() and time.monotonic() - began < 60:
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code, said
    checkpoint = load_checkpoint(latest_checkpoint(folder))
    assert checkpoint.state.step == read_records(folder)[-1]["step"] >= 1
    assert "Traceback" not in said and f"go on with: python -m gptlib resume {folder}\n" in said


def test_a_loss_that_is_not_finite(tmp_path, capsys):
    wild = ["--train.learning-rate", "1e30", "--train.optimizer", "adamw"]
    assert run("train", "--out", tmp_path / "run", *TINY, *wild) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: the validation loss at step 2 is nan: lower learning_rate=1e\+30\n", err)
