"""Tiny runs by the command line, and what tests ask of their folders."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gptlib.commands.job
from gptlib import cli as command_line
from gptlib.checkpoint import latest_checkpoint
from gptlib.data import Corpus, load_corpus
from gptlib.runs import read_records

ROOT = Path(__file__).resolve().parents[3]
MODEL = "--model.n-layer 1 --model.n-head 2 --model.n-embd 16 --model.block-size 16".split()
EVERY = "--train.warmup-steps 2 --train.log-interval 1 --train.eval-interval 2".split()
TINY = [*MODEL, *EVERY, *"--train.batch-size 4 --train.max-steps 4 --train.sample-interval 2".split()]
CHARACTERS = load_corpus("plays").text  # all 65, so that the presets' numbers fit
TEXT = "".join(sorted(set(CHARACTERS))) + CHARACTERS[:20_000]
OWN = "Peter Piper picked a peck of pickled peppers.\n" * 40
RESUMABLE = [*TINY, "--model.dropout", "0.2", "--train.checkpoint-interval", "1"]


def use_text(monkeypatch, text):
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    monkeypatch.setattr(
        "gptlib.commands.text.load_corpus", lambda *name: Corpus("plays", text, sha256, "here")
    )


def run(*arguments) -> int:
    return command_line.main([str(argument) for argument in arguments])


def python(*arguments, **how):
    environment = os.environ | {"TQDM_DISABLE": "1", "GPTLIB_CHECK_SHAPES": ""} | how.pop("env", {})
    command = [sys.executable, "-m", "gptlib", *map(str, arguments)]
    how = {"cwd": ROOT, "capture_output": True, "encoding": "utf-8"} | how
    return subprocess.run(command, env=environment, **how)


def contents(folder) -> dict[str, str]:
    """Path and hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def settings_of(folder) -> dict:
    return json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))


def losses(folder) -> list[tuple]:
    return [(row["step"], row.get("train_loss"), row.get("val_loss")) for row in read_records(folder)]


def complaint(capsys) -> str:
    """What stands on stderr: one line, or what tyro says about a command that it cannot parse."""
    err = capsys.readouterr().err
    if err.startswith("error: "):
        assert err.count("\n") == 1, err
        return err
    assert "Traceback" not in err
    assert "in python train" not in err and "in python resume" not in err  # there is no such program
    return " ".join(re.sub(r"[─│╭╮╰╯]|-{4,}|\x1b\[[0-9;]*m", " ", err).split())


def stop_after_step_3(folder, *more):
    """A run that is interrupted when step 3 has been saved."""
    real_train = gptlib.commands.job.train

    def interrupted(*arguments, checkpointer, **hooks):
        def plug(state, val_loss):
            checkpointer(state, val_loss)
            if state.step == 3:
                raise KeyboardInterrupt

        return real_train(*arguments, checkpointer=plug, **hooks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gptlib.commands.job.train", interrupted)
        assert run("train", "--out", folder, *RESUMABLE, *more) == 130
    assert latest_checkpoint(folder).name == "step_000003"


def no_training(*_, **__):
    raise AssertionError("the training began")
