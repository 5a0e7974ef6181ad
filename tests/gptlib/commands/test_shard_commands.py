"""`shards`, and runs that train on them."""

import json

import pytest
from tiny_commands import CHARACTERS, MODEL, TINY, complaint, losses, no_training, run, settings_of

from gptlib.checkpoint import latest_checkpoint, load_checkpoint
from gptlib.shards import TokenShards


@pytest.fixture
def text(tmp_path):
    """Speeches, one a line."""
    speeches = CHARACTERS[:20_000].split("\n\n")
    lines = "\n".join(json.dumps({"text": speech}) for speech in speeches)
    (tmp_path / "speeches.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path / "speeches.jsonl"


@pytest.fixture
def made(text, tmp_path):
    """A folder of shards."""
    folder = tmp_path / "made"
    assert run("shards", text, "--out", folder, "--tokenizer", "byte", "--val-fraction", "0.1") == 0
    return folder


def test_shards_tells_what_there_is(text, tmp_path, capsys):
    made = tmp_path / "made"
    assert run("shards", text, "--out", made, "--tokenizer", "byte") == 0
    said = capsys.readouterr().out
    train, val = (TokenShards(made / name) for name in ("train", "val"))
    assert f"{len(train):,} training tokens and {len(val):,} validation tokens in {made}" in said


def test_a_run_on_shards_goes_on_and_is_plotted(made, tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", "--shards", made, "--out", folder, *TINY) == 0
    assert "nats per character of the shards' validation part" in capsys.readouterr().out
    settings, saved = settings_of(folder), load_checkpoint(latest_checkpoint(folder))
    assert settings["shards"] is True and settings["corpus"] == "made" and settings["tokenizer"] == "byte"
    assert settings["train_tokens"] == len(TokenShards(made / "train"))
    assert settings["val_characters"] == TokenShards(made / "val").characters
    assert saved.tokenizer.vocab_size == 256 and not (folder / "ladder.json").exists()
    assert run("resume", folder, "--train.max-steps", 6) == 0
    assert [step for step, loss, _ in losses(folder) if loss] == [1, 2, 3, 4, 5, 6]
    assert run("plot", folder) == 0
    assert run("evaluate", "--checkpoint", folder) == 2
    assert "trained on shards" in capsys.readouterr().err


def test_other_shards_are_not_gone_on_with(made, text, tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", "--shards", made, "--out", folder, *TINY) == 0
    again = tmp_path / "again"
    assert run("shards", text, "--out", again, "--tokenizer", "byte", "--seed", 5) == 0
    made.rename(tmp_path / "away")
    again.rename(made)
    capsys.readouterr()
    assert run("resume", folder, "--train.max-steps", 6) == 2
    assert "are not those that the run was trained on" in complaint(capsys)


@pytest.mark.parametrize(
    ("damage", "words", "message"),
    [
        (lambda made: (made / "train" / "shard_00000.bin").unlink(), [], "shard_00000.bin is missing"),
        (lambda made: (made / "tokenizer.json").unlink(), [], "has no tokenizer.json"),
        (lambda made: (made / "train" / "manifest.json").unlink(), [], "manifest.json is missing"),
        (lambda made: None, ["--tokenizer", "gpt2"], "was made by the tokenizer byte"),
        (lambda made: None, ["--tokenizer", "cher"], "tokenizer='cher' is unknown"),
        (lambda made: None, ["--text", "x.txt"], "two texts: give one"),
        (lambda made: None, ["--model.block-size", "1000000"], "tokens are too few"),
    ],
)
def test_shards_that_cannot_be_trained_on(made, damage, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gptlib.commands.job.train", no_training)
    damage(made)
    assert run("train", "--shards", made, "--out", tmp_path / "run", *TINY, *words) == 2
    assert message in complaint(capsys) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokenizer", "char"], "choose gpt2, byte, or the path of a tokenizer.json"),
        (["--processes", "0"], "processes=0 must be at least 1"),
        (["--val-fraction", "1.5"], "val_fraction=1.5 must lie between 0 and 1"),
        (["--field", "txt"], "no JSON with a string 'txt'"),
    ],
)
def test_what_shards_refuses(text, words, message, tmp_path, capsys):
    assert run("shards", text, "--out", tmp_path / "set", "--tokenizer", "byte", *words) == 2
    assert message in complaint(capsys) and not (tmp_path / "set").exists()


def test_a_folder_that_is_there_is_not_overwritten(made, text, capsys):
    capsys.readouterr()
    assert run("shards", text, "--out", made, "--tokenizer", "byte") == 2
    assert "exists and is not empty" in complaint(capsys)


def test_the_tokenizer_of_another_set_will_do(made, text, tmp_path):
    assert run("shards", text, "--out", tmp_path / "two", "--tokenizer", made / "tokenizer.json") == 0
    assert (tmp_path / "two" / "tokenizer.json").read_text(encoding="utf-8") == (
        made / "tokenizer.json"
    ).read_text(encoding="utf-8")


def test_fsdp_and_a_timeout_alone(capsys):
    assert run("train", "--fsdp", *MODEL) == 2
    assert "--fsdp needs several processes" in complaint(capsys)
