"""Files that are complete or absent: temporary names, renames, checksums. And where the book's data lie.

Written by hand, because the first chapter's module needs it; chapter 11 takes it apart.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"  # what comes with the book


@contextlib.contextmanager
def replacing(path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`: the file or folder that the block writes there becomes `path`.

    The rename is the last act, so `path` is at every moment what it was before, or complete. When the block
    fails, what it wrote is removed. With `durable`, all of it is forced to disk before the rename and the name
    after it. OSError when the system refuses, and when `path` is a folder that holds something.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove(temporary)  # left by a killed process that had this number
    try:
        yield temporary
        if durable:
            force_to_disk(temporary)
        os.replace(temporary, path)
        if durable:
            fsync(path.parent)
    finally:
        remove(temporary)


def write_text(path, text: str) -> None:
    """Write a text file as UTF-8 with the line ends of `text`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def force_to_disk(path: Path) -> None:
    """fsync a file, or a folder's files and then the folder, so that a power cut does not take them."""
    if path.is_dir():
        for inside in path.iterdir():
            force_to_disk(inside)
    fsync(path)


def fsync(path: Path) -> None:
    """Wait until the system has written a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
