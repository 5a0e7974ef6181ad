"""Text from a model: which model, which prompt, streamed."""

import io
import os
import re
import shutil
import subprocess
import sys

import torch
from tiny_commands import ROOT, TINY, complaint, python, run

from gptlib.checkpoint import best_checkpoint, checkpoints_in, latest_checkpoint
from gptlib.commands.sample import print_tokens
from gptlib.tokenizer import ByteTokenizer


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

    by_step = first_line("--checkpoint", best_checkpoint(finished)).out
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
    assert first_line() == (by_step, f"(runs/newest/checkpoints/{best_checkpoint(finished).name})\n")


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
        monkeypatch.setattr("gptlib.commands.sample.input_waits", lambda waits=waits: waits)
        assert sample("--checkpoint", finished, *arguments) == 0
        assert capsys.readouterr().out.startswith(starts)


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
    tokenizer = ByteTokenizer()
    ids = [torch.tensor([[i]]) for i in [*"aé🙂".encode(), 0xF0, 0x9F]]
    assert print_tokens(iter(ids), tokenizer) == [i.item() for i in ids]
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
