"""One's own text, with each tokenizer, and texts that cannot be used."""

import gzip
import hashlib
import json
import re

import pytest
from tiny_commands import (
    OWN,
    TEXT,
    TINY,
    complaint,
    contents,
    no_training,
    run,
    settings_of,
    use_text,
)

from gptlib import data
from gptlib.checkpoint import latest_checkpoint, load_checkpoint
from gptlib.commands.text import tokenizer_name
from gptlib.data import load_corpus, split
from gptlib.tokenizer import BPETokenizer


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
    monkeypatch.setattr("gptlib.commands.job.train", no_training)
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
    monkeypatch.setattr("gptlib.commands.text.load_corpus", load_corpus)
    before = contents(tmp_path)
    assert run("train", "--out", tmp_path / "run") == 2
    assert re.search(r"input.txt: SHA-256 \w+….* expected 86c4e6aa9db7….*delete it", complaint(capsys))
    assert contents(tmp_path) == before


def test_a_tokenizer_with_special_tokens_is_gpt2s_only_if_it_is():
    trained = BPETokenizer.train("the cat and the hat and the bat " * 20, 270)
    special = BPETokenizer(list(trained.merges), special=["<|endoftext|>"])
    assert [tokenizer_name(t) for t in (trained, special)] == [
        f"bpe:{t.vocab_size}" for t in (trained, special)
    ]
    assert tokenizer_name(BPETokenizer.gpt2()) == "gpt2"
