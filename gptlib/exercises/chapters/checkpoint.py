"""The checkers of chapter 11. They cut the power on the reader's function and look at what is there."""

import hashlib
import json
import locale
import tempfile
from pathlib import Path

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, kind
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
    for number, act in enumerate(acts):
        with tempfile.TemporaryDirectory() as folder:
            path = old_file(folder)
            with watched(cut_at=number):
                write_new(attempt, path)
            when = f"when the power is cut before {act.name} (call {number + 1} of {len(acts)}),"
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


@exercise(difficulty=1, minutes=10)
def damaged_files(attempt):
    """attempt(folder) -> the sorted names in the manifest whose file is missing or has another SHA-256."""
    contents = {
        "b.bin": bytes(range(256)) * 300,
        "a.bin": b"\xff\xfe" + bytes(5000),
        "c.json": b'{"step": 1}',
        "empty": b"",
    }
    flipped = bytearray(contents["b.bin"])
    flipped[-1] ^= 1
    three = {"c.json": b"{}", "b.bin": None, "empty": b"?"}
    for case, changes, right, hint in (
        ("nothing is damaged", {}, [], "hash all bytes of each file"),
        (
            "the last bit of b.bin is flipped",
            {"b.bin": bytes(flipped)},
            ["b.bin"],
            "compare hashes, not sizes",
        ),
        ("c.json is missing", {"c.json": None}, ["c.json"], "a missing file is damaged, too"),
        ("a.bin is cut short", {"a.bin": contents["a.bin"][:100]}, ["a.bin"], "compare the hashes"),
        ("three are damaged", three, ["b.bin", "c.json", "empty"], "list all of them, not only the first"),
        ("a stranger lies there", {"stranger": b"?"}, [], "go by the names in the manifest"),
    ):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            hashes = {name: hashlib.sha256(raw).hexdigest() for name, raw in contents.items()}
            manifest = json.dumps({"files": hashes, "manifest": ""})
            (folder / "manifest.json").write_text(manifest, encoding="utf-8")
            for name, raw in {**contents, **changes}.items():
                if raw is not None:
                    (folder / name).write_bytes(raw)
            found = names_of_damaged(attempt, folder, case)
        expect(found == right or sorted(found) != right, f"{case}: the names must be in alphabetical order")
        expect(found == right, f"{case}, and yours lists {found}: {hint}")


def names_of_damaged(attempt, folder: Path, case: str) -> list:
    """What the attempt returns for a folder; the errors of two usual mistakes are named."""
    try:
        return as_list(attempt(folder), "a list of names")
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        expect(False, f"{case}: your function raised FileNotFoundError for {missing}; list it instead")
    except UnicodeDecodeError:
        expect(False, "a hash is made of bytes: read_bytes(), not read_text()")


class Run:
    """A run of four parts, with noise from a generator of its own."""

    def __init__(self, seed: int):
        self.dice = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(5, generator=self.dice)
        self.momentum = torch.zeros(5)
        self.step = 0

    def advance(self, steps: int = 1) -> None:
        """In each step noise and the step's own learning rate make the momentum, which moves the weight."""
        for _ in range(steps):
            noise = torch.randn(5, generator=self.dice)
            self.momentum.mul_(0.9).add_(self.weight + noise)
            self.weight.sub_(self.momentum / (10 + self.step))
            self.step += 1


@exercise(difficulty=2, minutes=15)
def snapshot(attempt):
    """attempt(run) -> {"weight", "momentum", "step", "dice"}, from which a new run goes on exactly."""
    torch.manual_seed(9)  # of the default generator, which is not the run's
    for seed, before, after in ((1, 3, 4), (2, 0, 2), (3, 7, 1)):
        run, twin = Run(seed), Run(seed)  # no snapshot is taken of the twin
        run.advance(before)
        twin.advance(before)
        state = attempt(run)
        expect(run.step == twin.step, "taking the snapshot moved the run on by a step")
        undisturbed = torch.equal(run.dice.get_state(), twin.dice.get_state())
        expect(undisturbed, "taking the snapshot drew from run.dice: the run goes on differently")
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
    missing = {"weight", "momentum", "step", "dice"} - state.keys()
    expect(not missing, f"the snapshot lacks {', '.join(sorted(missing))}")
    for name in ("weight", "momentum"):
        expect(torch.is_tensor(state[name]), f"{name} must be a tensor, not {kind(state[name])}")
        expect(state[name].dtype == torch.float32, f"{name} must keep its dtype, float32")
        expect(torch.equal(state[name], getattr(run, name)), f"{name} is not what the run had")
    expect(state["step"] == run.step, f"after {run.step} steps, step must be {run.step}, not {state['step']}")
    dice = state["dice"]
    is_state = torch.is_tensor(dice) and dice.dtype == torch.uint8
    expect(is_state, f"dice must be the generator's state, run.dice.get_state(), not {kind(dice)}")
    if torch.equal(dice, run.dice.get_state()):
        return
    expect(
        not torch.equal(dice, torch.get_rng_state()), "that is torch's default generator: run.dice is another"
    )
    seeded = torch.Generator().manual_seed(seed).get_state()
    expect(
        not torch.equal(dice, seeded), "that is the generator right after seeding: it has drawn numbers since"
    )
    expect(False, "dice is not the state of run.dice")


def continued(state: dict) -> Run:
    """A new run that goes on from a snapshot."""
    run = Run(seed=0)
    run.weight, run.momentum = state["weight"].clone(), state["momentum"].clone()
    run.step = state["step"]
    run.dice.set_state(state["dice"])
    return run
