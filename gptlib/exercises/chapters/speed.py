"""The checkers of chapter 14."""

import math

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=10)
def product_time(attempt):
    """attempt(m, k, n, width, peak, bandwidth) -> (seconds, limited by memory)."""
    cases = (
        (1024, 1024, 1024, 4, 1e11, 2e10),
        (1, 384, 1536, 2, 1e11, 2e10),
        (7, 5, 3, 4, 1e9, 1e9),
        (64, 8, 512, 2, 1e12, 1e11),
        (300, 200, 100, 4, 5e10, 4e9),
    )
    for case in cases:
        m, k, n, width, peak, bandwidth = case
        computing = 2 * m * k * n / peak
        moving = width * (m * k + k * n + m * n) / bandwidth
        answer = attempt(*case)
        expect(
            isinstance(answer, tuple) and len(answer) == 2, "return two values: seconds, and True or False"
        )
        time, by_memory = answer
        close = {
            "computing and moving overlap: the longer time counts, not the sum": computing + moving,
            "the longer of the two times counts, not the shorter": min(computing, moving),
            "each product is a multiplication and an addition: 2 FLOPs": max(computing / 2, moving),
            "a number has `width` bytes: multiply by it": max(computing, moving / width),
            "the result is written too: m · n more numbers": max(
                computing, width * (m * k + k * n) / bandwidth
            ),
        }
        right = max(computing, moving)
        if not math.isclose(time, right, rel_tol=1e-9):
            for message, wrong in close.items():
                expect(not math.isclose(time, wrong, rel_tol=1e-9), f"for {case}: {message}")
        expect(math.isclose(time, right, rel_tol=1e-9), f"for {case}: {right:.3e} s, yours is {time:.3e} s")
        expect(
            bool(by_memory) == (moving > computing),
            f"for {case}: moving takes {moving:.2e} s and computing {computing:.2e} s, you say memory "
            f"{'limits' if by_memory else 'does not limit'} it",
        )


@exercise(difficulty=2, minutes=15)
def recorded(attempt):
    """attempt(record, function, x) -> a callable that replays the recording for new inputs."""
    for shape, seed in (((3,), 0), ((2, 4), 1)):
        g = torch.Generator().manual_seed(seed)
        first, *others = (torch.randn(shape, generator=g) for _ in range(4))
        runs = []

        def work(buffer, out, runs=runs):
            runs.append(1)
            out.copy_(buffer * 2 + 1)

        def record(function, buffer, out):
            expect(
                buffer.data_ptr() != out.data_ptr(),
                "input and output share their memory: give the output its own",
            )
            function(buffer, out)

            def replay():
                out.copy_(buffer * 2 + 1)  # on the very tensors of the recording

            return replay

        kept = first.clone()
        call = attempt(record, work, first)
        expect(callable(call), "return a callable: input -> output")
        expect(len(runs) == 1, f"record the function once when recording; it ran {len(runs)} times")
        outputs = []
        for x in (first, *others):
            before = x.clone()
            outputs.append(call(x))
            expect(len(runs) == 1, "the function itself ran again: call replay() instead")
            expect(
                isinstance(outputs[-1], torch.Tensor) and outputs[-1].shape == torch.Size(shape),
                f"return a tensor of shape {tuple(shape)}",
            )
            expect(torch.equal(x, before), "a call changed the input that it was given")
            expect(
                torch.equal(outputs[-1], before * 2 + 1),
                "the output does not belong to the new input: was it copied to where the recording reads?",
            )
        for x, output in zip((first, *others), outputs, strict=True):
            expect(
                torch.equal(output, x * 2 + 1),
                "an earlier result changed when the next input came: hand out a copy",
            )
        expect(torch.equal(first, kept), "the example input was overwritten: record on a copy of it")


@exercise(difficulty=3, minutes=20)
def one_pass(attempt):
    """attempt(chunks) -> (mean, variance) of all numbers of an iterator of float32 tensors."""
    g = torch.Generator().manual_seed(2)
    cases = {
        "a single chunk": [torch.tensor([1.0, 2.0, 6.0])],
        "chunks of unequal length": [torch.randn(n, generator=g) * n for n in (1, 5, 2, 9)],
        "numbers around 10,000": [1e4 + 0.1 * torch.randn(50, generator=g) for _ in range(6)],
    }
    for name, chunks in cases.items():
        asked = []

        def stream(chunks=chunks, asked=asked):
            for i, chunk in enumerate(chunks):
                asked.append(i)
                yield chunk.clone()

        answer = attempt(stream())
        expect(
            isinstance(answer, tuple) and len(answer) == 2, "return two floats, (mean, variance), as a tuple"
        )
        whole = torch.cat(chunks).double()
        mean, variance = whole.mean().item(), whole.var(correction=0).item()
        expect(
            abs(answer[0] - mean) <= 1e-6 * max(1, abs(mean)),
            f"{name}: the mean is {mean:.5f}, yours is {answer[0]:.5f}; weigh each chunk by its length",
        )
        if len(whole) > 1:
            unbiased = whole.var().item()
            expect(
                not math.isclose(answer[1], unbiased, rel_tol=1e-5),
                f"{name}: divide by the count, not by the count minus one",
            )
        expect(
            math.isclose(answer[1], variance, rel_tol=1e-3, abs_tol=1e-9),
            f"{name}: the variance is {variance:.6f}, yours is {answer[1]:.6f}",
        )
