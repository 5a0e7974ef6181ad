"""What an attempt asks of the disk, and a power cut in between."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

SYNCS = ("fsync", "fdatasync")
RENAMES = ("replace", "rename")
REMOVALS = ("remove", "unlink")


class PowerCut(BaseException):
    """Ends the attempt as a power cut would: no `except Exception` stops it."""


@dataclass(frozen=True)
class Act:
    """One call to the system: its name, the file's path, inode and size, as far as they are known before it."""

    name: str
    path: Path | None = None
    inode: int | None = None
    size: int | None = None


def observed(name: str, file) -> Act:
    """The act `name` on a file, which is a path or an open handle."""
    if name in REMOVALS:
        return Act(name, Path(file))
    is_path = isinstance(file, str | os.PathLike)
    status = os.stat(file) if is_path else os.fstat(getattr(file, "fileno", lambda: file)())
    return Act(name, Path(file) if is_path else None, status.st_ino, status.st_size)


@contextmanager
def watched(cut_at: int | None = None) -> Iterator[list[Act]]:
    """Note what is asked of the system inside, and cut the power before act number `cut_at`."""
    real = {name: getattr(os, name) for name in SYNCS + RENAMES + REMOVALS if hasattr(os, name)}
    acts = []

    def watch(name):
        def act(*arguments, **options):
            if len(acts) == cut_at:
                raise PowerCut
            acts.append(observed(name, [*arguments, *options.values()][0]))
            return real[name](*arguments, **options)

        return act

    with mock.patch.multiple(os, **{name: watch(name) for name in real}):
        try:
            yield acts
        except PowerCut:
            pass
