"""Layers and attention in another style, in the place of the book's, in later chapters and in training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gptlib import mine
from gptlib.data import load_corpus
from tools import notebooks as tools

OWN = Path(__file__).with_name("own")
LATER = [path for path in tools.notebooks() if path.stem[:2] >= "06"]
STEPS = 100 if os.environ.get("GPTLIB_STRESS") else 20  # `make full` runs more


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A reader's folder with both modules, named by GPTLIB_MINE."""
    folder = tmp_path / "mine" / "gptlib"
    shutil.copytree(OWN, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("GPTLIB_MINE", str(folder))
    monkeypatch.delenv(mine.SAID, raising=False)
    return folder


@pytest.mark.stress
@pytest.mark.skipif(not os.environ.get("GPTLIB_STRESS"), reason="nine whole workbooks: `make full` runs them")
@pytest.mark.parametrize("path", LATER, ids=lambda path: path.stem)
def test_later_workbooks_use_them(path, place, monkeypatch):
    monkeypatch.delenv("GPTLIB_CHECK_SHAPES", raising=False)  # chapter 14 compiles
    notebook = nbformat.read(tools.WORKBOOKS / path.name, as_version=4)
    used = "import gptlib.attention, gptlib.layers; print(gptlib.attention.__file__, gptlib.layers.__file__)"
    notebook.cells.append(nbformat.v4.new_code_cell(used))
    where = {"metadata": {"path": str(place.parent)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    said = ["".join(o.get("text", "") for o in cell.get("outputs", [])) for cell in notebook.cells]
    assert said[-1].split() == [str(place / "attention.py"), str(place / "layers.py")]
    assert any(text.startswith("yours: layers, attention\n") for text in said)


def losses(folder: Path, *words: str) -> list[float]:
    """The training losses of the first steps of `char-cpu` on a part of the text, by the command line."""
    text = folder.with_suffix(".txt")
    text.write_text(load_corpus().text[:60_000], encoding="utf-8")
    settings = {"max-steps": STEPS, "warmup-steps": 10, "eval-interval": 0, "log-interval": 10}
    numbers = [f"--train.{name}={value}" for name, value in settings.items()]
    where = ["--text", str(text), "--out", str(folder)]
    command = [sys.executable, "-m", "gptlib", "train", "--preset", "char-cpu", *where, *words, *numbers]
    hidden = ("GPTLIB_CHECK_SHAPES", "GPTLIB_MINE")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("yours: layers, attention\n") == bool(words), done.stderr[:300]
    rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["train_loss"] for row in map(json.loads, rows) if "train_loss" in row]


@pytest.mark.slow
def test_a_run_with_them_reaches_the_books_losses(place, tmp_path):
    ours, theirs = losses(tmp_path / "book"), losses(tmp_path / "own", f"--mine={place}")
    assert len(ours) == STEPS // 10 + 1
    assert theirs == pytest.approx(ours, abs=0.01)  # the first weights are drawn by GPT: the same ones
