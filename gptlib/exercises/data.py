"""The checkers of chapter 02."""

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
