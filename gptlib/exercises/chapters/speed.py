"""The checkers of chapter 14. Each calls the reader's function on several inputs and names the mistake."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, kind, number, parts, tensor
from gptlib.exercises.limits import stream


@exercise(difficulty=2, minutes=15)
def predicted_step(attempt):
    """attempt(kernels, host, faster, host_faster) -> (milliseconds, "device" or "host")."""
    cases = [
        ([("product", 20.0), ("elementwise", 10.0)], 14.0, {"product": 10}, 1.0),
        ([("product", 27.0), ("elementwise", 23.0), ("product", 6.0)], 30.0, {"product": 7}, 1.0),
        ([("product", 27.0), ("elementwise", 23.0), ("product", 6.0)], 20.0, {"product": 7}, 1.0),
        ([("product", 40.0), ("elementwise", 20.0)], 14.0, {"product": 2}, 1.0),
        ([("product", 2.0), ("reduction", 1.0), ("elementwise", 4.0)], 11.0, {}, 5.0),
        (
            [("product", 2.0), ("reduction", 3.0), ("elementwise", 4.0)],
            11.0,
            {"elementwise": 8, "reduction": 2},
            2.0,
        ),
        ([("attention", 7.0), ("elementwise", 18.0)], 28.0, {"attention": 3, "optimizer": 9}, 1.75),
    ]
    rows, found, said = [], [], []
    for kernels, host, faster, host_faster in cases:
        rows.append(
            {
                "before": sum(ms for _, ms in kernels),
                "device": sum(ms / faster.get(kind, 1) for kind, ms in kernels),
                "launches": host / host_faster,
                "host": host,
                "named": sum(ms / faster[kind] for kind, ms in kernels if kind in faster),
                "unnamed": sum(ms for kind, ms in kernels if kind not in faster),
                "most": max(faster.values(), default=1),
                "last": sum(ms / faster.get(kind, 1) for kind, ms in dict(kernels).items()),
            }
        )
        ms, decides = parts(attempt(kernels, host, faster, host_faster), "milliseconds", '"device" or "host"')
        found.append(number(ms, "the milliseconds"))
        said.append(decides)
    before, device, launches, host, named, unnamed, most, last = torch.tensor(
        [list(row.values()) for row in rows]
    ).T
    right = torch.maximum(device, launches)
    mistakes = {
        "host and device overlap: the longer one counts, not the sum": device + launches,
        "the longer of the two counts, not the shorter": torch.minimum(device, launches),
        "the host is left out: it may need longer than the device": device,
        "the device is left out: its kernels may take longer than the host": launches,
        "nothing got faster: divide each kernel by the factor of its kind": torch.maximum(before, launches),
        "the host's launches got faster too: divide by host_faster": torch.maximum(device, host),
        "kinds that `faster` does not name stay as they are, and count": torch.maximum(named, launches),
        "what gets faster does not vanish: divide, do not leave out": torch.maximum(unnamed, launches),
        "a factor belongs to its kind alone, not to all kernels": torch.maximum(before / most, launches),
        "a kind may stand in the list twice, and both count: no dictionary": torch.maximum(last, launches),
    }
    expect_close(torch.tensor(found), right, mistakes, f"{len(cases)} steps: ")
    for case, decides, row in zip(cases, said, rows, strict=True):
        longer = "device" if row["device"] > row["launches"] else "host"
        times = f"the device takes {row['device']:.1f} ms, the host {row['launches']:.1f}"
        expect(decides == longer, f'for {case}: {times}: "{longer}" decides, you say {decides!r}')
    plain = attempt([("product", 20.0)], 14.0, {})
    expect_close(number(plain[0]), 20.0, where="without host_faster the launches stay as they are: ")


CHANGES = ("precision", "fuse", "record", "no_reads", "nothing")
SAVES = {"A": "precision", "B": "fuse", "C": "record", "D": "no_reads", "E": "nothing"}
AGAINST = {  # what the numbers say against a change
    ("A", "fuse"): "only 16 of 88 ms go number by number; the products are 70",
    ("A", "record"): "the device has 88 of 90 ms of work: without the host the step is hardly shorter",
    ("A", "no_reads"): "the device has 88 of 90 ms of work: it does not wait for the host",
    ("A", "nothing"): "70 ms are products in float32, which the matrix units do not take",
    ("B", "precision"): "the products are in bf16 already, and only 3 of 27 ms",
    ("B", "record"): "without the host, 27 ms of the device's work are left",
    (
        "B",
        "no_reads",
    ): "31 ms are little more than the device's 27 and the host's 28: nobody waits for a number",
    ("B", "nothing"): "24 of 27 ms go number by number through tensors, in 2,198 kernels",
    ("C", "precision"): "the products are in bf16 already, and only 2 ms",
    ("C", "fuse"): "the device's 7 ms do not decide, the host's 11 do",
    ("C", "no_reads"): "12 ms are little more than the host's 11: no time is lost with reads",
    ("C", "nothing"): "the device works only 7 of 12 ms: it waits for the host",
    ("D", "precision"): "30 ms are far more than the device's 8: products do not decide",
    ("D", "fuse"): "30 ms are far more than the device's 8: its kernels do not decide",
    ("D", "record"): "a recording cannot hold a read: first the reads must go, and then 9 ms are left",
    ("D", "nothing"): "30 ms are far more than device and host need: they wait for each other",
    ("E", "precision"): "the products are in bf16 already",
    ("E", "fuse"): "its layers are fused already: 5 ms are what one pass over memory takes",
    ("E", "record"): "it is recorded already: the host needs 1 ms",
    ("E", "no_reads"): "35 ms are little more than the device's 33: nobody waits",
}


@exercise(difficulty=2, minutes=15)
def diagnosis(attempt):
    """attempt() -> for each of the five steps the change that saves the most."""
    found = attempt()
    expect(isinstance(found, dict), f'return a dictionary {{"A": "…", …}}, not {kind(found)}')
    missing = sorted(SAVES.keys() - found.keys())
    expect(not missing, f"no change for step {', '.join(missing)}")
    for step, right in SAVES.items():
        said = found[step]
        expect(said in CHANGES, f"step {step}: {said!r} is none of the keys: {', '.join(CHANGES)}")
        expect(said == right, f"step {step}, {said!r}: {AGAINST.get((step, said))}")


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
