"""The checkers of chapter 02. Each calls the reader's function on several inputs and names the mistake."""

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list


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
