"""The checkers of chapter 14. Each calls the reader's function on several inputs and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, kind, number, parts, tensor
from gptlib.exercises.limits import stream


@exercise(difficulty=1, minutes=10)
def product_time(attempt):
    """attempt(m, k, n, width, peak, bandwidth) -> (seconds, limited by memory)."""
    for case in (
        (1024, 1024, 1024, 4, 1e11, 2e10),
        (100, 10, 100, 8, 1e12, 1e9),
        (1, 384, 1536, 2, 1e11, 2e10),
        (7, 5, 3, 4, 1e9, 1e9),
        (64, 8, 512, 2, 1e12, 1e11),
        (300, 200, 100, 4, 5e10, 4e9),
    ):
        m, k, n, width, peak, bandwidth = case
        computing = 2 * m * k * n / peak
        moving = width * (m * k + k * n + m * n) / bandwidth
        time, by_memory = parts(attempt(*case), "seconds", "True or False")
        mistakes = {
            "computing and moving overlap: the longer time counts, not the sum": computing + moving,
            "the longer of the two times counts, not the shorter": moving,
            "memory is left out: moving the numbers takes longer": computing,
            "each product is a multiplication and an addition: 2 FLOPs": max(computing / 2, moving),
            "a number has `width` bytes: multiply by it": max(computing, moving / width),
            "the result is written too: m · n more numbers": (
                max(computing, width * (m * k + k * n) / bandwidth)
            ),
            "only the result is counted: the two matrices are read": (
                max(computing, width * m * n / bandwidth)
            ),
        }
        where = f"for {case}: "
        expect_close(number(time, "the time"), max(computing, moving), mistakes, where)
        limits = "limits" if by_memory else "does not limit"
        expect(
            bool(by_memory) == (moving > computing),
            f"{where}moving takes {moving:.2e} s and computing {computing:.2e} s, you say memory {limits} it",
        )


class Tape:
    """A recorder in miniature, which counts what is asked of it."""

    def __init__(self):
        self.runs, self.recordings, self.replays = 0, 0, 0

    def work(self, buffer, out) -> None:
        """The function to record."""
        self.runs += 1
        out.copy_(buffer * 2 + 1)

    def record(self, function, buffer, out):
        """Run the function once; returns what repeats its work on the very same tensors."""
        shared = buffer.data_ptr() == out.data_ptr()
        expect(not shared, "input and output share their memory: give the output its own")
        self.recordings += 1
        function(buffer, out)

        def replay():
            self.replays += 1
            out.copy_(buffer * 2 + 1)

        return replay


@exercise(difficulty=2, minutes=15)
def recorded(attempt):
    """attempt(record, function, x) -> a callable that replays the recording for new inputs."""
    for shape, seed in (((3,), 0), ((2, 4), 1)):
        g = torch.Generator().manual_seed(seed)
        inputs = [torch.randn(shape, generator=g) for _ in range(4)]
        kept = [x.clone() for x in inputs]
        tape = Tape()
        call = attempt(tape.record, tape.work, inputs[0])
        expect(callable(call), f"return a callable, input -> output, not {kind(call)}")
        expect(
            tape.recordings == 1,
            f"record the function once, before the first call; yours did {tape.recordings} times",
        )
        outputs, when_returned = [], []
        for x, as_given in zip(inputs, kept, strict=True):
            replays = tape.replays
            outputs.append(call(x))
            when_returned.append(tensor(outputs[-1], shape, "the output").clone())
            expect(
                torch.equal(inputs[0], kept[0]), "the example input was overwritten: record on a copy of it"
            )
            expect(torch.equal(x, as_given), "a call changed the input that it was given")
            expect(tape.recordings == 1, "every call records again: record once and replay")
            expect(tape.runs == 1, "the function itself ran again: call replay() instead")
            expect(tape.replays > replays, "a call does without replay(), which fills the output")
        right = torch.stack(kept) * 2 + 1
        mistakes = {
            "every output belongs to the example: copy the new input into the recording's, buffer.copy_(new)": (
                right[:1].expand_as(right)
            ),
            "every output belongs to the input before: copy the new input before the replay": (
                torch.cat([right[:1], right[:-1]])
            ),
        }
        expect_close(torch.stack(when_returned), right, mistakes)
        copied = close(torch.stack([torch.as_tensor(output) for output in outputs]), right)
        expect(copied, "an earlier result changed when the next input came: hand out a copy")


@exercise(difficulty=3, minutes=20)
def one_pass(attempt):
    """attempt(chunks) -> (mean, variance) of all numbers of an iterator of float32 tensors."""
    g = torch.Generator().manual_seed(2)
    cases = {
        "chunks of unequal length": [torch.randn(n, generator=g) * n for n in (1, 5, 2, 9)],
        "a single chunk": [torch.tensor([1.0, 2.0, 6.0])],
        "numbers around 10,000": [1e4 + 0.1 * torch.randn(50, generator=g) for _ in range(6)],
    }
    for name, chunks in cases.items():
        mean, variance = map(number, parts(attempt(stream(chunks)), "mean", "variance"))
        whole = torch.cat(chunks).double()
        each = [chunk.double() for chunk in chunks]
        mistakes = {
            "that is the plain mean of the chunks' means: weigh each by its length": (
                torch.stack([chunk.mean() for chunk in each]).mean()
            ),
            "the mean moves half-way to each chunk's: move it by δ · n_b / (n_a + n_b)": half_way(each),
            "divide by the count of numbers, not of chunks": whole.sum() / len(chunks),
        }
        expect_close(mean, whole.mean(), mistakes, f"{name}, the mean: ", rtol=1e-6)
        right = whole.var(correction=0)
        within = sum((chunk - chunk.mean()).square().sum() for chunk in each)
        mistakes = {
            "the distance of the chunks' means is left out: δ² · n_a n_b / (n_a + n_b)": within / len(whole),
            "that is the mean of the chunks' variances, without the distance of their means": (
                torch.stack([chunk.var(correction=0) for chunk in each]).mean()
            ),
            "that is the standard deviation: leave it squared": right.sqrt(),
            "that is the sum of squared deviations: divide it by the count": right * len(whole),
        }
        if len(whole) > 1:
            mistakes["divide by the count, not by the count minus one"] = whole.var()
        hint = "mean of squares minus square of the mean loses its digits in float32" if mean > 1e3 else ""
        expect_close(variance, right, mistakes, f"{name}, the variance: ", hint, rtol=1e-3)


def half_way(chunks) -> float:
    """The running mean that goes half-way to the mean of each chunk."""
    mean = chunks[0].mean()
    for chunk in chunks[1:]:
        mean = mean + (chunk.mean() - mean) / 2
    return mean
