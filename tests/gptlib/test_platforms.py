"""Other systems, simulated: Windows and its disks, other encodings, Git's line ends."""

import builtins
import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import CONFIG, MODEL, STATES, TOKENIZER, checkpoint

from gptlib import data, files
from gptlib.checkpoint import CheckpointError, checkpoints_in, load_checkpoint, save_checkpoint
from gptlib.checkpointer import Checkpointer
from gptlib.runs import MetricsLog, read_records

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git")


# --- disks


@pytest.fixture(autouse=True)
def nothing_was_said():
    files.warn_once.cache_clear()


def windows(monkeypatch):
    """Folders cannot be opened; a handle that only reads cannot be forced to disk."""
    real_open, real_fsync, writable = os.open, os.fsync, {}

    def open_file(path, flags, *more, **how):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        handle = real_open(path, flags, *more, **how)
        writable[handle] = flags & (os.O_WRONLY | os.O_RDWR)
        return handle

    def fsync(handle):
        if not writable.get(handle):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_fsync(handle)

    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "fsync", fsync)


def network_disk(monkeypatch, number=errno.EINVAL):
    """Folders can be opened, and fsync of them is not supported."""
    real = os.fsync

    def fsync(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


DISKS = {
    "Windows": windows,
    "network disk": network_disk,
    "another": lambda monkeypatch: network_disk(monkeypatch, errno.ENOTSUP),
}


@pytest.mark.parametrize("disk", DISKS)
def test_checkpoints_are_written_where_folders_cannot_be_forced_to_disk(disk, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        DISKS[disk](patch)
        for step in (2, 3):
            save_checkpoint(tmp_path / "checkpoints" / f"step_{step:06d}", checkpoint(step))
    assert [load_checkpoint(folder).state.step for folder in checkpoints_in(tmp_path)] == [2, 3]
    said = [record.getMessage() for record in caplog.records if "power cut" in record.getMessage()]
    assert said and len(said) == len(set(said))  # once for each place


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_is_an_error(number, tmp_path, monkeypatch):
    def fsync(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "step_000003", checkpoint(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.ENOSPC])
def test_a_drive_that_is_lost_does_not_end_a_run(number, tmp_path, monkeypatch, caplog):
    """Google Drive in Colab says "Transport endpoint is not connected" to every call, stat too."""
    log, plug = MetricsLog(tmp_path), Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER)
    log({"step": 1, "train_loss": 2.0})
    with monkeypatch.context() as patch:
        for place, name in (("os", "stat"), ("os", "mkdir"), ("os", "replace"), ("builtins", "open")):
            patch.setattr(f"{place}.{name}", raising(OSError(number, os.strerror(number))))
        log({"step": 2, "train_loss": 1.9})
        plug(STATES[2], None)
    log({"step": 3, "train_loss": 1.8})
    plug(STATES[3], None)
    assert [record["step"] for record in read_records(tmp_path)] == [1, 3]
    assert [folder.name for folder in checkpoints_in(tmp_path)] == ["step_000003"]
    assert "are lost, training goes on" in caplog.text and "step 2 failed, training goes on" in caplog.text


def test_a_user_without_a_home(monkeypatch):
    """In a container, of a number that no account has."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", raising(KeyError("uid not found")))
    code = (ROOT / "gptlib" / "files.py").read_text(encoding="utf-8")
    names = {"__file__": str(ROOT / "gptlib" / "files.py"), "__name__": "files"}
    exec(compile(code, "files.py", "exec"), names)
    assert names["CACHE"].is_absolute() and "~" not in str(names["CACHE"])


def test_a_file_that_windows_holds_open_leaves_the_old_one(tmp_path, monkeypatch):
    """A virus scanner, or an editor: the rename is refused."""
    files.write_text(tmp_path / "config.json", "old")
    monkeypatch.setattr(os, "replace", raising(PermissionError(errno.EACCES, "in use by another process")))
    with pytest.raises(PermissionError, match="in use"):
        files.write_text(tmp_path / "config.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == "old"


def raising(error):
    def f(*_, **__):
        raise error

    return f


# --- encodings


CHILD = """
import os, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"gptlib(\\.|$)")
from gptlib import cli
lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()  # as Python decodes its arguments
sys.exit(max(cli.main(line.split("|")) for line in lines))
"""
SMALL = "--model.n-layer 1 --model.n-embd 16 --train.max-steps 2 --train.sample-interval 1"
SMALL += " --train.batch-size 2 --tokenizer byte"


def commands(folder: str) -> str:
    """What a person does with a run, a command a line, its words separated by |."""
    train = ["train", "--text", "é.txt", "--out", folder, *SMALL.split()]
    sample = ["sample", "--checkpoint", folder, "--max-new-tokens", "40", "--prompt", "Gr"]
    rest = [["evaluate", "--checkpoint", folder], ["plot", folder], ["plot", folder, "--out", "é.png"]]
    rest += [["resume", folder, "--train.max-steps", "3"], ["export", folder, f"{folder}-hf"]]
    return "\n".join("|".join(words) for words in (train, sample, *rest))


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},  # POSIX: ASCII, strict
        {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},  # a Windows terminal
        {"PYTHONIOENCODING": "cp932:strict", "PYTHONUTF8": "0"},
    ],
)
def test_every_command_in_other_encodings(environment, tmp_path):
    """A text, a folder and a sample that the terminal cannot show: it prints ? and goes on."""
    text = "Größe, déjà vu, 東京 🙂.\n" * 200
    (tmp_path / "é.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-X", "warn_default_encoding", "-c", CHILD]
    settled = {"TQDM_DISABLE": "1", "GPTLIB_CHECK_SHAPES": "", "PYTHONPATH": str(ROOT)}
    how = dict(cwd=tmp_path, env=os.environ | settled | environment, capture_output=True)
    done = subprocess.run(command, input=commands("出力").encode(), **how)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (tmp_path / "出力").iterdir()}
    assert names == {"checkpoints", "config.json", "ladder.json", "metrics.jsonl", "samples.txt"}
    assert b"?" in done.stdout and b"Traceback" not in done.stderr
    assert (tmp_path / "é.png").exists() and (tmp_path / "出力-hf" / "model.safetensors").exists()


def test_what_is_written_does_not_depend_on_the_default_encoding(tmp_path, monkeypatch):
    """`open` with another default, cp1252 say, as on Windows: the same bytes."""
    real = builtins.open

    def cp1252(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **more):
        encoding = encoding or (None if "b" in mode else "cp1252")
        return real(file, mode, buffering, encoding, errors, newline, **more)

    monkeypatch.setattr(builtins, "open", cp1252)
    monkeypatch.setattr("io.open", cp1252)
    save_checkpoint(tmp_path / "step_000003", checkpoint(3))
    assert load_checkpoint(tmp_path / "step_000003").state.step == 3
    files.write_text(tmp_path / "x.txt", "é\n→\r\n")
    assert (tmp_path / "x.txt").read_bytes() == "é\n→\r\n".encode()


# --- line ends


@pytest.mark.skipif(not (GIT and (ROOT / ".git").exists()), reason="this is no clone")
def test_a_clone_of_git_for_windows_is_the_same(tmp_path):
    """With core.autocrlf=true, its default, text files would get CRLF: data would fail their checksums."""
    clone = [GIT, "clone", "--quiet", "--depth", "1", "-c", "core.autocrlf=true", f"file://{ROOT}"]
    subprocess.run([*clone, tmp_path / "book"], check=True, capture_output=True)
    listed = subprocess.run(
        [GIT, "ls-files", "-z", "--eol"], cwd=tmp_path / "book", check=True, capture_output=True
    )
    lines = [line.split(None, 3) for line in listed.stdout.decode().split("\0") if line]
    assert len(lines) > 150 and {work for _, work, *_ in lines} <= {"w/lf", "w/-text", "w/none"}
    shipped = tmp_path / "book" / "data" / "checkpoints"
    for folder in filter(Path.is_dir, shipped.iterdir()):
        assert load_checkpoint(folder).build_model().config.n_layer >= 3
    plays = (tmp_path / "book" / "data" / "plays" / "input.txt").read_bytes()
    assert hashlib.sha256(plays).hexdigest() == data.load_corpus("plays").sha256
