"""Files that are complete or absent: temporary names, renames, checksums. And where the book's data lie.

Written by hand, because the first chapter's module needs it; chapter 11 takes it apart.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

log = logging.getLogger("gptlib.files")
NOT_SUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # by this file system
NO_FOLDERS = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF}  # opening or syncing a folder
PACKAGE = Path(__file__).resolve().parent
IN_REPOSITORY = (PACKAGE.parent / "notebooks").is_dir()
DATA = PACKAGE.parent / "data" if IN_REPOSITORY else PACKAGE / "shipped"  # a wheel carries part of data/
HOME = Path(os.path.expanduser("~"))
# What an installed wheel downloads. In a container the user may have no home: then "~" stays as it is.
CACHE = (HOME / ".cache" if HOME.is_absolute() else Path(tempfile.gettempdir())) / "gptlib"


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
    """Wait until the system has written a file's bytes, or a folder's names, to the disk.

    Windows opens no folders, and some network disks refuse: then a warning says once that a power cut may take
    what was just written. OSError for anything else, a full disk say.
    """
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED and not (path.is_dir() and error.errno in NO_FOLDERS):
            raise
        warn_once(
            f"{path.parent} cannot be forced to disk ({error.strerror}): a power cut may take the newest files"
        )


@lru_cache
def warn_once(message: str) -> None:
    """Log a warning the first time it is given."""
    log.warning(message)


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
