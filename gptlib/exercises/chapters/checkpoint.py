"""The checkers of chapter 11. They stop the reader's function before each act and look at what is there."""

import itertools
import locale
import random
import tempfile
from pathlib import Path

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, kind, number
from gptlib.exercises.disk import RENAMES, SYNCS, Act, watched

OLD, NEW = "the old text\n" * 9, "the new text, é\n" * 90  # short enough to wait in Python's buffer


@exercise(difficulty=1, minutes=10)
def write_safely(attempt):
    """attempt(path, text): the file holds the old text or the new one, at any time."""
    with tempfile.TemporaryDirectory() as folder:
        path = old_file(folder)
        with watched() as acts:
            write_new(attempt, path)
        check_content(path)
        left = sorted(p.name for p in Path(folder).iterdir() if p != path)
        expect(not left, f"a temporary file is left behind: {left}")
        check_order(acts, path)
    for done, act in enumerate(acts):
        with tempfile.TemporaryDirectory() as folder:
            path = old_file(folder)
            with watched(cut_at=done):
                write_new(attempt, path)
            when = f"when the power is cut before {act.name} (call {done + 1} of {len(acts)}),"
            expect(
                path.exists(), f"{when} there is no file: os.replace takes its place, do not remove it first"
            )
            expect(content(path) in (OLD, NEW), f"{when} the file is neither old nor new")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.txt"
        try:
            attempt(path, NEW)
        except FileNotFoundError:
            expect(False, "it must also work when there is no old file")
        expect(path.exists() and content(path) == NEW, "it must also work when there is no old file")


def old_file(folder: str) -> Path:
    path = Path(folder) / "state.txt"
    path.write_text(OLD, encoding="utf-8")
    return path


def write_new(attempt, path: Path) -> None:
    """Call the attempt with a text that not every default encoding can write."""
    try:
        attempt(path, NEW)
    except UnicodeEncodeError as error:
        expect(False, f"{error.encoding} cannot write é: name the encoding, open(…, encoding='utf-8')")


def content(path: Path) -> str:
    """The file's text, also where Windows ended its lines."""
    return path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")


def check_content(path: Path) -> None:
    """Whether the file holds the new text, in UTF-8."""
    expect(path.exists(), "afterwards there is no file")
    raw = path.read_bytes().replace(b"\r\n", b"\n")
    for encoding in (locale.getpreferredencoding(False), "cp1252", "utf-16"):
        written = NEW.encode(encoding, errors="replace")
        message = f"the text is written in {encoding}: name the encoding, open(…, encoding='utf-8')"
        expect(raw != written or written == NEW.encode(), message)
    expect(content(path) != OLD, "afterwards the file still holds the old text")
    expect(content(path) == NEW, "afterwards the file must hold the new text")


def check_order(acts: list[Act], path: Path) -> None:
    """Whether a file below the same folder was forced to disk, whole, and then renamed."""
    renames = [act for act in acts if act.name in RENAMES]
    expect(renames, "the file is written in place: write under another name, then os.replace")
    last = renames[-1]
    beside = path.parent.resolve() in last.path.resolve().parents
    expect(
        beside, "the temporary file is in another folder: put it beside the file, rename cannot cross disks"
    )
    synced = [act for act in acts[: acts.index(last)] if act.name in SYNCS]
    expect(synced, "nothing was forced to disk before the rename: os.fsync(file.fileno())")
    synced = [act for act in synced if act.inode == last.inode]
    expect(synced, "the folder was forced to disk, the file was not: os.fsync(file.fileno())")
    expect(
        synced[-1].size == last.size,
        "fsync came before all was handed to the system: file.flush() first",
    )


class Run:
    """A run of four parts, with noise from a generator of its own."""

    def __init__(self, seed: int):
        self.rng = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(5, generator=self.rng)
        self.momentum = torch.zeros(5)
        self.step = 0

    def advance(self, steps: int = 1) -> None:
        """In each step noise and the step's own learning rate make the momentum, which moves the weight."""
        for _ in range(steps):
            noise = torch.randn(5, generator=self.rng)
            self.momentum.mul_(0.9).add_(self.weight + noise)
            self.weight.sub_(self.momentum / (10 + self.step))
            self.step += 1


@exercise(difficulty=2, minutes=15)
def snapshot(attempt):
    """attempt(run) -> {"weight", "momentum", "step", "rng"}, from which a new run goes on exactly."""
    torch.manual_seed(9)  # of the default generator, which is not the run's
    for seed, before, after in ((1, 3, 4), (2, 0, 2), (3, 7, 1)):
        run, twin = Run(seed), Run(seed)  # no snapshot is taken of the twin
        run.advance(before)
        twin.advance(before)
        state = attempt(run)
        expect(run.step == twin.step, "taking the snapshot moved the run on by a step")
        undisturbed = torch.equal(run.rng.get_state(), twin.rng.get_state())
        expect(undisturbed, "taking the snapshot drew from run.rng: the run goes on differently")
        check_state(state, twin, seed)
        run.advance(after)
        for name in ("weight", "momentum"):
            kept = torch.equal(state[name], getattr(twin, name))
            expect(kept, f"{name} in the snapshot changed when the old run went on: take a copy, clone()")
        resumed = continued(state)
        resumed.advance(after)
        expect(torch.equal(resumed.weight, run.weight), "the resumed run goes another way than the old one")


def check_state(state, run: Run, seed: int) -> None:
    """Whether a snapshot holds what a run has."""
    expect(isinstance(state, dict), f"return a dictionary, not {kind(state)}")
    missing = {"weight", "momentum", "step", "rng"} - state.keys()
    expect(not missing, f"the snapshot lacks {', '.join(sorted(missing))}")
    for name in ("weight", "momentum"):
        expect(torch.is_tensor(state[name]), f"{name} must be a tensor, not {kind(state[name])}")
        expect(state[name].dtype == torch.float32, f"{name} must keep its dtype, float32")
        expect(torch.equal(state[name], getattr(run, name)), f"{name} is not what the run had")
    expect(state["step"] == run.step, f"after {run.step} steps, step must be {run.step}, not {state['step']}")
    rng = state["rng"]
    is_state = torch.is_tensor(rng) and rng.dtype == torch.uint8
    expect(is_state, f"rng must be the generator's state, run.rng.get_state(), not {kind(rng)}")
    if torch.equal(rng, run.rng.get_state()):
        return
    expect(
        not torch.equal(rng, torch.get_rng_state()), "that is torch's default generator: run.rng is another"
    )
    seeded = torch.Generator().manual_seed(seed).get_state()
    expect(
        not torch.equal(rng, seeded), "that is the generator right after seeding: it has drawn numbers since"
    )
    expect(False, "rng is not the state of run.rng")


def continued(state: dict) -> Run:
    """A new run that goes on from a snapshot."""
    run = Run(seed=0)
    run.weight, run.momentum = state["weight"].clone(), state["momentum"].clone()
    run.step = state["step"]
    run.rng.set_state(state["rng"])
    return run


def finished(
    work, interval, cost, failures, *, shorter=True, last=True, loses="the piece", saving=True, exact=True
) -> float:
    """When `work` seconds of training are saved; the switches make the usual mistakes."""
    now, saved, rest = 0.0, 0.0, list(failures)
    while saved < work:
        piece = min(interval, work - saved) if shorter else interval
        end = now + piece + (cost if last or saved + piece < work else 0)
        counts = end if saving else now + piece
        if loses != "nothing" and rest and (rest[0] < counts or not exact and rest[0] == counts):
            now = rest.pop(0)
            saved = 0.0 if loses == "everything" else saved
        else:
            now, saved = end, saved + piece
    return now


@exercise(difficulty=3, minutes=30)
def finish_time(attempt):
    """attempt(work, interval, cost, failures) -> when all is trained and saved; a failure loses what is not saved."""
    rng = random.Random(0)
    cases = [
        (20, 10, 1, []),
        (25, 10, 1, []),
        (20, 10, 1, [15]),
        (20, 10, 1, [10.5]),
        (20, 10, 1, [11]),
        (20, 10, 0, [5, 9, 30]),
        (30, 10, 2, [1, 2, 3, 20, 30]),
        (10, 100, 3, []),
    ]
    for _ in range(20):
        moments = list(itertools.accumulate(rng.expovariate(1 / 40) for _ in range(60)))
        cases.append((rng.uniform(50, 100), rng.uniform(5, 15), rng.uniform(0, 3), moments))
    for case in cases:
        work, interval, cost, failures = case
        given = list(failures)
        found = number(attempt(work, interval, cost, given), "the finish time")
        expect(given == failures, "you changed the list of failures you were given")
        right = finished(*case)
        if close(found, right, 1e-9):
            continue
        listed = failures if len(failures) < 6 else "…"
        where = f"finish_time({work:.4g}, {interval:.4g}, {cost:.4g}, {listed}) is {right:.4g}, yours {found:.4g}: "
        mistakes = {
            "the last piece is saved, too: it costs as the others do": dict(last=False),
            "the last piece may be shorter than the interval": dict(shorter=False),
            "a failure loses the piece that is not saved yet": dict(loses="nothing"),
            "a failure exactly at the end of a save loses nothing": dict(exact=False),
            "a failure loses what was done since the save before, not everything": dict(loses="everything"),
            "a failure while saving loses the piece, too": dict(saving=False),
        }
        for message, switches in mistakes.items():
            expect(not close(found, finished(*case, **switches), 1e-9), where + message)
        expect(False, where + "train, save, and begin again at a failure before the save's end")
