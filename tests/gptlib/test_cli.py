"""The command line: a tiny run from train to sample, resuming, and one line for everything that is wrong."""

import dataclasses
import hashlib
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
from gptlib.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from gptlib.data import Corpus, load_corpus, split
from gptlib.loss import evaluate
from gptlib.training import PRESETS

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = (
    "--model.n-layer 1 --model.n-head 2 --model.n-embd 16 --model.block-size 16 --train.batch-size 4".split()
)
TINY += "--train.max-steps 4 --train.warmup-steps 2 --train.log-interval 1 --train.eval-interval 2".split()
TINY += ["--train.sample-interval", "2"]
CHARACTERS = load_corpus("plays").text  # all 65, so that the presets' numbers fit
TEXT = "".join(sorted(set(CHARACTERS))) + CHARACTERS[:20_000]


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """A CPU, a short corpus, and a working directory of our own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    use_text(monkeypatch, TEXT)
    monkeypatch.chdir(tmp_path)


def use_text(monkeypatch, text):
    monkeypatch.setattr(command_line, "load_corpus", lambda: Corpus("plays", text, "", "here"))


def run(*arguments) -> int:
    return command_line.main([str(argument) for argument in arguments])


def contents(folder) -> dict[str, str]:
    """Path and hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def metrics(folder) -> list[dict]:
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


def complaint(capsys) -> str:
    """What stands on stderr: one line, or what tyro says about a command that it cannot parse."""
    out, err = capsys.readouterr()
    assert out == ""
    if err.startswith("error: "):
        assert err.count("\n") == 1, err
        return err
    assert "Traceback" not in err
    return " ".join(re.sub(r"[─│╭╮╰╯]|-{4,}|\x1b\[[0-9;]*m", " ", err).split())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run, to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("TQDM_DISABLE", "1")
        use_text(patch, TEXT)
        assert run("train", "--out", folder, *TINY) == 0
    return folder


# --- a run from beginning to end


def test_the_run_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "samples.txt", "checkpoints"}
    config = json.loads((finished / "config.json").read_text())
    assert config["preset"] == "char-cpu" and config["corpus"] == "plays"
    assert config["model"]["n_layer"] == 1 and config["model"]["vocab_size"] == 65
    assert config["train"]["max_steps"] == 4
    rows = metrics(finished)
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "val_loss" in row] == [2, 4]
    assert all(row["seconds"] >= 0 for row in rows)
    assert (finished / "samples.txt").read_text().count("--- step") == 2
    assert latest_checkpoint(finished).name == "step_000004"


def test_train_tells_where_it_stands(tmp_path, capsys):
    assert run("train", *TINY) == 0
    out = capsys.readouterr().out
    assert "parameters" in out and "validation loss" in out
    ladder = re.findall(r"^ +(\d\.\d{3})  (\S.*)$", out, re.M)
    assert [name for _, name in ladder if name != "this model  <--"][:3] == ["uniform", "1-gram", "2-gram"]
    assert "this model  <--" in dict((name, loss) for loss, name in ladder)
    assert [float(loss) for loss, _ in ladder] == sorted((float(loss) for loss, _ in ladder), reverse=True)
    assert "runs/char-cpu-001/checkpoints/step_000004" in out
    assert run("train", *TINY) == 0  # the next free folder
    assert (tmp_path / "runs" / "char-cpu-002" / "metrics.jsonl").exists()


def test_arguments_in_any_order(tmp_path):
    small = "--model.n-layer 1 --model.block-size 8 --model.n-embd 8 --model.n-head 1".split()
    order = ["--train.max-steps", 1, "--preset", "bpe-cpu", "--model.vocab-size", 300]
    assert run("train", *order, *small, "--out", tmp_path / "run") == 0
    checkpoint = load_checkpoint(latest_checkpoint(tmp_path / "run"))
    assert checkpoint.tokenizer.kind == "bpe"
    assert checkpoint.tokenizer.vocab_size == checkpoint.model_config.vocab_size == 300
    assert checkpoint.train_config.batch_size == PRESETS["bpe-cpu"].train.batch_size


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
    return [(row["step"], row.get("train_loss"), row.get("val_loss")) for row in metrics(folder)]


def test_resuming_equals_the_uninterrupted_run(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run("train", "--out", whole, *RESUMABLE) == 0
    stop_after_step_3(stopped)
    torch.manual_seed(77)
    assert run("train", "--out", stopped, "--resume", *RESUMABLE) == 0
    assert losses(stopped) == losses(whole)
    a, b = (
        load_checkpoint(folder / "checkpoints" / "step_000004").state.model for folder in (stopped, whole)
    )
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_resuming_passes_over_a_damaged_checkpoint(tmp_path, caplog):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run("train", "--out", whole, *RESUMABLE) == 0
    stop_after_step_3(stopped)
    damaged = stopped / "checkpoints" / "step_000003" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run("train", "--out", stopped, "--resume", *RESUMABLE) == 0
    assert "step_000003/model.safetensors is damaged" in caplog.text
    assert losses(stopped)[-3:] == losses(whole)[-3:]  # step 3 again, and step 4


def test_a_lost_machine_and_its_mirror(tmp_path):
    """Colab's case: run folder and machine are gone, the copy on the drive is there."""
    whole, lost, anew, drive = (tmp_path / name for name in ("whole", "lost", "anew", "drive"))
    drive.mkdir()
    assert run("train", "--out", whole, *RESUMABLE) == 0
    stop_after_step_3(lost, "--mirror", drive)
    shutil.rmtree(lost)
    assert run("train", "--out", anew, "--mirror", drive, "--resume", *RESUMABLE) == 0
    assert losses(anew) == losses(whole)[-len(losses(anew)) :] and losses(anew)
    assert contents(drive) == {
        name: value for name, value in contents(anew).items() if name.startswith(("checkpoints", "config"))
    }


def test_copies_of_another_run_are_not_overwritten(tmp_path, capsys):
    (drive := tmp_path / "drive").mkdir()
    stop_after_step_3(tmp_path / "lost", "--mirror", drive)
    before = contents(drive)
    for changes, said in (
        (("--out", tmp_path / "anew"), "drive holds a run's copies: choose another --mirror, or go on with"),
        (("--out", tmp_path / "anew", "--resume"), ""),
    ):
        capsys.readouterr()
        assert run("train", *changes, "--mirror", drive, *RESUMABLE) == (2 if said else 0)
        assert said in capsys.readouterr().err
        assert (contents(drive) == before) == bool(said) == (not (tmp_path / "anew").exists())


def test_a_run_folder_without_settings_is_not_overwritten(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    before = contents(tmp_path / "run")
    assert run("train", "--out", tmp_path / "run", *RESUMABLE) == 2
    assert "holds a run already" in capsys.readouterr().err and contents(tmp_path / "run") == before


def test_nothing_is_written_when_the_mirror_is_missing(tmp_path, capsys):
    assert run("train", "--out", tmp_path / "run", "--mirror", tmp_path / "drive", *RESUMABLE) == 2
    assert "mount the drive" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        ('{"corpus": "plays", "device": "', 0, "config.json cannot be read (Unterminated string"),
        ('["plays"]', 0, "config.json cannot be read (list indices"),
        ('{"corpus": "sonnets", "device": "CPU"}', 2, "the run was on the text sonnets, here it is plays"),
        ('{"corpus": "plays", "device": "CPU, 99 threads"}', 0, "this run was on CPU, 99 threads"),
    ],
)
def test_resuming_compares_text_and_machine(tmp_path, capsys, caplog, settings, status, said):
    """Also from the mirror, which keeps the run's settings too."""
    (drive := tmp_path / "drive").mkdir()
    stop_after_step_3(tmp_path / "run", "--mirror", drive)
    assert (drive / "config.json").read_bytes() == (tmp_path / "run" / "config.json").read_bytes()
    shutil.rmtree(tmp_path / "run")
    (drive / "config.json").write_text(settings)
    capsys.readouterr()
    assert run("train", "--out", tmp_path / "run", "--mirror", drive, "--resume", *RESUMABLE) == status
    assert said in (capsys.readouterr().err if status else caplog.text)
    assert (tmp_path / "run").exists() == (status == 0)


def test_a_checkpoint_for_reading_is_not_resumed(tmp_path, capsys):
    stop_after_step_3(tmp_path / "run")
    folder = latest_checkpoint(tmp_path / "run")
    saved = load_checkpoint(folder)
    shutil.rmtree(folder)
    save_checkpoint(
        folder, dataclasses.replace(saved, state=dataclasses.replace(saved.state, optimizer=None))
    )
    before = contents(tmp_path / "run")
    capsys.readouterr()
    assert run("train", "--out", tmp_path / "run", "--resume", *RESUMABLE) == 2
    assert "step_000003 has no optimizer state: it was saved for reading" in capsys.readouterr().err
    assert contents(tmp_path / "run") == before


def test_sample_is_the_same_for_the_same_seed(finished, capsys):
    def sample(*more):
        arguments = [
            "--checkpoint",
            latest_checkpoint(finished),
            "--prompt",
            "ROMEO:",
            "--max-new-tokens",
            30,
        ]
        assert run("sample", *arguments, *more) == 0
        return capsys.readouterr().out

    one = sample("--seed", 1)
    assert one.startswith("ROMEO:") and len(one) == 6 + 30 + 1
    assert one == sample("--seed", 1) != sample("--seed", 2)
    greedy = [sample("--temperature", 0, "--seed", seed) for seed in (1, 2)]
    assert greedy[0] == greedy[1] == sample("--top-k", 1)


def test_evaluate_prints_the_exact_loss(finished, capsys):
    assert run("evaluate", "--checkpoint", latest_checkpoint(finished)) == 0
    out = capsys.readouterr().out
    checkpoint = load_checkpoint(latest_checkpoint(finished))
    tokens = checkpoint.tokenizer.encode(split(TEXT)[1])
    loss = evaluate(checkpoint.build_model(), tokens, 16)
    assert f"validation loss {loss:.4f} nats per token" in out
    assert f"{len(tokens) - 1:,} predictions" in out
    per_character = float(re.search(r"([\d.]+) bits per character", out)[1])
    assert per_character == pytest.approx(loss / math.log(2), abs=1e-3)
    assert [row["val_loss"] for row in metrics(finished) if "val_loss" in row][-1] == pytest.approx(
        loss, abs=1e-5
    )


def python(*arguments):
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gptlib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def test_the_shipped_model_writes_on_a_cpu():
    shipped = ["--checkpoint", "data/checkpoints/char-gpu-best", "--prompt", "ROMEO:", "--seed", 1]
    done = python("sample", *shipped, "--max-new-tokens", 60)
    assert done.returncode == 0 and done.stdout.startswith("ROMEO:") and len(done.stdout) == 67
    assert done.stderr == ""
    wrong = python("sample", *shipped, "--top-p", 7)
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr == "error: top_p=7.0 must lie in (0, 1]\n"


def test_a_reader_that_has_seen_enough():
    """`python -m gptlib sample … | head -1`: no complaint when the pipe is closed."""
    command = [sys.executable, "-m", "gptlib", "sample", "--checkpoint", "data/checkpoints/char-cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (0, "")


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert "train" in out and "sample" in out and "evaluate" in out


# --- what is wrong: one line that names it, exit code 2, nothing written

WRONG = [
    ("train --preset char-cpuu", "'char-cpuu'.*char-cpu.*bpe-cpu.*char-gpu"),
    ("train --train.max-step 4", "--train.max-step.*--train.max-steps"),
    ("train --model.layers 4", "--model.layers"),
    ("train --train.max-steps four", "--train.max-steps.*four"),
    ("train --model.n-head 3", "n_embd=128 is not divisible by n_head=3.*try n_embd=126"),
    ("train --model.dropout 1.5", "dropout=1.5 must be"),
    ("train --train.batch-size 6 --train.micro-batch-size 4", "batch_size=6.*micro_batch_size=4"),
    ("train --train.learning-rate 0", "learning_rate=0"),
    ("train --train.precision fp16", "precision='fp16' needs a CUDA GPU.*fp32"),
    ("train --train.precision fp17", "fp17.*fp16"),
    ("train --model.vocab-size 99", "vocab_size=99.*65"),
    ("train --preset bpe-cpu --model.vocab-size 100", "vocab_size=100 is below 256"),
    ("train --resume", "--resume needs --out"),
    ("train --resume --out nowhere", "nowhere holds no valid checkpoint"),
    ("train --out a_file/run", "a_file"),
    ("sample", "--checkpoint"),
    ("sample --checkpoint nowhere", "nowhere is not a folder: check the path"),
    ("sample --checkpoint a_file", "a_file is not a folder"),
    ("sample --checkpoint CHECKPOINT --prompt Ä", "unknown character 'Ä' at position 0.*knows 65 characters"),
    ("sample --checkpoint CHECKPOINT --prompt aaaaaaaaaaaaaaaaaaaa", "T=20 .*block_size=16.*shorten it by 4"),
    ("sample --checkpoint CHECKPOINT --temperature -1", "temperature=-1.0 must not be negative"),
    ("sample --checkpoint CHECKPOINT --top-k 0", "top_k=0 must be at least 1"),
    ("sample --checkpoint CHECKPOINT --top-p 0", r"top_p=0.0 must lie in \(0, 1\]"),
    ("sample --checkpoint CHECKPOINT --max-new-tokens -3", "max_new_tokens=-3 must not be negative"),
    ("evaluate --checkpoint nowhere", "nowhere is not a folder"),
    ("evaluate --checkpoint RUN", "manifest.json is missing"),
    ("shampoo", "shampoo.*train, sample, evaluate"),
    ("", "train, sample, evaluate"),
]


def no_training(*_, **__):
    raise AssertionError("the training began")


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command or "nothing" for command, _ in WRONG])
def test_wrong_commands(command, message, finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command_line, "train", no_training)
    (tmp_path / "a_file").write_text("a file")
    words = {"CHECKPOINT": str(latest_checkpoint(finished)), "RUN": str(finished)}
    before = contents(tmp_path) | contents(finished)
    assert run(*(words.get(word, word) for word in command.split())) == 2
    assert re.search(message, complaint(capsys))
    assert contents(tmp_path) | contents(finished) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


def test_an_empty_prompt(finished, capsys):
    assert run("sample", "--checkpoint", latest_checkpoint(finished), "--prompt", "") == 2
    assert "prompt is empty" in complaint(capsys)


def test_a_run_folder_is_not_overwritten(finished, capsys):
    before = contents(finished)
    assert run("train", "--out", finished, *TINY) == 2
    assert re.search("holds a run already: choose another --out, or go on with --resume", complaint(capsys))
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--model.n-embd", 32], "model.n_embd: 16 there, 32 here"),
        (["--model.block-size", 64], "model.block_size: 16 there, 64 here"),
        (
            ["--train.learning-rate", 0.5, "--train.seed", 3],
            "learning_rate: .* there, 0.5 here; train.seed: 1 there",
        ),
        (["--preset", "bpe-cpu", "--model.vocab-size", 300], "tokenizer: char .* there, bpe .* here"),
        ([], "is the end of its run"),
    ],
)
def test_resuming_another_run(finished, changes, message, capsys):
    before = contents(finished)
    assert run("train", "--out", finished, "--resume", *TINY, *changes) == 2
    assert re.search(message, complaint(capsys))
    assert contents(finished) == before


def test_resuming_with_another_text(finished, monkeypatch, capsys):
    use_text(monkeypatch, TEXT.replace("Z", "Ö"))
    assert run("train", "--out", finished, "--resume", *TINY) == 2
    assert re.search("tokenizer: char .* there, char .* here", complaint(capsys))


def test_resuming_a_checkpoint_for_reading(tmp_path, capsys):
    shipped = tmp_path / "run" / "checkpoints" / "step_002500"
    shipped.parent.mkdir(parents=True)
    shipped.symlink_to(ROOT / "data" / "checkpoints" / "char-gpu-best")
    settings = load_checkpoint(shipped)
    steps = ["--train.max-steps", 4000, "--model.dropout", settings.model_config.dropout]
    assert run("train", "--preset", "char-gpu-best", "--resume", "--out", tmp_path / "run", *steps) == 2
    assert re.search("saved for reading, not for resuming|train.max_steps: 2500 there", complaint(capsys))


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


def test_a_validation_part_that_is_too_short(monkeypatch, capsys, tmp_path):
    use_text(monkeypatch, "abcdefgh")
    monkeypatch.setattr(command_line, "train", no_training)
    assert run("train", "--out", tmp_path / "run", "--model.block-size", 4) == 2
    assert re.search("1 .*tokens", complaint(capsys))
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_with_another_checksum(monkeypatch, capsys, tmp_path):
    (tmp_path / "mirror" / "tinyshakespeare").mkdir(parents=True)
    (tmp_path / "mirror" / "tinyshakespeare" / "input.txt").write_text("First Citizen:\nNot the text.\n")
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
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in latest_checkpoint(finished).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    assert run(command, "--checkpoint", copy) == 2
    assert re.search(rf"{name} (is damaged|is missing)|damaged", complaint(capsys))


def test_a_checkpoint_with_the_tokenizer_of_another(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in latest_checkpoint(finished).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "tokenizer.json").write_text('{"kind": "byte"}')
    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in copy.iterdir()
        if p.name != "manifest.json"
    }
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}))
    assert run("sample", "--checkpoint", copy) == 2
    assert re.search("vocab_size=65, its tokenizer 256", complaint(capsys))


def test_a_text_that_the_checkpoints_tokenizer_does_not_know(finished, monkeypatch, capsys):
    use_text(monkeypatch, TEXT + "Ω" * 100)
    assert run("evaluate", "--checkpoint", latest_checkpoint(finished)) == 2
    assert "unknown character 'Ω'" in complaint(capsys)


def test_a_loss_that_is_not_finite(tmp_path, capsys):
    assert (
        run(
            "train",
            "--out",
            tmp_path / "run",
            *TINY,
            "--train.learning-rate",
            "1e30",
            "--train.optimizer",
            "adamw",
        )
        == 2
    )
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: the validation loss at step 2 is nan: lower learning_rate=1e\+30\n", err)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_a_run_saves_and_leaves(tmp_path, number, code):
    folder = tmp_path / "run"
    endless = " ".join(TINY).replace("max-steps 4", "max-steps 100000").split()
    command = [sys.executable, "-m", "gptlib", "train", "--out", str(folder), *endless]
    with subprocess.Popen(
        command, env={**os.environ, "TQDM_DISABLE": "1"}, stderr=subprocess.PIPE
    ) as process:
        began = time.monotonic()
        while not (folder / "metrics.jsonl").exists() and time.monotonic() - began < 60:
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code, said
    checkpoint = load_checkpoint(latest_checkpoint(folder))
    assert checkpoint.state.step == metrics(folder)[-1]["step"] >= 1
    assert "Traceback" not in said and (number == signal.SIGTERM or "--resume goes on" in said)


def test_another_number_of_threads_is_said(tmp_path, caplog):
    folder = tmp_path / "run"
    stop_after_step_3(folder)
    settings = json.loads((folder / "config.json").read_text())
    assert settings["device"] == f"CPU, {torch.get_num_threads()} threads"
    (folder / "config.json").write_text(json.dumps({**settings, "device": "CPU, 99 threads"}))
    assert run("train", "--out", folder, "--resume", *RESUMABLE) == 0
    assert "this run was on CPU, 99 threads, here it is CPU, " in caplog.text
