"""The checkers of chapter 10. Each tries the reader's function on several cases and names the mistake."""

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=10)
def accumulated_gradient(attempt):
    """attempt(gradient_of, x [n, d], y [n], micro) -> [d]: the gradient of the mean loss over all n rows."""
    for n, d, micro, seed in ((8, 3, 2, 0), (7, 2, 3, 1), (5, 4, 1, 2), (4, 2, 9, 3), (11, 1, 10, 4)):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((n, d), (n,)))
        w = torch.randn(d, generator=g, dtype=torch.float64)
        rows_seen, means = [], []

        def gradient_of(a, b, w=w, micro=micro, rows_seen=rows_seen, means=means):
            expect(len(a) == len(b), f"{len(a)} rows of x came with {len(b)} rows of y")
            expect(len(a) > 0, "gradient_of was called without any row")
            expect(
                len(a) <= micro, f"gradient_of got {len(a)} rows at once, and has memory for micro={micro}"
            )
            rows_seen.extend(a.tolist())
            means.append(2 * ((a @ w - b) @ a) / len(a))  # of the mean squared error
            return means[-1].clone()

        case = f"{n} rows, micro={micro}"
        found = attempt(gradient_of, x.clone(), y.clone(), micro)
        expect(torch.is_tensor(found) and found.shape == (d,), f"{case}: return one gradient of shape [{d}]")
        expect(sorted(rows_seen) == sorted(x.tolist()), f"{case}: gradient_of must see each row exactly once")
        right = 2 * ((x @ w - y) @ x) / n
        if torch.allclose(found, right):
            continue
        total = torch.stack(means).sum(dim=0)
        expect(
            not torch.allclose(found, total),
            f"{case}: the pieces' gradients are added up without their shares; each counts len(piece) / {n}",
        )
        expect(
            not torch.allclose(found, total / len(means)),
            f"{case}: the plain mean over the pieces gives a short last piece too much weight",
        )
        expect(
            not torch.allclose(found, right * n),
            f"{case}: that is the sum over the rows; the loss is their mean",
        )
        expect(False, f"{case}: off by {(found - right).abs().max().item():.3g}")


@exercise(difficulty=2, minutes=10)
def next_scale(attempt):
    """attempt(scale, good_steps, overflow, interval) -> (scale, good_steps), as GradScaler has it."""
    patterns = ("gggg", "ggoggg", "oo", "gggoggggggg", "ggogogggogggggggggg")
    for interval in (3, 1, 4):
        for pattern in patterns:
            start = 1024.0
            scaler = torch.amp.GradScaler("cpu", init_scale=start, growth_interval=interval)
            scale, good, history = start, 0, ""
            for letter in pattern:
                overflow, history = letter == "o", history + letter
                right, right_good = follow(scaler, overflow)
                returned = attempt(scale, good, overflow, interval)
                expect(
                    isinstance(returned, tuple) and len(returned) == 2,
                    "return two numbers: scale, good_steps",
                )
                told = f"interval={interval}, {spelled(history)}"
                if overflow:
                    expect(returned[0] < scale, f"{told}: an overflow must make the scale smaller")
                    expect(
                        returned[1] == 0,
                        f"{told}: after an overflow the count must be 0, yours is {returned[1]}",
                    )
                expect(returned[0] == right, f"{told}: the scale must be {right:g}, yours is {returned[0]:g}")
                expect(
                    returned[1] == right_good,
                    f"{told}: the count must be {right_good}, yours is {returned[1]}",
                )
                scale, good = returned


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
    for batch, room in ((64, 64), (64, 63), (64, 20), (12, 5), (30, 7), (7, 3), (48, 1), (36, 35), (1, 1)):
        right = max(m for m in range(1, min(batch, room) + 1) if batch % m == 0)
        asked = []

        def fits(micro, asked=asked, batch=batch, room=room):
            expect(
                isinstance(micro, int) and micro >= 1,
                f"fits was asked about {micro!r}: windows are 1, 2, 3 …",
            )
            asked.append(micro)
            expect(
                len(asked) <= batch,
                f"batch_size={batch}: fits was asked {len(asked)} times, each try is slow",
            )
            return micro <= room

        case = f"batch_size={batch}, memory for {room}"
        found = attempt(batch, fits)
        expect(isinstance(found, int), f"{case}: return a whole number, not {type(found).__name__}")
        expect(found <= room, f"{case}: {found} windows do not fit")
        expect(
            batch % found == 0, f"{case}: {found} does not divide {batch}, so the last piece would be shorter"
        )
        expect(found == right, f"{case}: {right} is larger than {found}, divides {batch} and fits")
    try:
        attempt(8, lambda micro: False)
    except ValueError as error:
        expect("8" in str(error), "nothing fits: name the batch size, 8, in the ValueError")
    else:
        expect(False, "not even one window fits: raise a ValueError")
