"""Whether a file is written whole or not at all: what the exercises on it are held against."""

from pathlib import Path

from gptlib.exercises.checker import expect
from gptlib.exercises.disk import RENAMES, watched


class IteratorFailed(Exception):
    """What the checker's iterator raises half-way."""


def check_write(attempt, path: Path, pieces: list[bytes], old: bytes | None, fails_after: int | None) -> None:
    """One call of `write_whole`: on an old file or none, with an iterator that fails or does not."""
    if old is not None:
        path.write_bytes(old)

    def content():
        return path.read_bytes() if path.exists() else None

    seen, on_disk = [], []

    def one_at_a_time():
        for place, piece in enumerate(pieces):
            if place == fails_after:
                raise IteratorFailed
            seen.append(content())
            on_disk.append(sum(file.stat().st_size for file in path.parent.rglob("*")))
            yield piece
        if fails_after == len(pieces):
            raise IteratorFailed

    came_through = False
    with watched() as acts:
        try:
            attempt(path, one_at_a_time())
        except IteratorFailed:
            came_through = True
    sources = [act.path for act in acts if act.name in RENAMES]
    check_moments(seen, old, renamed=bool(sources))
    if fails_after is None:
        for source in sources:
            beside = path.parent.resolve() in source.resolve().parents
            expect(beside, "the temporary file is in another folder: rename cannot cross disks")
        expect(
            on_disk[-1] - len(old or b"") > len(pieces[0]) // 2,
            "when the last piece came, the earlier ones were not on the disk: write each piece as it comes",
        )
        expect(
            content() == b"".join(pieces), "afterwards the file does not hold the pieces, one after the other"
        )
    else:
        expect(content() is not None or old is None, "the iterator failed, and the old file is gone")
        expect(content() == old, "the iterator failed, and what had come until then was renamed to path")
        expect(came_through, "the iterator's exception must come through: do not swallow it")
    left = [file.name for file in path.parent.iterdir() if file != path]
    expect(not left, f"left behind in the folder: {left}")


def check_moments(seen: list, old: bytes | None, renamed: bool) -> None:
    """Whether what stood at path when each piece was asked for is what stood there before."""
    for content in seen:
        if content == old:
            continue
        expect(content is not None, "the old file is removed before the new one is complete")
        expect(not renamed, "the file is renamed before it is complete: rename it after the last piece")
        appended = bool(old) and content.startswith(old)
        expect(
            not appended, "the pieces are appended to the old file: write under another name, then os.replace"
        )
        expect(False, "the pieces are written into path itself: write under another name, then os.replace")
