"""The checkers of chapter 10. Each tries the reader's function on several cases and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, number, parts, tensor, whole_number


@exercise(difficulty=1, minutes=10)
def accumulated_gradient(attempt):
    """attempt(gradient_of, x [n, d], y [n], micro) -> [d]: the gradient of the mean loss over all n rows."""
    for n, d, micro, seed in ((7, 2, 3, 1), (8, 3, 2, 0), (5, 4, 1, 2), (4, 2, 9, 3), (11, 1, 10, 4)):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((n, d), (n,)))
        w = torch.randn(d, generator=g, dtype=torch.float64)
        where = f"{n} rows, micro={micro}: "
        pieces, gradients = [], []

        def gradient_of(a, b, w=w, micro=micro, where=where, pieces=pieces, gradients=gradients):
            expect(len(a) == len(b), f"{where}{len(a)} rows of x came with {len(b)} rows of y")
            expect(len(a) > 0, f"{where}gradient_of was called without any row")
            expect(
                len(a) <= micro, f"{where}gradient_of got {len(a)} rows at once, and has memory for {micro}"
            )
            pieces.append(torch.cat([a, b[:, None]], dim=1))
            gradients.append(mean_gradient(w, a, b))
            return gradients[-1].clone()

        found = tensor(attempt(gradient_of, x.clone(), y.clone(), micro), (d,), f"{where}the gradient")
        check_rows(pieces, x, y, micro, where)
        sizes = [len(piece) for piece in pieces]
        total = sum(gradients)
        mistakes = {
            f"the pieces' gradients are added up without their shares; each counts len(piece) / {n}": total,
            "the plain mean over the pieces gives a short last piece too much weight": total / len(pieces),
            "the last piece has only its own rows: its share is len(piece) / n, not micro / n": (
                total * micro / n
            ),
            "that is the gradient of the last piece alone: add up": gradients[-1],
            "that is the last piece's share alone: add up": gradients[-1] * sizes[-1] / n,
            "that is the sum over the rows; the loss is their mean": mean_gradient(w, x, y) * n,
        }
        expect_close(found, mean_gradient(w, x, y), mistakes, where)


def mean_gradient(w, x, y):
    """The gradient of the mean squared error of x @ w."""
    return 2 * ((x @ w - y) @ x) / len(x)


def check_rows(pieces: list, x, y, micro: int, where: str) -> None:
    """Whether gradient_of has seen every row once, with its own target."""
    expect(pieces, f"{where}gradient_of was never called")
    seen = torch.cat(pieces).tolist()
    rows = torch.cat([x, y[:, None]], dim=1).tolist()
    full = rows[: len(x) // micro * micro]
    expect(seen != full or seen == rows, f"{where}the last, shorter piece is missing")
    targets_differ = sorted(row[:-1] for row in seen) == sorted(x.tolist()) and sorted(seen) != sorted(rows)
    expect(not targets_differ, f"{where}a row of x must come with its own entry of y")
    expect(sorted(seen) == sorted(rows), f"{where}gradient_of must see each row exactly once")


@exercise(difficulty=2, minutes=10)
def next_scale(attempt):
    """attempt(scale, good_steps, overflow, interval) -> (scale, good_steps), as GradScaler has it."""

    def step(scale, good, overflow, interval):
        returned = parts(attempt(scale, good, overflow, interval), "scale", "good_steps")
        return number(returned[0], "the scale"), number(returned[1], "the count")

    for interval in (3, 1, 4):
        exchanged = step(1024.0, 0, True, interval) == (0, 512)
        expect(not exchanged, "scale and count are exchanged: the scale comes first")
        check_growth(step, interval)
        for pattern in ("gggg", "ggoggg", "oo", "gggoggggggg", "ggogogggogggggggggg"):
            scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=interval)
            scale, good = 1024.0, 0
            for i, letter in enumerate(pattern):
                overflow = letter == "o"
                right, right_good = follow(scaler, overflow)
                told = f"interval={interval}, {spelled(pattern[: i + 1])}: "
                before, (scale, good) = scale, step(scale, good, overflow, interval)
                if overflow:
                    halved = scale == before / 2
                    expect(halved, f"{told}an overflow must halve the scale, {before:g} became {scale:g}")
                    expect(
                        good == 0, f"{told}after an overflow the count starts again at 0, yours is {good:g}"
                    )
                elif right > before:
                    expect(good == 0, f"{told}after growing the count starts again at 0, yours is {good:g}")
                expect(scale == right, f"{told}the scale must be {right:g}, yours is {scale:g}")
                expect(good == right_good, f"{told}the count must be {right_good}, yours is {good:g}")


def check_growth(step, interval: int) -> None:
    """Whether the scale is doubled after `interval` good steps."""
    scale, good, n = 1024.0, 0, 0
    while scale == 1024 and n < 3 * interval + 3:
        scale, good = step(scale, good, False, interval)
        n += 1
    told = f"interval={interval}: "
    expect(scale != 1024, f"{told}the scale never grows: double it after {interval} good steps in a row")
    expect(n == interval, f"{told}the scale grows after {n} good steps in a row, not after {interval}")
    expect(scale == 2048, f"{told}the scale must be doubled, 1024 became {scale:g}")


def follow(scaler, overflow: bool) -> tuple[float, int]:
    """One step of PyTorch's scaler with gradients that overflow or do not; its scale and count afterwards."""
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.0)
    scaler.scale(p.sum()).backward()
    if overflow:
        p.grad.fill_(torch.inf)
    scaler.step(optimizer)
    scaler.update()
    return scaler.get_scale(), scaler._get_growth_tracker()


def spelled(history: str) -> str:
    """`ggo` -> "good, good, overflow"."""
    return ", ".join("overflow" if letter == "o" else "good" for letter in history)


@exercise(difficulty=2, minutes=10)
def largest_micro_batch(attempt):
    """attempt(batch_size, fits) -> the largest divisor of batch_size that fits into memory."""
    for batch, room in (
        (64, 20),
        (24, 10),
        (64, 64),
        (64, 63),
        (12, 5),
        (30, 7),
        (7, 3),
        (48, 1),
        (36, 35),
        (1, 1),
    ):
        right = max(m for m in range(1, min(batch, room) + 1) if batch % m == 0)
        where = f"batch_size={batch}, memory for {room}: "
        asked = []

        def fits(micro, asked=asked, batch=batch, room=room, where=where):
            micro = whole_number(micro, f"{where}what fits is asked about")
            expect(micro >= 1, f"{where}fits was asked about {micro}: windows are 1, 2, 3 …")
            asked.append(micro)
            expect(len(asked) <= batch, f"{where}fits was asked {len(asked)} times, each try is slow")
            return micro <= room

        found = whole_number(attempt(batch, fits))
        if found == right:
            continue
        halved = batch
        while halved > room:
            halved //= 2
        divides = found > 0 and batch % found == 0
        expect(divides, f"{where}{found} does not divide {batch}, so the last piece would be shorter")
        expect(found <= room, f"{where}{found} windows do not fit: ask fits")
        expect(found != 1, f"{where}1 is not the largest that fits, {right} fits, too")
        expect(
            found != halved,
            f"{where}do not only halve: {right} divides {batch}, fits, and is larger than {found}",
        )
        pieces = batch // right
        expect(found != pieces, f"{where}{found} is the number of pieces; each holds {right} windows")
        expect(False, f"{where}{right} is larger than {found}, divides {batch} and fits")
    try:
        attempt(8, lambda micro: False)
    except ValueError as error:
        expect("8" in str(error), "nothing fits: name the batch size, 8, in the ValueError")
    else:
        expect(False, "not even one window fits: raise a ValueError")
