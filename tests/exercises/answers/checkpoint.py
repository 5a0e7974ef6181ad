"""Right and wrong answers to the exercises of chapter 11, on which its checkers are tested."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch


def write(
    path,
    text,
    *,
    sync="fsync",
    flush=True,
    temporary=lambda path: path.with_name(f".{path.name}.part"),
    keep=False,
    remove_first=False,
    encoding="utf-8",
):
    """write_safely with switches for the bugs."""
    beside = temporary(path)
    with open(beside, "w", encoding=encoding) as file:
        file.write(text)
        if flush:
            file.flush()
        if sync:
            getattr(os, sync)(file.fileno())
    if remove_first and path.exists():
        os.remove(path)
    os.replace(beside, path)
    if keep:
        beside.write_text(text, encoding="utf-8")


def elsewhere(path):
    return path.parent.parent / path.name


def with_bug(**switches):
    return lambda path, text: write(path, text, **switches)


def write_with_handles(path, text):
    """The same with the system's own calls, and the folder forced to disk, too."""
    temporary = str(path) + "~"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    raw = text.encode()
    while raw:
        raw = raw[os.write(handle, raw) :]
    os.fsync(handle)
    os.close(handle)
    os.rename(temporary, path)
    handle = os.open(path.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def write_in_a_folder_below(path, text):
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        write(path, text, temporary=lambda path: Path(folder) / "new")


def force_folder(path):
    handle = os.open(path.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def write_with_folder_first(path, text):
    """The folder is forced to disk before the rename."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file)
    force_folder(path)
    Path(file.name).rename(path)


def write_and_force_the_folder_only(path, text):
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    force_folder(path)
    os.replace(temporary, path)


def write_over_an_old_file(path, text):
    os.stat(path)
    write(path, text)


def write_in_place(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_with_backup(path, text):
    """Moves the old file away first, so that there is none for a while."""
    backup = path.with_name(path.name + ".bak")
    if path.exists():
        os.replace(path, backup)
    write(path, text)
    backup.unlink(missing_ok=True)


def damaged(folder, hash_of=None, missing=True, extra=False, order=sorted):
    """damaged_files with switches for the bugs."""
    hash_of = hash_of or (lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    names = [n for n in files if not (folder / n).exists()] if missing else []
    names += [n for n in files if (folder / n).exists() and hash_of(folder / n) != files[n]]
    if extra:
        names += [p.name for p in folder.iterdir() if p.name not in files and p.name != "manifest.json"]
    return order(names)


def damaged_in_pieces(folder):
    """Reads large files piece by piece."""

    def hash_of(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return damaged(folder, hash_of)


def damaged_without_asking(folder):
    files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    return sorted(n for n in files if hashlib.sha256((folder / n).read_bytes()).hexdigest() != files[n])


def damaged_as_text(folder):
    return damaged(folder, lambda path: hashlib.sha256(path.read_text("utf-8").encode()).hexdigest())


def take(run, **changes):
    """The right snapshot with some parts replaced."""
    state = {
        "weight": torch.tensor(run.weight.tolist()),
        "momentum": run.momentum.detach().clone(),
        "step": int(run.step),
        "dice": run.dice.get_state().clone(),
    }
    return {**state, **changes}


def draw_first(run):
    torch.randn(1, generator=run.dice)
    return take(run)


ALTERNATIVES = {
    "write_safely": [
        write,
        write_with_handles,
        with_bug(sync="fdatasync" if hasattr(os, "fdatasync") else "fsync"),
        write_in_a_folder_below,
        write_with_folder_first,
    ],
    "damaged_files": [damaged, damaged_in_pieces, lambda folder: tuple(damaged(folder))],
    "snapshot": [take],
}

BUGS = {
    "write_safely": {
        "in place": (write_in_place, "written in place"),
        "in place, in one call": (
            lambda path, text: path.write_text(text, encoding="utf-8") and None,
            "written in place",
        ),
        "no fsync": (with_bug(sync=None), "nothing was forced"),
        "fsync of the folder only": (write_and_force_the_folder_only, "the file was not"),
        "fsync before flush": (with_bug(flush=False), "flush"),
        "temporary file in another folder": (with_bug(temporary=elsewhere), "another folder"),
        "temporary file left": (with_bug(keep=True), "left behind"),
        "old file removed first": (with_bug(remove_first=True), "do not remove it first"),
        "old file moved away first": (write_with_backup, "there is no file"),
        "nothing written": (lambda path, text: None, "still holds the old text"),
        "only over an old file": (write_over_an_old_file, "no old file"),
        "another encoding": (with_bug(encoding="cp1252"), "encoding='utf-8'"),
        "an encoding without é": (with_bug(encoding="ascii"), "encoding='utf-8'"),
    },
    "damaged_files": {
        "sizes compared": (lambda folder: [], "not sizes"),
        "missing files raise": (damaged_without_asking, "list it instead"),
        "missing files passed over": (lambda folder: damaged(folder, missing=False), "a missing file"),
        "only the first bytes": (
            lambda folder: damaged(folder, lambda path: hashlib.sha256(path.read_bytes()[:4096]).hexdigest()),
            "all bytes",
        ),
        "read as text": (damaged_as_text, "read_bytes()"),
        "strangers listed": (lambda folder: damaged(folder, extra=True), "names in the manifest"),
        "not sorted": (
            lambda folder: damaged(folder, order=lambda names: sorted(names, reverse=True)),
            "alphabetical",
        ),
        "stops at the first": (lambda folder: damaged(folder)[:1], "not only the first"),
        "a set": (lambda folder: set(damaged(folder)), "not a set"),
    },
    "snapshot": {
        "weight not copied": (lambda run: take(run, weight=run.weight), "clone()"),
        "momentum not copied": (lambda run: take(run, momentum=run.momentum), "clone()"),
        "all of it, not copied": (lambda run: {**vars(run), "dice": run.dice.get_state()}, "clone()"),
        "momentum zero": (lambda run: take(run, momentum=torch.zeros(5)), "momentum is not"),
        "momentum missing": (
            lambda run: {k: v for k, v in take(run).items() if k != "momentum"},
            "lacks momentum",
        ),
        "weight in half precision": (lambda run: take(run, weight=run.weight.half()), "dtype"),
        "next step": (lambda run: take(run, step=run.step + 1), "step must be"),
        "the default generator": (lambda run: take(run, dice=torch.get_rng_state()), "default generator"),
        "the seed only": (
            lambda run: take(run, dice=torch.Generator().manual_seed(run.dice.initial_seed()).get_state()),
            "after seeding",
        ),
        "the seed as a number": (lambda run: take(run, dice=run.dice.initial_seed()), "get_state()"),
        "draws a number": (draw_first, "drew from run.dice"),
        "one step further": (lambda run: (run.advance(), take(run))[1], "moved the run on"),
    },
}
