"""The checkers of chapter 02. Each calls the reader's function on several inputs and names the mistake."""

import tempfile
from pathlib import Path

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list
from gptlib.exercises.disk import RENAMES, watched


@exercise(difficulty=2, minutes=15)
def epoch_starts(attempt):
    """attempt(n_tokens, block_size, batch_size, seed, step) -> starts; every window once in each epoch."""
    for n_tokens, block_size, batch_size in ((101, 10, 2), (33, 4, 3), (50, 7, 1)):
        windows = (n_tokens - 1) // block_size
        per_epoch = windows // batch_size

        def starts(seed, step, sizes=(n_tokens, block_size, batch_size)):
            return [int(start) for start in as_list(attempt(*sizes, seed, step), "the starts of a batch")]

        first, again = ([starts(5, step) for step in range(per_epoch)] for _ in range(2))
        expect(first == again, "asked again, a step gives other starts: shuffle by seed and epoch")
        orders = []
        for epoch in range(3):
            batches = [starts(5, step) for step in range(epoch * per_epoch, (epoch + 1) * per_epoch)]
            expect(all(len(b) == batch_size for b in batches), f"a batch must hold {batch_size} starts")
            order = [start for batch in batches for start in batch]
            check_epoch(order, block_size, windows, epoch)
            orders.append(order)
        in_order = orders[0] == sorted(orders[0]) and windows > 2
        expect(not in_order, "the windows come in the order of the text: shuffle")
        expect(orders[0] != orders[1] != orders[2], "every epoch needs an order of its own")
        others = [start for step in range(per_epoch) for start in starts(6, step)]
        expect(others != orders[0], "another seed must give another order")
        mixed = "seed 5 in epoch 1 has the order of seed 6 in epoch 0: do not add them, use a list of both"
        expect(windows < 9 or others != orders[1], mixed)


def check_epoch(order: list[int], block_size: int, windows: int, epoch: int) -> None:
    """Whether the starts of one epoch are those of different windows."""
    last = (windows - 1) * block_size
    numbers = max(order) < windows and any(start % block_size for start in order)
    expect(not numbers, f"these are numbers of windows: a window starts at {block_size} times its number")
    for start in order:
        expect(start % block_size == 0, f"{start} is no multiple of {block_size}: windows do not overlap")
        expect(0 <= start <= last, f"{start} is the start of no window: the last one starts at {last}")
    expect(len(set(order)) == len(order), f"epoch {epoch} visits a window twice: permute, do not draw")


@exercise(difficulty=2, minutes=15)
def read_span(attempt):
    """attempt(parts, a, b) -> list: tokens a … b - 1 of the lists put together, only the needed ones sliced."""
    for lengths in ((4, 4, 3), (1, 1, 1, 1), (7,), (2, 9, 1, 5)):
        total = sum(lengths)
        whole = list(range(100, 100 + total))
        spans = [(a, b) for a in range(total + 1) for b in range(a, total + 1)]
        spans.sort(key=lambda span: span[0] == span[1])  # the empty ones, which tell least, come last
        for a, b in spans:
            shards, start = [], 0
            for n in lengths:
                shards.append(Watched(whole[start : start + n]))
                start += n
            call = f"shards of {list(lengths)} tokens, a={a}, b={b}: "
            found = as_list(attempt(shards, a, b), "a list of tokens")
            check_span(found, whole, lengths, a, b, call)
            start = 0
            for n, shard in enumerate(shards):
                needed = max(a, start) < min(b, start + len(shard))
                expect(
                    needed or not shard.read, f"{call}shard {n} holds nothing of the slice, but you read it"
                )
                start += len(shard)


def check_span(found: list, whole: list, lengths: tuple, a: int, b: int, call: str) -> None:
    """Whether these are the tokens a … b - 1 of the whole."""
    right = whole[a:b]
    if found == right:
        return
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    seam = len(found) > len(right) and b >= ends[0]
    expect(not seam, f"{call}too many tokens: each shard begins where the one before it ends")
    expect(found != whole[a : b + 1], f"{call}one token too many: b itself is no part of the slice")
    stops = [whole[a:end] for end in ends if a < end < b]
    expect(found not in stops, f"{call}you stop at the end of a shard; the slice goes on in the next")
    expect(found != right[:-1], f"{call}the last token is missing: the slice ends before b, not before b - 1")
    expect(sorted(found) != right, f"{call}the order of the tokens is wrong")
    expect(False, f"{call}the tokens must be {right}, yours are {found}")


class Watched(list):
    """A shard that remembers whether tokens were taken out of it."""

    read = False

    def __getitem__(self, key):
        self.read = True
        return super().__getitem__(key)

    def __iter__(self):
        self.read = True
        return super().__iter__()


class IteratorFailed(Exception):
    """What the checker's iterator raises half-way."""


@exercise(difficulty=2, minutes=15)
def write_whole(attempt):
    """attempt(path, pieces): at every moment the file is absent, old or complete; nothing else is left."""
    pieces = [b"1" * 300_000, b"", b"2" * 200_000, b"3" * 7]  # larger than a file's buffer
    for old in (b"the old file, longer than the new one", None):
        for fails_after in (None, 0, 2, 4):
            with tempfile.TemporaryDirectory() as folder:
                check_write(attempt, Path(folder) / "shard.bin", pieces, old, fails_after)


def check_write(attempt, path: Path, pieces: list[bytes], old: bytes | None, fails_after: int | None) -> None:
    """One call of `write_whole`: on an old file or none, with an iterator that fails or does not."""
    if old is not None:
        path.write_bytes(old)

    def content():
        return path.read_bytes() if path.exists() else None

    seen, on_disk = [], []

    def one_at_a_time():
        for number, piece in enumerate(pieces):
            if number == fails_after:
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
