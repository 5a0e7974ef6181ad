"""The checkers of chapter 02."""

import tempfile
from pathlib import Path

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def window(attempt):
    """attempt(tokens [N], start, block_size) -> (x, y), y shifted by one."""
    tokens = torch.tensor([7, 3, 9, 1, 4, 8, 2, 6])
    for start, block_size in ((0, 4), (2, 3), (3, 4), (5, 1)):
        found = attempt(tokens.clone(), start, block_size)
        expect(isinstance(found, tuple) and len(found) == 2, "return two tensors: inputs, targets")
        x, y = (torch.as_tensor(part).tolist() for part in found)
        right_x = tokens[start : start + block_size].tolist()
        right_y = tokens[start + 1 : start + block_size + 1].tolist()
        where = f"start={start}, block_size={block_size}"
        expect(x == right_x, f"{where}: the inputs must be {right_x}, yours are {x}")
        expect(y != right_x, f"{where}: the targets equal the inputs; shift them by one")
        expect(y == right_y, f"{where}: the targets must be {right_y}, yours are {y}")


@exercise(difficulty=2, minutes=15)
def epoch_starts(attempt):
    """attempt(n_tokens, block_size, batch_size, seed, step) -> starts; every window once in each epoch."""
    for n_tokens, block_size, batch_size in ((101, 10, 2), (33, 4, 3), (50, 7, 1)):
        windows = (n_tokens - 1) // block_size
        per_epoch = windows // batch_size

        def starts(seed, step, sizes=(n_tokens, block_size, batch_size)):
            return [int(start) for start in attempt(*sizes, seed, step)]

        orders = []
        for epoch in range(3):
            steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
            batches = [starts(5, step) for step in steps]
            expect(all(len(b) == batch_size for b in batches), f"a batch must hold {batch_size} starts")
            order = [start for batch in batches for start in batch]
            expect(
                all(start % block_size == 0 and 0 <= start < windows * block_size for start in order),
                f"starts must be multiples of {block_size} below {windows * block_size}",
            )
            expect(len(set(order)) == len(order), f"epoch {epoch} visits a window twice")
            orders.append(order)
        expect(
            orders[0] != sorted(orders[0]) or windows < 3,
            "the windows come in the order of the text: shuffle",
        )
        expect(orders[0] != orders[1] and orders[1] != orders[2], "every epoch needs an order of its own")
        expect(
            starts(5, 1) == orders[0][batch_size : 2 * batch_size], "asked again, a step gives other starts"
        )
        expect(
            any(starts(6, step) != starts(5, step) for step in range(per_epoch)),
            "another seed must give another order",
        )


@exercise(difficulty=2, minutes=15)
def read_span(attempt):
    """attempt(parts, a, b) -> list: tokens a … b - 1 of the lists put together, only the needed ones sliced."""
    for lengths in ((4, 4, 3), (1, 1, 1, 1), (7,), (2, 9, 1, 5)):
        ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
        total = ends[-1]
        for a in range(total + 1):
            for b in range(a, total + 1):
                parts = [
                    Watched(range(100 + end - n, 100 + end)) for n, end in zip(lengths, ends, strict=True)
                ]
                found, right = attempt(parts, a, b), list(range(100 + a, 100 + b))
                call = f"shards of {list(lengths)} tokens, a={a}, b={b}"
                expect(isinstance(found, list), f"{call}: return a list, yours is a {type(found).__name__}")
                where = f"{call}: the tokens must be {right}, yours are {found}"
                hint = ""
                if found == right[:-1]:
                    hint = "; the last one is missing"
                elif found and len(found) < len(right) and found == right[: len(found)]:
                    hint = "; you stop at the end of a shard"
                elif sorted(found) == right:
                    hint = "; the order is wrong"
                expect(found == right, where + hint)
                for n, (part, end) in enumerate(zip(parts, ends, strict=True)):
                    needed = max(a, end - len(part)) < min(b, end)
                    expect(
                        needed or not part.read,
                        f"{call}: shard {n} holds nothing of the slice, but you read it",
                    )


class Watched(list):
    """A shard that remembers whether tokens were taken out of it."""

    read = False

    def __getitem__(self, key):
        self.read = True
        return super().__getitem__(key)

    def __iter__(self):
        self.read = True
        return super().__iter__()


class PulledPlug(Exception):
    """What the checker's iterator raises half-way."""


@exercise(difficulty=2, minutes=15)
def write_whole(attempt):
    """attempt(path, pieces): at every moment the file is absent, old or complete; nothing else is left."""
    pieces = [b"1" * 300_000, b"", b"2" * 200_000, b"3" * 7]  # larger than a file's buffer
    for old in (None, b"the old file, longer than the new one"):
        for fails_after in (None, 0, 2, 4):
            with tempfile.TemporaryDirectory() as folder:
                check_write(attempt, Path(folder) / "shard.bin", pieces, old, fails_after)


def check_write(attempt, path, pieces, old, fails_after):
    """One call of `write_whole`: on an old file or none, with an iterator that fails or does not."""
    if old is not None:
        path.write_bytes(old)

    def content():
        return path.read_bytes() if path.exists() else None

    seen, on_disk = [], []

    def one_at_a_time():
        for number, piece in enumerate(pieces):
            if number == fails_after:
                raise PulledPlug
            seen.append(content())
            on_disk.append(sum(other.stat().st_size for other in path.parent.iterdir()))
            yield piece
        if fails_after == len(pieces):
            raise PulledPlug

    came_through = False
    try:
        attempt(path, one_at_a_time())
    except PulledPlug:
        came_through = True
    before = "the old file" if old is not None else "no file"
    expect(all(c == old for c in seen), f"while the pieces came there was no longer {before} at path")
    if fails_after is None:
        expect(
            content() == b"".join(pieces), "afterwards the file does not hold the pieces one after the other"
        )
        expect(
            on_disk[-1] - len(old or b"") > len(pieces[0]) // 2,
            "when the last piece came, the earlier ones were not on the disk: write each piece as it comes",
        )
    else:
        expect(content() == old, f"the iterator failed, and there is no longer {before} at path")
        expect(came_through, "the iterator's exception must come through: do not swallow it")
    left = [other.name for other in path.parent.iterdir() if other != path]
    expect(not left, f"left behind in the folder: {left}")
