"""The exact loss that is printed."""

import math
import re

import pytest
from tiny_commands import OWN, ROOT, TEXT, TINY, complaint, losses, run

from gptlib.benchmark import read_hellaswag, score
from gptlib.checkpoint import latest_checkpoint, load_checkpoint
from gptlib.data import split
from gptlib.loss import evaluate


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


def test_a_text_that_the_checkpoints_tokenizer_does_not_know(finished, tmp_path, capsys):
    (tmp_path / "omega.txt").write_text("Ω" * 100, encoding="utf-8")
    assert run("evaluate", "--checkpoint", latest_checkpoint(finished), "--text", "omega.txt") == 2
    assert "unknown character 'Ω'" in complaint(capsys)


def test_hellaswag_by_the_command_line(tmp_path, capsys):
    sample = ROOT / "data" / "hellaswag" / "sample.jsonl"
    assert run("evaluate", "--checkpoint", "char-cpu", "--hellaswag", sample) == 0
    out = capsys.readouterr().out
    checkpoint = load_checkpoint(ROOT / "data" / "checkpoints" / "char-cpu")
    found = score(checkpoint.build_model(), checkpoint.tokenizer, read_hellaswag(sample))
    assert found.lines() in out and "chance is 25 % (sample.jsonl)" in out
    assert run("evaluate", "--checkpoint", "char-cpu", "--hellaswag", tmp_path / "none.jsonl") == 2
    assert "cannot be read" in complaint(capsys)
