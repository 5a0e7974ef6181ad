"""The checkers of chapter 10. Each tries the reader's function on several cases and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, number, parts, whole_number


CURVES = (
    "few characters",
    "targets of the next batch",
    "schedule ends at 60",
    "targets not shifted",
)  # A, B, C, D
KEYS = ("rate", "zero_grad", "dropout", "few", "clip", "schedule", "shift", "next")
EVIDENCE = {  # the right key of each curve, and what to look at again
    "A": (
        "few",
        "the training loss falls step by step below the validation loss, which turns up after step 80: "
        "what does a model learn that nothing else needs?",
    ),
    "B": (
        "next",
        "both losses rest near 3.35 from step 60 on, the loss of the table of single characters: "
        "what can be known about a next character that has nothing to do with the ones before?",
    ),
    "C": (
        "schedule",
        "the validation loss is the same number from step 60 on, while the training loss goes on jumping: "
        "the batches differ, the weights do not",
    ),
    "D": (
        "shift",
        "the training loss is near 0 after 60 steps, on fresh batches: "
        "where in its input does the model find the answer?",
    ),
}


@exercise(difficulty=2, minutes=20)
def diagnose(attempt):
    """attempt() -> {"A": key, …, "D": key}: which mistake belongs to which curve."""
    answer = attempt()
    expect(isinstance(answer, dict), f"return a dictionary, yours is a {type(answer).__name__}")
    expect(
        set(answer) == set(EVIDENCE),
        f"the dictionary's keys are A, B, C and D, yours are {sorted(map(str, answer))}",
    )
    for letter, key in sorted(answer.items()):
        expect(key in KEYS, f"{letter}: {key!r} is not in the list; the keys are {', '.join(KEYS)}")
    for letter, (right, evidence) in EVIDENCE.items():
        expect(answer[letter] == right, f"{letter}: {evidence}")


@exercise(difficulty=3, minutes=20)
def noise_scale(attempt):
    """attempt(a, square_a, b, square_b) -> noise of one window, squared, over the gradient's squared length."""
    for true, noise, a, b in (
        (2.0, 12.0, 4, 12),
        (0.16, 4.0, 8, 64),
        (3.0, 1.5, 32, 2),
        (1.0, 200.0, 1, 1024),
    ):
        square_a, square_b = true + noise / a, true + noise / b
        where = f"batches of {a} and {b}, squares {square_a:.4g} and {square_b:.4g}: "
        found = number(attempt(a, square_a, b, square_b))
        wrong = {
            "that is the noise S alone: divide by the gradient's square": noise,
            "that is the gradient's square alone: divide S by it": true,
            "upside down: S / |g|², not |g|² / S": true / noise,
            "divided by the measured square, which still holds noise: subtract S / b first": noise / square_b,
            "divided by the measured square, which still holds noise: subtract S / a first": noise / square_a,
            "the lengths are squared already: no root": (noise / true) ** 0.5,
            "the sign is wrong: the smaller batch has the larger square": -noise / true,
        }
        expect_close(found, noise / true, wrong, where)


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
