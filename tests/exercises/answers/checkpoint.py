"""Right and wrong answers to the exercises of chapter 11, on which its checkers are tested."""

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


def take(run, **changes):
    """The right snapshot with some parts replaced."""
    state = {
        "weight": torch.tensor(run.weight.tolist()),
        "momentum": run.momentum.detach().clone(),
        "step": int(run.step),
        "rng": run.rng.get_state().clone(),
    }
    return {**state, **changes}


def draw_first(run):
    torch.randn(1, generator=run.rng)
    return take(run)


def finish(work, interval, cost, failures, restart=True, shorter=True, last=True):
    """finish_time on a list that is walked through by index, with switches for the bugs."""
    now = saved = i = 0
    while work - saved > 1e-12:
        piece = min(interval, work - saved) if shorter else interval
        needed = piece + (cost if last or saved + piece < work else 0)
        if i < len(failures) and failures[i] < now + needed:
            now, i = failures[i], i + 1
            saved = saved if restart else 0
        else:
            now, saved = now + needed, saved + piece
    return now


def finish_recursively(work, interval, cost, failures):
    """The first piece, then the rest of the work, with what is left of the failures."""
    if work <= 0:
        return 0
    piece = min(interval, work)
    first = failures[0] if failures else float("inf")
    if first < piece + cost:
        return first + finish_recursively(work, interval, cost, [f - first for f in failures[1:]])
    left = [f - piece - cost for f in failures]
    return piece + cost + finish_recursively(work - piece, interval, cost, left)


def finish_ignoring_failures_while_saving(work, interval, cost, failures):
    now, saved, failures = 0, 0, list(failures)
    while saved < work:
        piece = min(interval, work - saved)
        if failures and failures[0] < now + piece:
            now = failures.pop(0)
        else:
            now, saved = now + piece + cost, saved + piece
    return now


def finish_counting_the_end(work, interval, cost, failures):
    now, saved, failures = 0, 0, list(failures)
    while saved < work:
        piece = min(interval, work - saved)
        if failures and failures[0] <= now + piece + cost:
            now = failures.pop(0)
        else:
            now, saved = now + piece + cost, saved + piece
    return now


def finish_and_empty(work, interval, cost, failures):
    answer = finish(work, interval, cost, failures)
    failures.clear()
    return answer


ALTERNATIVES = {
    "write_safely": [
        write,
        write_with_handles,
        with_bug(sync="fdatasync" if hasattr(os, "fdatasync") else "fsync"),
        write_in_a_folder_below,
        write_with_folder_first,
    ],
    "snapshot": [take],
    "finish_time": [finish, finish_recursively],
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
    "snapshot": {
        "weight not copied": (lambda run: take(run, weight=run.weight), "clone()"),
        "momentum not copied": (lambda run: take(run, momentum=run.momentum), "clone()"),
        "all of it, not copied": (lambda run: {**vars(run), "rng": run.rng.get_state()}, "clone()"),
        "momentum zero": (lambda run: take(run, momentum=torch.zeros(5)), "momentum is not"),
        "momentum missing": (
            lambda run: {k: v for k, v in take(run).items() if k != "momentum"},
            "lacks momentum",
        ),
        "weight in half precision": (lambda run: take(run, weight=run.weight.half()), "dtype"),
        "next step": (lambda run: take(run, step=run.step + 1), "step must be"),
        "the default generator": (lambda run: take(run, rng=torch.get_rng_state()), "default generator"),
        "the seed only": (
            lambda run: take(run, rng=torch.Generator().manual_seed(run.rng.initial_seed()).get_state()),
            "after seeding",
        ),
        "the seed as a number": (lambda run: take(run, rng=run.rng.initial_seed()), "get_state()"),
        "draws a number": (draw_first, "drew from run.rng"),
        "one step further": (lambda run: (run.advance(), take(run))[1], "moved the run on"),
    },
    "finish_time": {
        "all is lost": (lambda w, i, c, f: finish(w, i, c, f[:3], restart=False), "not everything"),
        "the last piece is not saved": (lambda w, i, c, f: finish(w, i, c, f, last=False), "saved, too"),
        "the last piece is whole": (lambda w, i, c, f: finish(w, i, c, f, shorter=False), "may be shorter"),
        "failures do nothing": (lambda w, i, c, f: finish(w, i, c, []), "not saved yet"),
        "failures while saving do nothing": (finish_ignoring_failures_while_saving, "while saving"),
        "a failure at the end of a save counts": (finish_counting_the_end, "exactly at the end"),
        "the list is emptied": (finish_and_empty, "you changed the list"),
        "saving costs nothing": (lambda w, i, c, f: finish(w, i, 0, f), "train, save"),
        "text": (lambda w, i, c, f: "22 s", "must be a number"),
    },
}
