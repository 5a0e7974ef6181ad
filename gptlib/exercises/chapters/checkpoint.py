"""The checkers of chapter 11. They pull the plug on the reader's function and look what is there."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from unittest import mock

import torch

from gptlib.exercises import exercise, expect

OLD, NEW = "the old text\n" * 9, "the new text, é\n" * 90  # short enough to wait in Python's buffer


class PowerCut(BaseException):
    """Ends the attempt, as a power cut would: no `except Exception` stops it."""


@exercise(difficulty=1, minutes=10)
def write_safely(attempt):
    """attempt(path, text): the file holds the old text or the new one, at any time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.txt"
        path.write_text(OLD, encoding="utf-8")
        acts = watched(attempt, path, cut_at=None)
        expect(path.exists() and content(path) == NEW, "afterwards the file must hold the new text")
        left = sorted(p.name for p in Path(folder).iterdir() if p != path)
        expect(not left, f"a temporary file is left behind: {left}")
        renames = [act for act in acts if act.name in ("replace", "rename")]
        expect(renames, "the file is written in place: write under another name, then os.replace")
        last = renames[-1]
        expect(
            last.source.parent == path.parent,
            "the temporary file is in another folder: put it beside the file, rename cannot cross disks",
        )
        synced = [act for act in acts[: acts.index(last)] if act.name == "fsync"]
        expect(synced, "nothing was forced to disk before the rename: os.fsync(file.fileno())")
        expect(
            synced[-1].size == len(NEW.encode()),
            "fsync came before all was handed to the system: file.flush() first",
        )
    for cut_at in range(len(acts)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.txt"
            path.write_text(OLD, encoding="utf-8")
            watched(attempt, path, cut_at)
            expect(path.exists(), f"cut off before {acts[cut_at].name} number {cut_at + 1}, the file is gone")
            expect(
                content(path) in (OLD, NEW),
                f"cut off before {acts[cut_at].name} number {cut_at + 1}, the file is neither old nor new",
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.txt"
        attempt(path, NEW)
        expect(path.exists() and content(path) == NEW, "it must also work when there is no old file")


def content(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")


class Act:
    """One call to the system: its name, the size of the file it forced to disk, the file it renamed."""

    def __init__(self, name, size=None, source=None):
        self.name, self.size, self.source = name, size, source


def watched(attempt, path: Path, cut_at: int | None) -> list[Act]:
    """Run the attempt, note what it asks of the system, and cut it off before act number `cut_at`."""
    acts, real = [], {name: getattr(os, name) for name in ("fsync", "replace", "rename", "remove", "unlink")}

    def watch(name):
        def call(*arguments, **options):
            if len(acts) == cut_at:
                raise PowerCut
            size = os.fstat(arguments[0]).st_size if name == "fsync" else None
            acts.append(Act(name, size, None if name == "fsync" else Path(arguments[0])))
            return real[name](*arguments, **options)

        return call

    with mock.patch.multiple(os, **{name: watch(name) for name in real}):
        try:
            attempt(path, NEW)
        except PowerCut:
            pass
    return acts


@exercise(difficulty=1, minutes=10)
def damaged_files(attempt):
    """attempt(folder) -> the sorted names in the manifest whose file is missing or has another SHA-256."""
    contents = {
        "b.bin": bytes(range(256)) * 300,
        "a.bin": b"\xff\xfe" + bytes(5000),
        "c.json": b'{"step": 1}',
        "empty": b"",
    }
    same_size = bytearray(contents["b.bin"])
    same_size[-1] ^= 1
    cases = {
        "nothing is damaged": ({}, []),
        "one bit near the end of b.bin is flipped": ({"b.bin": bytes(same_size)}, ["b.bin"]),
        "c.json is missing": ({"c.json": None}, ["c.json"]),
        "a.bin is cut": ({"a.bin": contents["a.bin"][:100]}, ["a.bin"]),
        "c.json, b.bin and empty are damaged": (
            {"c.json": b"{}", "b.bin": None, "empty": b"?"},
            ["b.bin", "c.json", "empty"],
        ),
        "a file that is not in the manifest lies there, too": ({"stranger": b"?"}, []),
    }
    for case, (changes, right) in cases.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            hashes = {name: hashlib.sha256(raw).hexdigest() for name, raw in contents.items()}
            (folder / "manifest.json").write_text(json.dumps({"files": hashes, "manifest": ""}))
            for name, raw in {**contents, **changes}.items():
                if raw is not None:
                    (folder / name).write_bytes(raw)
            try:
                found = attempt(folder)
            except FileNotFoundError as error:
                missing = Path(str(error.filename)).name
                expect(
                    False, f"{case}: your function raised FileNotFoundError for {missing}; list it instead"
                )
            except UnicodeDecodeError:
                expect(False, "a hash is made of bytes: read_bytes(), not read_text()")
            expect(isinstance(found, list), f"return a list, not {type(found).__name__}")
            expect(sorted(found) == right, f"{case}: expected {right}, yours is {sorted(found)}")
            expect(found == right, f"{case}: the names must be in alphabetical order")


class Run:
    """A run of four parts, with noise from its own dice."""

    def __init__(self, seed: int):
        self.dice = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(5, generator=self.dice)
        self.momentum = torch.zeros(5)
        self.step = 0

    def advance(self) -> None:
        """One step: noise and the step's own learning rate make the momentum, which moves the weight."""
        noise = torch.randn(5, generator=self.dice)
        self.momentum.mul_(0.9).add_(self.weight + noise)
        self.weight.sub_(self.momentum / (10 + self.step))
        self.step += 1


def continued(state: dict) -> Run:
    """A new run that goes on from a snapshot."""
    run = Run(seed=0)
    run.weight, run.momentum = state["weight"].clone(), state["momentum"].clone()
    run.step = state["step"]
    run.dice.set_state(state["dice"])
    return run


@exercise(difficulty=2, minutes=15)
def snapshot(attempt):
    """attempt(run) -> {"weight", "momentum", "step", "dice"}, from which a new run goes on exactly."""
    torch.manual_seed(1)  # not the run's dice
    for seed, before, after in ((1, 3, 4), (2, 0, 2), (3, 7, 1)):
        run = Run(seed)
        for _ in range(before):
            run.advance()
        twin = Run(seed)  # does the same without being looked at
        for _ in range(before):
            twin.advance()
        state = attempt(run)
        expect(isinstance(state, dict), f"return a dictionary, not {type(state).__name__}")
        missing = {"weight", "momentum", "step", "dice"} - state.keys()
        expect(not missing, f"the snapshot lacks {sorted(missing)}")
        undisturbed = torch.equal(run.dice.get_state(), twin.dice.get_state()) and run.step == twin.step
        expect(undisturbed, "taking the snapshot changed the run")
        for name in ("weight", "momentum"):
            expect(torch.is_tensor(state[name]), f"{name} must be a tensor")
            expect(torch.equal(state[name], getattr(twin, name)), f"{name} is not what the run had")
        expect(state["step"] == before, f"after {before} steps, step must be {before}, not {state['step']}")
        expect(
            torch.is_tensor(state["dice"]) and state["dice"].dtype == torch.uint8,
            "dice must be the generator's state: run.dice.get_state()",
        )
        expect(
            torch.equal(state["dice"], twin.dice.get_state()),
            "these are not the dice of the run as they are now: its own generator, after all it has drawn",
        )
        for _ in range(after):
            run.advance()
        for name in ("weight", "momentum"):
            expect(
                torch.equal(state[name], getattr(twin, name)),
                f"{name} in the snapshot changed when the old run went on: take a copy, clone()",
            )
        resumed = continued(state)
        for _ in range(after):
            resumed.advance()
        expect(torch.equal(resumed.weight, run.weight), "the resumed run goes another way than the old one")
