"""A wheel carries what its commands need: they work without the repository."""

import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from book_files import book_files

from tools.chapters import ROOT

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
LEFT_OUT = (
    "data/README.md",
    "data/readme.png",
    "data/readme.gif",
    "data/plays/arrange.py",
    "data/hellaswag/*",
    "data/runs/*",
    "data/checkpoints/char-growth.*",
)


def test_every_package_is_listed():
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "gptlib").rglob("*.py")}
    assert {*SETUPTOOLS["packages"]} == {folder.replace("/", ".") for folder in folders} | {"gptlib.shipped"}
    assert SETUPTOOLS["package-dir"] == {"gptlib.shipped": "data"}


def test_all_data_are_carried_or_left_out_on_purpose():
    data = [path.relative_to(ROOT).as_posix() for path in book_files() if path.is_relative_to(ROOT / "data")]
    carried = [f"data/{pattern}" for pattern in SETUPTOOLS["package-data"]["gptlib.shipped"]]
    assert len(data) > 20
    for path in data:
        assert sum(any(fnmatch(path, p) for p in patterns) for patterns in (carried, LEFT_OUT)) == 1, path


def python(folder: Path, *arguments) -> str:
    """What Python prints in an empty folder, with the unpacked wheel's gptlib."""
    environment = os.environ | {"PYTHONPATH": str(folder), "GPTLIB_CHECK_SHAPES": "", "TQDM_DISABLE": "1"}
    (empty := folder.parent / "empty").mkdir(exist_ok=True)
    command = [sys.executable, *arguments]
    how = dict(cwd=empty, env=environment, capture_output=True, encoding="utf-8", input="ROMEO:")
    done = subprocess.run(command, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_works_outside_the_repository(tmp_path):
    pytest.importorskip("setuptools", minversion="68")
    wheel = "wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir".split()
    for path in book_files():  # a copy: building leaves folders behind
        if path.parts[len(ROOT.parts)] in ("data", "gptlib", "pyproject.toml", "README.md", "LICENSE"):
            target = tmp_path / "copy" / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    build = [sys.executable, "-m", "pip", *wheel, tmp_path, tmp_path / "copy"]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", built, unpacked], check=True)
    where = python(unpacked, "-c", "import gptlib.files as f; print(f.DATA)")
    assert where == f"{unpacked / 'gptlib' / 'shipped'}\n"
    assert python(unpacked, "-m", "gptlib", "sample", "--max-new-tokens", "9").startswith("ROMEO:")
    plays = unpacked / "gptlib" / "shipped" / "plays" / "input.txt"
    (text := tmp_path / "text.txt").write_text(plays.read_text(encoding="utf-8")[:9_000], encoding="utf-8")
    small = "--train.max-steps 2 --model.n-layer 1 --model.n-embd 16 --model.block-size 16 --tokenizer gpt2"
    assert "validation loss" in python(unpacked, "-m", "gptlib", "train", "--text", text, *small.split())
