"""Right and wrong answers to the exercises of chapter 11, on which its checkers are tested."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch


def write(
    path, text, *, sync=True, flush=True, beside=True, keep=False, remove_first=False, rename=os.replace
):
    """write_safely with switches for the bugs."""
    folder = path.parent if beside else Path(tempfile.mkdtemp())
    temporary = folder / f".{path.name}.part"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        if flush:
            file.flush()
        if sync:
            os.fsync(file.fileno())
    if remove_first and path.exists():
        os.remove(path)
    getattr(os, rename.__name__)(temporary, path)
    if keep:
        temporary.write_text(text)


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
    files = json.loads((folder / "manifest.json").read_text())["files"]
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
    files = json.loads((folder / "manifest.json").read_text())["files"]
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
    "write_safely": [write, write_with_handles],
    "damaged_files": [damaged, damaged_in_pieces],
    "snapshot": [take],
}

BUGS = {
    "write_safely": {
        "in place": write_in_place,
        "in place, in one call": lambda path, text: path.write_text(text, encoding="utf-8") and None,
        "no fsync": with_bug(sync=False),
        "fsync before flush": with_bug(flush=False),
        "temporary file in another folder": with_bug(beside=False),
        "temporary file left": with_bug(keep=True),
        "old file removed first": with_bug(remove_first=True),
        "old file moved away first": write_with_backup,
        "nothing written": lambda path, text: None,
    },
    "damaged_files": {
        "sizes compared": lambda folder: [],
        "missing files raise": damaged_without_asking,
        "missing files passed over": lambda folder: damaged(folder, missing=False),
        "only the first bytes": lambda folder: damaged(
            folder, lambda path: hashlib.sha256(path.read_bytes()[:4096]).hexdigest()
        ),
        "read as text": damaged_as_text,
        "strangers listed": lambda folder: damaged(folder, extra=True),
        "not sorted": lambda folder: damaged(folder, order=lambda names: sorted(names, reverse=True)),
        "stops at the first": lambda folder: damaged(folder)[:1],
        "a set": lambda folder: set(damaged(folder)),
    },
    "snapshot": {
        "weight not copied": lambda run: take(run, weight=run.weight),
        "momentum not copied": lambda run: take(run, momentum=run.momentum),
        "all of it, not copied": lambda run: {**vars(run), "dice": run.dice.get_state()},
        "momentum zero": lambda run: take(run, momentum=torch.zeros(5)),
        "momentum missing": lambda run: {k: v for k, v in take(run).items() if k != "momentum"},
        "next step": lambda run: take(run, step=run.step + 1),
        "the global dice": lambda run: take(run, dice=torch.get_rng_state()),
        "the seed only": lambda run: take(
            run, dice=torch.Generator().manual_seed(run.dice.initial_seed()).get_state()
        ),
        "the seed as a number": lambda run: take(run, dice=run.dice.initial_seed()),
        "draws a number": draw_first,
    },
}
