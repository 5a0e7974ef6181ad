"""The command line: a tiny run from train to sample, resuming, and one line for everything that is wrong."""

import dataclasses
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gptlib import cli as command_line
from gptlib import data
from gptlib.checkpoint import checkpoints_in, latest_checkpoint, load_checkpoint, save_checkpoint
from gptlib.config import PRESETS, TrainConfig
from gptlib.data import Corpus, load_corpus, split
from gptlib.loss import evaluate
from gptlib.runs import read_records

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "--model.n-layer 1 --model.n-head 2 --model.n-embd 16 --model.block-size 16".split()
EVERY = "--train.warmup-steps 2 --train.log-interval 1 --train.eval-interval 2".split()
TINY = [*MODEL, *EVERY, *"--train.batch-size 4 --train.max-steps 4 --train.sample-interval 2".split()]
CHARACTERS = load_corpus("plays").text  # all 65, so that the presets' numbers fit
TEXT = "".join(sorted(set(CHARACTERS))) + CHARACTERS[:20_000]
OWN = "Peter Piper picked a peck of pickled peppers.\n" * 40


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """A CPU, a short corpus, a working directory of our own, nothing piped in."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    use_text(monkeypatch, TEXT)
    monkeypatch.chdir(tmp_path)


def use_text(monkeypatch, text):
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    monkeypatch.setattr(command_line, "load_corpus", lambda *name: Corpus("plays", text, sha256, "here"))


def run(*arguments) -> int:
    return command_line.main([str(argument) for argument in arguments])


def contents(folder) -> dict[str, str]:
    """Path and hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def settings_of(folder) -> dict:
    return json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))


def complaint(capsys) -> str:
    """What stands on stderr: one line, or what tyro says about a command that it cannot parse."""
    err = capsys.readouterr().err
    if err.startswith("error: "):
        assert err.count("\n") == 1, err
        return err
    assert "Traceback" not in err
    assert "in python train" not in err and "in python resume" not in err  # there is no such program
    return " ".join(re.sub(r"[─│╭╮╰╯]|-{4,}|\x1b\[[0-9;]*m", " ", err).split())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run, to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("TQDM_DISABLE", "1")
        use_text(patch, TEXT)
        assert run("train", "--device", "cpu", "--out", folder, *TINY) == 0
    return folder


# --- a run from beginning to end


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


# --- going on


RESUMABLE = [*TINY, "--model.dropout", "0.2", "--train.checkpoint-interval", "1"]


def stop_after_step_3(folder, *more):
    """A run that is interrupted when step 3 has been saved."""
    real_train = command_line.train

    def interrupted(*arguments, checkpointer, **hooks):
        def plug(state, val_loss):
            checkpointer(state, val_loss)
            if state.step == 3:
                raise KeyboardInterrupt

        return real_train(*arguments, checkpointer=plug, **hooks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "train", interrupted)
        assert run("train", "--out", folder, *RESUMABLE, *more) == 130
    assert latest_checkpoint(folder).name == "step_000003"


def losses(folder) -> list[tuple]:
    return [(row["step"], row.get("train_loss"), row.get("val_loss")) for row in read_records(folder)]


def weights(folder) -> dict:
    return load_checkpoint(latest_checkpoint(folder)).state.model


def assert_same_run(a, b):
    assert losses(a) == losses(b)
    assert all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))
    assert (a / "samples.txt").read_bytes() == (b / "samples.txt").read_bytes()
    assert settings_of(a) == settings_of(b)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The run that others are compared with, to be read only."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("TQDM_DISABLE", "1")
        use_text(patch, TEXT)
        assert run("train", "--out", folder, *RESUMABLE) == 0
    return folder


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


@pytest.mark.parametrize(("changes", "message"), MAY_NOT)
def test_what_may_not_change_is_refused(changes, message, finished, capsys):
    before = contents(finished)
    assert run("resume", finished, *changes.split()) == 2
    assert message in complaint(capsys)
    assert contents(finished) == before


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_a_setting_that_makes_no_sense_is_one_line(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert run("train", "--train.learning-rate", "nan") == 2
    assert capsys.readouterr().err == "error: learning_rate=nan must be a finite number\n"


def test_every_training_setting_may_or_may_not_change():
    assert {field.name for field in dataclasses.fields(TrainConfig)} > command_line.MAY_CHANGE


def test_another_machine_is_said(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    settings = settings_of(tmp_path / "run")
    assert settings["device"] == f"CPU, {torch.get_num_threads()} threads"
    text = json.dumps({**settings, "device": "CPU, 99 threads"})
    (tmp_path / "run" / "config.json").write_text(text, encoding="utf-8")
    assert run("resume", tmp_path / "run") == 0
    assert "this run was on CPU, 99 threads, here it is CPU, " in capsys.readouterr().out


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


# --- what must not be overwritten, and what is left behind


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
        patch.setattr(command_line, "train", failing)
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
        patch.setattr(command_line, "step_function", lambda job: no_memory)
        assert run("train", "--out", tmp_path / "run", *TINY) == 2
    advice = re.search("set (micro_batch_size)=(2)", complaint(capsys))
    option = f"--train.{advice[1].replace('_', '-')}"
    assert run("train", "--out", tmp_path / "run", *TINY, option, advice[2]) == 0


def test_two_runs_that_begin_at_once_get_two_folders(tmp_path, monkeypatch):
    real = command_line.describe

    def meanwhile(*arguments):
        monkeypatch.setattr(command_line, "describe", real)
        assert run("train", *TINY) == 0  # another process, while the first has written nothing yet
        return real(*arguments)

    monkeypatch.setattr(command_line, "describe", meanwhile)
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


# --- one's own text


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe:270", "gpt2"])
def test_own_text_with_each_tokenizer(tokenizer, tmp_path, capsys):
    (tmp_path / "peter.txt").write_bytes(b"\xef\xbb\xbf" + OWN.replace("\n", "\r\n").encode())
    assert run("train", "--text", tmp_path / "peter.txt", "--tokenizer", tokenizer, *TINY) == 0
    folder = tmp_path / "runs" / "own-001"
    settings, saved = settings_of(folder), load_checkpoint(latest_checkpoint(folder))
    assert settings["corpus"] == "peter.txt" and settings["tokenizer"] == tokenizer
    assert settings["text"]["sha256"] == hashlib.sha256(OWN.encode()).hexdigest()
    sizes = {"char": 17, "byte": 256, "bpe:270": 270, "gpt2": 50257}
    assert settings["model"]["vocab_size"] == saved.tokenizer.vocab_size == sizes[tokenizer]
    assert settings["train_tokens"] == len(saved.tokenizer.encode(split(OWN)[0]))
    capsys.readouterr()  # evaluate, plot and resume need no reminder
    assert run("evaluate", "--checkpoint", folder) == 0
    assert f"{settings['val_tokens'] - 1:,} predictions, peter.txt)" in capsys.readouterr().out
    assert run("plot", folder) == 0 and run("resume", folder, "--train.max-steps", 5) == 0
    assert latest_checkpoint(folder).name == "step_000005"


def test_own_text_in_several_files(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a: b.txt").write_text(OWN, encoding="utf-8")
    with gzip.open(tmp_path / "mine" / "c.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"text": "Wilkommen, Ä!"}) + "\n")
    assert run("train", "--text", "mine", "--out", "run", *TINY) == 0
    assert settings_of("run")["corpus"] == "2 files" and run("resume", "run", "--train.max-steps", 5) == 0


@pytest.mark.parametrize("name", ["plays", "tinyshakespeare"])
def test_own_text_with_the_name_of_a_shipped_one(name, tmp_path, capsys):
    (tmp_path / name).write_text(OWN, encoding="utf-8")
    assert run("train", "--text", name, "--out", "run", *TINY) == 0
    assert settings_of("run")["corpus"] == name and run("resume", "run", "--train.max-steps", 5) == 0
    assert run("evaluate", "--checkpoint", "run") == 0


def test_own_text_that_has_changed_or_gone(tmp_path, capsys):
    text = tmp_path / "peter.txt"
    text.write_text(OWN, encoding="utf-8")
    assert run("train", "--text", text, "--out", "run", *TINY) == 0
    for change, said in (
        (lambda: text.write_text("x" * 999, encoding="utf-8"), "peter.txt"),
        (text.unlink, text),
    ):
        change()
        for command in (["resume", "run", "--train.max-steps", 5], ["evaluate", "--checkpoint", "run"]):
            capsys.readouterr()
            assert run(*command) == 2 and str(said) in complaint(capsys)
    assert latest_checkpoint("run").name == "step_000004"


# --- sample


def sample(*arguments) -> int:
    return run("sample", "--max-new-tokens", 30, *arguments)


def test_sample_is_the_same_for_the_same_seed(finished, capsys):
    def text(*more):
        assert sample("--checkpoint", latest_checkpoint(finished), "--prompt", "ROMEO:", *more) == 0
        return capsys.readouterr().out

    one = text("--seed", 1)
    assert one.startswith("ROMEO:") and len(one) == 6 + 30 + 1
    assert one == text("--seed", 1) != text("--seed", 2)
    greedy = [text("--temperature", 0, "--seed", seed) for seed in (1, 2)]
    assert greedy[0] == greedy[1] == text("--top-k", 1)
    assert text(r"--prompt", r"ROMEO:\nO").startswith("ROMEO:\nO")
    assert text("--max-new-tokens", 0) == "ROMEO:\n"
    assert len(text("--prompt", "")) == 1 + 30 + 1  # from a line break


def test_what_a_checkpoint_can_be(finished, tmp_path, capsys):
    def first_line(*more):
        assert sample("--prompt", "A", *more) == 0
        return capsys.readouterr()

    by_step = first_line("--checkpoint", load_best(finished)).out
    assert first_line("--checkpoint", finished).out == by_step
    shipped = first_line("--checkpoint", "char-cpu").out
    assert (
        shipped != by_step and shipped == first_line("--checkpoint", ROOT / "data/checkpoints/char-cpu").out
    )
    assert first_line().err == f"({ROOT / 'data' / 'checkpoints' / 'char-gpu-best'})\n"
    for number, name in enumerate(("newer", "newest", "old")):
        shutil.copytree(finished, tmp_path / "runs" / name)
        when = [2e9, 3e9, 1e9][number]
        for folder in checkpoints_in(tmp_path / "runs" / name):
            os.utime(folder, (when, when))
    assert first_line() == (by_step, f"(runs/newest/checkpoints/{load_best(finished).name})\n")


def load_best(folder) -> Path:
    return command_line.best_checkpoint(folder)


def test_a_text_without_line_breaks_has_another_beginning(tmp_path, capsys):
    (tmp_path / "line.txt").write_text("abcdefgh" * 200, encoding="utf-8")
    assert run("train", "--text", "line.txt", "--out", "run", *TINY) == 0
    capsys.readouterr()
    assert sample("--checkpoint", "run") == 0
    assert re.fullmatch("[a-h]{31}\n", capsys.readouterr().out)


class Piped(io.StringIO):
    """Standard input that is no keyboard and has something to read."""


def test_a_prompt_from_standard_input(finished, monkeypatch, capsys):
    for waits, arguments, starts in (
        (True, [], "JULIET:"),
        (False, [], "\n"),
        (False, ["--prompt", "-"], "JULIET:"),
        (True, ["--prompt", "A"], "A"),
    ):
        monkeypatch.setattr("sys.stdin", Piped("JULIET:"))
        monkeypatch.setattr(command_line, "input_waits", lambda waits=waits: waits)
        assert sample("--checkpoint", finished, *arguments) == 0
        assert capsys.readouterr().out.startswith(starts)


def python(*arguments, **how):
    environment = os.environ | {"TQDM_DISABLE": "1", "GPTLIB_CHECK_SHAPES": ""} | how.pop("env", {})
    command = [sys.executable, "-m", "gptlib", *map(str, arguments)]
    how = {"cwd": ROOT, "capture_output": True, "encoding": "utf-8"} | how
    return subprocess.run(command, env=environment, **how)


def test_a_pipe_is_a_prompt():
    done = python("sample", "--checkpoint", "char-cpu", "--max-new-tokens", 5, input="JULIET:\nO")
    assert done.stdout.startswith("JULIET:\nO") and len(done.stdout) == 9 + 5 + 1


def test_writing_together(finished, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("RO\\nMEO:\nÄ\n\n"))
    assert sample("--checkpoint", finished, "--interactive", "--max-new-tokens", 8) == 0
    first, strange, third, end = capsys.readouterr().out.split("> ", 4)[1:]
    assert len(first) == len(third) == 8 + 1 and end == "\n"  # 30 tokens in all: beyond block_size
    assert strange.startswith("(unknown character 'Ä'")


def test_without_standard_input(finished, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    assert sample("--checkpoint", finished) == 0
    for asked in (["--prompt", "-"], ["--interactive"]):
        capsys.readouterr()
        assert sample("--checkpoint", finished, *asked) == 2
        assert "standard input is closed" in complaint(capsys)


def test_a_character_of_several_tokens_is_shown_whole(tmp_path, capsys):
    """Bytes of a character come one by one; a last one that is not finished is U+FFFD."""
    tokenizer = command_line.ByteTokenizer()
    ids = [torch.tensor([[i]]) for i in [*"aé🙂".encode(), 0xF0, 0x9F]]
    assert command_line.print_tokens(iter(ids), tokenizer) == [i.item() for i in ids]
    assert capsys.readouterr().out == "aé🙂\ufffd\n"


def test_the_shipped_model_writes_on_a_cpu():
    shipped = ["--checkpoint", "data/checkpoints/char-gpu-best", "--prompt", "ROMEO:", "--seed", 1]
    done = python("sample", *shipped, "--max-new-tokens", 60)
    assert done.returncode == 0 and done.stdout.startswith("ROMEO:") and len(done.stdout) == 67
    assert done.stderr == ""


def test_a_reader_that_has_seen_enough():
    """`python -m gptlib sample … | head -1`: no complaint when the pipe is closed."""
    command = [sys.executable, "-m", "gptlib", "sample", "--checkpoint", "data/checkpoints/char-cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (0, b"")


# --- evaluate, plot, presets, export, version


def test_evaluate_prints_the_exact_loss(finished, capsys):
    assert run("evaluate", "--checkpoint", latest_checkpoint(finished)) == 0
    out = capsys.readouterr().out
    checkpoint = load_checkpoint(latest_checkpoint(finished))
    tokens = checkpoint.tokenizer.encode(split(TEXT)[1])
    loss = evaluate(checkpoint.build_model(), tokens, 16)
    assert f"validation loss {loss:.4f} nats per token" in out
    assert f"{len(tokens) - 1:,} predictions" in out
    bits = float(re.search(r"([\d.]+) bits per character", out)[1])
    assert bits == pytest.approx(loss / math.log(2), abs=1e-3)
    assert losses(finished)[-1][2] == pytest.approx(loss, abs=1e-5)


def test_evaluate_takes_the_text_of_the_run_wherever_it_is_called(tmp_path, monkeypatch, capsys):
    (tmp_path / "peter.txt").write_text(OWN, encoding="utf-8")
    assert run("train", "--text", "peter.txt", "--out", "run", *TINY) == 0
    monkeypatch.chdir(latest_checkpoint("run"))
    capsys.readouterr()
    assert run("evaluate", "--checkpoint", ".") == 0
    assert capsys.readouterr().out.endswith("peter.txt)\n")
    assert run("evaluate", "--checkpoint", ".", "--text", ROOT / "README.md") == 2
    assert "unknown character" in complaint(capsys)


def test_plot_in_the_terminal(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "a" / "run")
    assert run("plot", finished, tmp_path / "a" / "run") == 0
    out = capsys.readouterr().out
    points = [(step, val) for step, _, val in losses(finished) if val]
    for name in (finished, tmp_path / "a" / "run"):  # equal names, two runs
        bars = [rf" +{step}  {val:.3f}  █+\n" for step, val in points]
        assert re.search(re.escape(f"{name}: validation loss") + ".*\n" + "".join(bars), out)
        assert f"{min(val for _, val in points):.3f}  {name}  <--" in out
    rungs = json.loads((finished / "ladder.json").read_text(encoding="utf-8"))
    assert all(f"{value:.3f}  {name}\n" in out for name, value in rungs.items())


def test_plot_as_png(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "b")
    (tmp_path / "b" / "ladder.json").unlink()  # a run that is still going on
    assert run("plot", tmp_path / "b", finished, "--out", tmp_path / "ナ.png") == 0
    assert (tmp_path / "ナ.png").read_bytes().startswith(b"\x89PNG")
    assert "written to" in capsys.readouterr().out


def test_a_png_needs_no_display(finished, tmp_path):
    headless = {"MPLBACKEND": "module://missing"}  # as a window that cannot be opened
    done = python("plot", finished, "--out", tmp_path / "x.png", env=headless)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "x.png").exists()


def test_plot_refuses_what_cannot_be_compared(finished, tmp_path, capsys):
    (tmp_path / "peter.txt").write_text(OWN, encoding="utf-8")
    assert run("train", "--text", "peter.txt", "--out", "run", *TINY) == 0
    shutil.copytree(finished, tmp_path / "half")
    broken = [
        ("run", finished, "have different texts"),
        ("half", "half", "half/ladder.json cannot be read", "ladder.json", '{"uniform": null}'),
        ("half", "half", "metrics.jsonl, line 1 is no record: '3'", "metrics.jsonl", "3\n{}\n"),
        ("half", "half", "half has no validation loss yet", "metrics.jsonl", '{"step": 1}\n'),
    ]
    for a, b, said, *file in broken:
        if file:
            (tmp_path / "half" / file[0]).write_text(file[1], encoding="utf-8")
        capsys.readouterr()
        assert run("plot", a, b, "--out", "x.png") == 2
        assert said in complaint(capsys) and not (tmp_path / "x.png").exists()


def test_presets(capsys):
    assert run("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PRESETS)
    assert len({line.index("×") for line in lines[1:]}) == 1  # the columns are straight


@pytest.fixture(scope="session")
def trained_bpe(tmp_path_factory):
    """A tiny model with a tokenizer of byte pairs, biases off."""
    folder = tmp_path_factory.mktemp("bpe")
    (folder / "text.txt").write_text(CHARACTERS[:20_000] + "Äé🙂", encoding="utf-8")
    words = ["--tokenizer", "bpe:400", "--out", folder / "run", "--device", "cpu", "--model.no-bias"]
    assert run("train", "--text", folder / "text.txt", *words, *TINY) == 0
    return folder / "run"


def logits_of(checkpoint, folder, ids):
    """Ours, and those of transformers."""
    transformers = pytest.importorskip("transformers")
    with torch.no_grad():
        theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()(ids).logits
        return checkpoint.build_model()(ids), theirs


def test_export_is_loaded_by_transformers(finished, trained_bpe, tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    for name, run_folder in (("char", finished), ("bpe", trained_bpe)):
        assert run("export", run_folder, tmp_path / "to" / name) == 0
        out, checkpoint = capsys.readouterr().out, load_checkpoint(load_best(run_folder))
        ids = torch.randint(
            checkpoint.tokenizer.vocab_size, (2, 16), generator=torch.Generator().manual_seed(1)
        )
        torch.testing.assert_close(*logits_of(checkpoint, tmp_path / "to" / name, ids), atol=1e-5, rtol=0)
        assert ("the char tokenizer has no place in GPT-2's format" in out) == (name == "char")
    text = "O Romeo, Romeo!\n\n  wherefore's 123 Äé🙂\n\n"
    theirs = transformers.GPT2Tokenizer.from_pretrained(tmp_path / "to" / "bpe")
    ours = checkpoint.tokenizer
    assert theirs(text)["input_ids"] == ours.encode(text)
    before = contents(tmp_path)
    assert run("export", finished, tmp_path / "to" / "char") == 2
    assert "exists already: nothing was overwritten" in complaint(capsys) and contents(tmp_path) == before


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"gptlib 0.1.0, PyTorch {torch.__version__}\n"


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(command in out for command in "train resume sample evaluate plot presets export".split())


# --- what is wrong: one line that names it, exit code 2, nothing written

WRONG = [
    ("train --preset char-cpuu", "'char-cpuu'.*char-cpu.*bpe-cpu.*char-gpu"),
    ("train --train.max-step 4", "--train.max-step.*--train.max-steps"),
    ("train --model.layers 4", "--model.layers"),
    ("train --train.max-steps four", "--train.max-steps.*four"),
    ("train --train.max-steps 0", "max_steps=0 must be above 0"),
    ("train --model.n-head 3", "n_embd=128 is not divisible by n_head=3.*try n_embd=126"),
    ("train --model.dropout 1.5", "dropout=1.5 must be"),
    ("train --model.dropout nan", "dropout=nan must be"),
    ("train --train.batch-size 6 --train.micro-batch-size 4", "batch_size=6.*micro_batch_size=4"),
    ("train --train.learning-rate 0", "learning_rate=0"),
    ("train --train.learning-rate nan", "learning_rate=nan must be a finite number"),
    ("train --train.grad-clip inf", "grad_clip=inf must be a finite number"),
    ("train --train.betas 0.9 1", "betas=.* below 1"),
    ("train --train.seed 18446744073709551616", "seed=18446744073709551616 must be below 2"),
    ("train --train.precision fp16", "precision='fp16' needs a CUDA GPU.*fp32"),
    ("train --train.precision fp17", "fp17.*fp16"),
    ("train --step captured", "--step captured needs a CUDA GPU"),
    ("train --device cuda", "device='cuda' is not there: choose auto, cpu"),
    ("train --device tpu", "tpu.*cuda"),
    ("train --model.vocab-size 99", "vocab_size=99.*65"),
    ("train --preset bpe-cpu --model.vocab-size 100", "vocab_size=100 is below 256"),
    ("train --model.n-embd 10000000 --model.n-head 1", "out of memory"),
    ("train --tokenizer words", "tokenizer='words' is unknown: choose char, byte, bpe:N"),
    ("train --tokenizer bpe:", "tokenizer='bpe:' is unknown"),
    ("train --tokenizer bpe:-5", "tokenizer='bpe:-5' is unknown"),
    ("train --text nowhere.txt", "nowhere.txt does not exist, and is no pattern that fits a file"),
    ("train --text empty.txt", "empty.txt: there is no text in it"),
    ("train --text half.txt.gz", "half.txt.gz cannot be read"),
    ("train --text latin.txt", "latin.txt is no UTF-8"),
    ("train --text bad.jsonl", "bad.jsonl, line 1 is no JSON with a string 'text'"),
    ("train --text folder", "folder holds no file that ends in .txt"),
    ("train --text short.txt", "9 tokens are too few for block_size=128"),
    (
        "train --text short.txt --model.block-size 8 --train.batch-size 1",
        "the validation part.*'k'.*longer text",
    ),
    ("train --out a_file/run", "a_file"),
    ("train --out a_file", "a_file"),
    ("train --out folder --mirror folder", "folder"),
    ("resume", "run"),
    ("resume nowhere", "nowhere is no run folder: config.json is missing"),
    ("resume nowhere --mirror folder", "folder is no run folder"),
    ("sample --checkpoint nowhere", "nowhere is not a folder: check the path"),
    ("sample --checkpoint a_file", "a_file is not a folder"),
    ("sample --checkpoint CHECKPOINT --prompt Ä", "unknown character 'Ä' at position 0.*knows 65 characters"),
    ("sample --checkpoint CHECKPOINT --prompt aaaaaaaaaaaaaaaaaaaa", "T=20 .*block_size=16.*shorten it by 4"),
    ("sample --checkpoint CHECKPOINT --temperature -1", "temperature=-1.0 must not be negative"),
    ("sample --checkpoint CHECKPOINT --temperature nan", "temperature=nan"),
    ("sample --checkpoint CHECKPOINT --top-k 0", "top_k=0 must be at least 1"),
    ("sample --checkpoint CHECKPOINT --top-p 0", r"top_p=0.0 must lie in \(0, 1\]"),
    ("sample --checkpoint CHECKPOINT --top-p nan", "top_p=nan must lie in"),
    ("sample --checkpoint CHECKPOINT --max-new-tokens -3", "max_new_tokens=-3 must not be negative"),
    ("sample --checkpoint CHECKPOINT --seed -1", "seed=-1 must be at least 0"),
    ("sample --checkpoint CHECKPOINT --interactive --top-k 0", "top_k=0 must be at least 1"),
    ("evaluate --checkpoint nowhere", "nowhere is not a folder"),
    ("evaluate --checkpoint CHECKPOINT --text empty.txt", "there is no text in it"),
    ("evaluate --checkpoint CHECKPOINT --text short.txt", "1 tokens: a loss needs at least two"),
    ("plot", "no run is named"),
    ("plot nowhere", "nowhere is no run folder"),
    ("plot RUN --out x.pdf", "x.pdf does not end in .png"),
    ("plot RUN --out nowhere/x.png", "nowhere"),
    ("export nowhere out", "nowhere is not a folder"),
    ("export CHECKPOINT folder", "folder exists already"),
    ("export CHECKPOINT a_file/out", "a_file"),
    ("shampoo", "shampoo.*train, resume, sample"),
    ("", "train, resume, sample, evaluate"),
]


def no_training(*_, **__):
    raise AssertionError("the training began")


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command or "nothing" for command, _ in WRONG])
def test_wrong_commands(command, message, finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command_line, "train", no_training)
    files = {"a_file": b"a file", "empty.txt": b"\xef\xbb\xbf \r\n", "latin.txt": "café".encode("latin-1")}
    files |= {
        "half.txt.gz": gzip.compress(OWN.encode())[:50],
        "bad.jsonl": b'["x"]\n',
        "short.txt": b"abcdefghik",
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "folder").mkdir()
    words = {"CHECKPOINT": str(latest_checkpoint(finished)), "RUN": str(finished)}
    before = contents(tmp_path) | contents(finished)
    assert run(*(words.get(word, word) for word in command.split())) == 2
    assert re.search(message, complaint(capsys))
    assert contents(tmp_path) | contents(finished) == before
    assert {path.name for path in tmp_path.iterdir()} == {*files, "folder"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a", "0 tokens|too few"),
        (TEXT[:100], "90 tokens are too few for block_size=128.*need 129"),
    ],
)
def test_a_corpus_that_is_empty_or_too_short(text, message, monkeypatch, capsys, tmp_path):
    use_text(monkeypatch, text)
    monkeypatch.setattr(command_line, "train", no_training)
    assert run("train", "--out", tmp_path / "run") == 2
    assert re.search(message, complaint(capsys))
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_with_another_checksum(monkeypatch, capsys, tmp_path):
    (tmp_path / "mirror" / "tinyshakespeare").mkdir(parents=True)
    wrong = tmp_path / "mirror" / "tinyshakespeare" / "input.txt"
    wrong.write_text("First Citizen:\nNot the text.\n", encoding="utf-8")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(data, "DATA", tmp_path / "data")
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "mirror"))
    monkeypatch.setattr(command_line, "load_corpus", load_corpus)
    before = contents(tmp_path)
    assert run("train", "--out", tmp_path / "run") == 2
    assert re.search(r"input.txt: SHA-256 \w+….* expected 86c4e6aa9db7….*delete it", complaint(capsys))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "manifest.json"])
@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_a_checkpoint_with_another_checksum(command, name, finished, tmp_path, capsys):
    shutil.copytree(latest_checkpoint(finished), tmp_path / "copy")
    raw = bytearray((tmp_path / "copy" / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "copy" / name).write_bytes(raw)
    assert run(command, "--checkpoint", tmp_path / "copy") == 2
    assert re.search(rf"{name} (is damaged|is missing)|damaged", complaint(capsys))


def test_a_checkpoint_with_the_tokenizer_of_another(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(latest_checkpoint(finished), copy)
    (copy / "tokenizer.json").write_text('{"kind": "byte"}', encoding="utf-8")
    files = {name: sha256 for name, sha256 in contents(copy).items() if name != "manifest.json"}
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}), encoding="utf-8")
    assert run("sample", "--checkpoint", copy) == 2
    assert re.search("vocab_size=65, its tokenizer 256", complaint(capsys))


def test_a_text_that_the_checkpoints_tokenizer_does_not_know(finished, tmp_path, capsys):
    (tmp_path / "omega.txt").write_text("Ω" * 100, encoding="utf-8")
    assert run("evaluate", "--checkpoint", latest_checkpoint(finished), "--text", "omega.txt") == 2
    assert "unknown character 'Ω'" in complaint(capsys)


def test_a_loss_that_is_not_finite(tmp_path, capsys):
    wild = ["--train.learning-rate", "1e30", "--train.optimizer", "adamw"]
    assert run("train", "--out", tmp_path / "run", *TINY, *wild) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: the validation loss at step 2 is nan: lower learning_rate=1e\+30\n", err)
