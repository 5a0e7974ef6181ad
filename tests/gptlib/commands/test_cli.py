"""The command line as a whole: help, and one line for everything that is wrong."""

import gzip
import hashlib
import json
import re
import shutil

import pytest
import torch
from tiny_commands import (
    OWN,
    complaint,
    contents,
    no_training,
    run,
)

from gptlib.checkpoint import latest_checkpoint
from gptlib.commands.options import PRESETS

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


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_a_setting_that_makes_no_sense_is_one_line(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert run("train", "--train.learning-rate", "nan") == 2
    assert capsys.readouterr().err == "error: learning_rate=nan must be a finite number\n"


def test_presets(capsys):
    assert run("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PRESETS)
    assert len({line.index("×") for line in lines[1:]}) == 1  # the columns are straight


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"gptlib 0.1.0, PyTorch {torch.__version__}\n"


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(command in out for command in "train resume sample evaluate plot presets export".split())


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command or "nothing" for command, _ in WRONG])
def test_wrong_commands(command, message, finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gptlib.commands.job.train", no_training)
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
