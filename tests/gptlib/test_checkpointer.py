"""The best and the latest checkpoint of a run and their mirror, on full disks, and under killed writers."""

import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from small_run import CONFIG, MODEL, STATES, STRESS, TOKENIZER, checkpoint, flip, folders_in, hashes, trained

from gptlib.checkpoint import Checkpoint, CheckpointError, latest_checkpoint, load_checkpoint, save_checkpoint
from gptlib.checkpointer import Checkpointer

# --- which checkpoints are kept


def test_the_best_and_the_latest_are_kept(tmp_path):
    config = dataclasses.replace(CONFIG, max_steps=6, eval_interval=1, checkpoint_interval=2)
    plug = Checkpointer(tmp_path, MODEL, config, TOKENIZER)
    result, model = trained(config, plug)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == sorted({f"step_{result.best_step:06d}", "step_000006"})
    latest = load_checkpoint(latest_checkpoint(tmp_path))
    assert latest.state.step == 6 and latest.state.best_val_loss == result.best_val_loss
    assert all(
        torch.equal(p, q) for p, q in zip(latest.build_model().parameters(), model.parameters(), strict=True)
    )


def test_a_worse_later_step_does_not_drive_out_the_best(tmp_path):
    plug = Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER)
    for step, best, val_loss in [(1, 1, 2.0), (2, 2, 1.0), (3, 2, None), (5, 2, None)]:
        plug(dataclasses.replace(STATES[step], best_step=best), val_loss)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step_000002",
        "step_000005",
    ]


def test_what_killed_runs_left_is_cleared_away(tmp_path):
    plug, folders = Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER), tmp_path / "checkpoints"
    (folders / ".step_000004.123.tmp").mkdir(parents=True)
    plug(STATES[3], None)
    assert os.listdir(folders) == ["step_000003"]


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(tmp_path):
    """After falling back to an earlier one, a run comes to this step again and deletes the earlier one."""
    plug, folder = Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER), tmp_path / "checkpoints" / "step_000003"
    plug(STATES[3], None)
    flip(folder / "model.safetensors", 500)
    plug(STATES[3], None)
    assert load_checkpoint(folder).state.step == 3


def test_a_new_checkpoint_that_does_not_verify_drives_out_nothing(tmp_path, monkeypatch, caplog):
    plug, folders = Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER), tmp_path / "checkpoints"
    plug(STATES[2], None)

    def save_badly(folder, state):
        save_checkpoint(folder, state)
        flip(folder / "model.safetensors", 500)

    with monkeypatch.context() as patch:
        patch.setattr("gptlib.checkpointer.save_checkpoint", save_badly)
        plug(STATES[3], None)
    assert "step 3 failed, training goes on" in caplog.text and "model.safetensors is damaged" in caplog.text
    assert latest_checkpoint(tmp_path) == folders / "step_000002"
    plug(STATES[4], None)
    assert os.listdir(folders) == ["step_000004"]


# --- a disk that is full, then no longer


@pytest.fixture
def disk_limit():
    """limit(n): from now on no file may grow beyond n bytes; limit(None): any may."""
    resource = pytest.importorskip("resource", reason="this platform has no RLIMIT_FSIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)


@pytest.mark.parametrize("size", [100, 29_000, 33_000])  # the last: for all but one file
def test_a_full_disk_is_one_line_and_training_goes_on(tmp_path, caplog, disk_limit, size):
    config = dataclasses.replace(CONFIG, checkpoint_interval=2)
    plug, before = Checkpointer(tmp_path, MODEL, config, TOKENIZER), {}

    def on_a_full_disk(state, val_loss):
        if state.step == 4:
            before.update(hashes(tmp_path))
            disk_limit(size)
        plug(state, val_loss)
        disk_limit(None)
        if state.step == 4:
            assert hashes(tmp_path) == before
            assert load_checkpoint(latest_checkpoint(tmp_path)).state.step == 2

    result, _ = trained(config, on_a_full_disk)
    assert before and result.step == 6 and latest_checkpoint(tmp_path).name == "step_000006"
    (message,) = [r.getMessage() for r in caplog.records]
    needed = sum(t.nbytes for n, t in STATES[4].model.items() if n != "lm_head.weight")
    assert "step_000004 could not be written, which takes " in message and "File too large" in message
    written = int(message.partition("takes ")[2].partition(" bytes")[0].replace(",", ""))
    assert 1.5 * needed < written < 3.1 * needed and "\n" not in message


def test_a_file_in_the_folders_place_does_not_end_a_run(tmp_path, caplog):
    config = dataclasses.replace(CONFIG, checkpoint_interval=2)
    (tmp_path / "checkpoints").write_text("a regular file", encoding="utf-8")
    assert trained(config, Checkpointer(tmp_path, MODEL, config, TOKENIZER))[0].step == 6
    for step in (2, 4, 6):
        assert f"the checkpoint of step {step} failed, training goes on" in caplog.text
    assert (tmp_path / "checkpoints").read_text(encoding="utf-8") == "a regular file"
    with pytest.raises(CheckpointError, match="holds no valid checkpoint"):
        latest_checkpoint(tmp_path)


# --- the mirror


def test_the_mirror_holds_the_same(tmp_path):
    (drive := tmp_path / "drive").mkdir()
    config = dataclasses.replace(CONFIG, eval_interval=1, checkpoint_interval=2)
    trained(config, Checkpointer(tmp_path / "run", MODEL, config, TOKENIZER, mirror=drive))
    assert hashes(drive) == hashes(tmp_path / "run") and folders_in(drive)
    shutil.rmtree(tmp_path / "run")  # the machine is gone
    assert load_checkpoint(latest_checkpoint(tmp_path / "run", drive)).state.step == 6


def test_a_mirror_must_be_there_at_the_beginning(tmp_path):
    with pytest.raises(CheckpointError, match="mirror .*/drive is not a folder: mount the drive"):
        Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER, mirror=tmp_path / "drive")


def test_a_mirror_that_vanishes_is_a_warning(tmp_path, caplog):
    """Nothing is made in its place: below an empty mount point it would be lost with the machine."""
    (drive := tmp_path / "drive").mkdir()
    plug = Checkpointer(tmp_path / "run", MODEL, CONFIG, TOKENIZER, mirror=drive)
    plug(dataclasses.replace(STATES[1], best_step=1), 1.0)
    drive.rename(tmp_path / "unplugged")
    plug(dataclasses.replace(STATES[2], best_step=1), None)
    assert not drive.exists() and "the copy of step 2 failed, training goes on" in caplog.text
    assert latest_checkpoint(tmp_path / "run").name == "step_000002"
    (tmp_path / "unplugged").rename(drive)
    plug(dataclasses.replace(STATES[3], best_step=2), None)  # what was missed is made up for
    assert folders_in(drive) == folders_in(tmp_path / "run") == ["step_000002", "step_000003"]


def test_a_copy_that_differs_is_not_kept(tmp_path, caplog, monkeypatch):
    (drive := tmp_path / "drive").mkdir()
    plug, copyfile = Checkpointer(tmp_path / "run", MODEL, CONFIG, TOKENIZER, mirror=drive), shutil.copyfile
    plug(STATES[1], None)

    def copy_badly(source, target):
        copyfile(source, target)
        if source.name == "state.json":
            flip(target, 7)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", copy_badly)
        plug(STATES[2], None)
    assert "the copy of step 2 failed" in caplog.text and "state.json is damaged" in caplog.text
    assert latest_checkpoint(drive).name == "step_000001"
    plug(STATES[3], None)
    assert folders_in(drive) == ["step_000003"]


def test_a_mirror_that_is_full_for_a_while(tmp_path, caplog, monkeypatch):
    (drive := tmp_path / "drive").mkdir()
    plug, copyfile = Checkpointer(tmp_path / "run", MODEL, CONFIG, TOKENIZER, mirror=drive), shutil.copyfile
    plug(STATES[1], None)

    def copy_half(source, target):
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    def copy_into_what_room_there_is(source, target):
        assert len(folders_in(drive)) == 2  # the copy before and this one: what was left half-done is gone
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy_half)
    plug(STATES[2], None)
    assert "the copy of step 2 failed, training goes on" in caplog.text and "No space left" in caplog.text
    assert latest_checkpoint(drive).name == "step_000001"
    monkeypatch.setattr(shutil, "copyfile", copy_into_what_room_there_is)
    plug(STATES[3], None)
    assert folders_in(drive) == ["step_000003"] and hashes(drive) == hashes(tmp_path / "run")


def test_a_damaged_copy_is_replaced(tmp_path):
    (drive := tmp_path / "drive").mkdir()
    plug = Checkpointer(tmp_path / "run", MODEL, CONFIG, TOKENIZER, mirror=drive)
    plug(dataclasses.replace(STATES[1], best_step=1), 1.0)
    flip(drive / "checkpoints" / "step_000001" / "model.safetensors", 500)
    plug(dataclasses.replace(STATES[2], best_step=1), None)
    assert hashes(drive) == hashes(tmp_path / "run")
    for folder in (drive / "checkpoints").iterdir():
        load_checkpoint(folder)


def test_the_best_that_is_on_the_disk_stays_until_a_better_one_is(tmp_path, disk_limit):
    """The best step's own checkpoint could not be written: the best one before is kept instead."""
    plug = Checkpointer(tmp_path, MODEL, CONFIG, TOKENIZER)
    plug(dataclasses.replace(STATES[1], best_step=1), 1.0)
    disk_limit(100)
    plug(dataclasses.replace(STATES[2], best_step=2), 0.9)
    disk_limit(None)
    plug(dataclasses.replace(STATES[3], best_step=2), 1.1)
    assert folders_in(tmp_path) == ["step_000001", "step_000003"]
    plug(dataclasses.replace(STATES[4], best_step=4), 0.8)
    assert folders_in(tmp_path) == ["step_000004"]


# --- death by chance

needs_sigkill = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has neither fork nor SIGKILL"
)


# Forks writers that save one checkpoint after the other, and kills each at a random moment. Printed for each:
# the last step that it had acknowledged, and the step of the newest valid checkpoint (-1: none).
KILLED_AT_RANDOM = """
import dataclasses, hashlib, json, logging, os, random, shutil, signal, sys, time
from pathlib import Path
from gptlib.checkpoint import CheckpointError, latest_checkpoint, load_checkpoint, write_files
from gptlib.checkpointer import Checkpointer

place, source, kills, way = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
sound, dice = load_checkpoint(source), random.Random(5)
logging.disable()

def save_in_place(state):
    folder = place / "checkpoints" / "step_000000"
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, dataclasses.replace(sound, state=state))
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("[!m]*")}
    files["model.safetensors"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}), encoding="utf-8")

def write_for_ever(line):
    plug = Checkpointer(place, sound.model_config, sound.train_config, sound.tokenizer)
    for step in range(1, 1_000_000):
        model = {n: t + step for n, t in sound.state.model.items()}  # training changes every weight
        state = dataclasses.replace(sound.state, model=model, step=step, best_step=step - step % 3)
        save_in_place(state) if way == "in place" else plug(state, None)
        os.write(line, f"{step} ".encode())

for _ in range(kills):
    ours, its = os.pipe()
    writer = os.fork()
    if writer == 0:
        write_for_ever(its)
    os.close(its)
    acknowledged, begun = b"", dice.randint(1, 4)  # so many have been acknowledged, on a busy machine too
    while acknowledged.count(b" ") < begun:
        acknowledged += os.read(ours, 2)
    time.sleep(dice.uniform(0, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    while more := os.read(ours, 4096):
        acknowledged += more
    os.close(ours)
    try:
        found = load_checkpoint(latest_checkpoint(place)).state.step
    except CheckpointError:
        found = -1
    print(acknowledged.split()[-1].decode(), found)
    shutil.rmtree(place / "checkpoints")
"""


def killed_at_random(tmp_path, kills: int, way: str) -> list[tuple[int, int]]:
    save_checkpoint(tmp_path / "source", checkpoint())
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", KILLED_AT_RANDOM, tmp_path / "run", tmp_path / "source", str(kills), way]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(pairs) == kills
    return pairs


@needs_sigkill
@pytest.mark.stress
def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path):
    pairs = killed_at_random(tmp_path, 50 if STRESS else 12, "with care")
    assert all(acknowledged <= found <= acknowledged + 1 for acknowledged, found in pairs), pairs
    assert len({acknowledged for acknowledged, _ in pairs}) > 1  # the moments do differ


@pytest.mark.slow
@needs_sigkill
@pytest.mark.stress
def test_killed_while_saving_in_place_much_is_lost(tmp_path):
    """The negative control: the experiment can fail. How soon it does depends on how busy the machine is."""
    pairs = []
    for attempt in range(6):
        (tmp_path / str(attempt)).mkdir()
        pairs += killed_at_random(tmp_path / str(attempt), 50 if STRESS else 25, "in place")
        if sum(found < acknowledged for acknowledged, found in pairs) >= 3:
            return
    raise AssertionError(pairs)


# Kills a writer just before its n-th operation on files, for every n, while it saves and then deletes.
KILLED_AT_EVERY_MOMENT = """
import dataclasses, logging, os, shutil, signal, sys
from pathlib import Path
from gptlib.checkpoint import CheckpointError, latest_checkpoint, load_checkpoint, verify
from gptlib.checkpointer import Checkpointer

before, place, stride = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir"}
sound = load_checkpoint(before / "run" / "checkpoints" / "step_000002")
settings = sound.model_config, sound.train_config, sound.tokenizer
logging.disable()

def newest(folder):
    for path in (folder / "checkpoints").glob("step_*"):
        verify(path)  # whatever bears a checkpoint's name is whole
    return load_checkpoint(latest_checkpoint(folder)).state.step

def save_until(moment):
    seen = 0
    def count(event, arguments):
        nonlocal seen
        if event in OPERATIONS:
            seen += 1
            if seen > moment:
                os.kill(os.getpid(), signal.SIGKILL)
    plug = Checkpointer(place / "run", *settings, mirror=place / "mirror")
    sys.addaudithook(count)
    plug(dataclasses.replace(sound.state, step=3, best_step=3), 1.0)
    os._exit(0)

for moment in range(0, 10_000, stride):
    shutil.copytree(before, place)
    child = os.fork()
    if child == 0:
        save_until(moment)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, newest(place / "run"), newest(place / "mirror"))
    if status == 0:
        assert [len(list((place / which / "checkpoints").iterdir())) for which in ("run", "mirror")] == [1, 1]
        break
    Checkpointer(place / "run", *settings, mirror=place / "mirror")(
        dataclasses.replace(sound.state, step=4, best_step=4), 1.0
    )
    for which in ("run", "mirror"):  # the next one clears away what was left
        assert os.listdir(place / which / "checkpoints") == ["step_000004"], moment
    shutil.rmtree(place)
"""


@needs_sigkill
@pytest.mark.stress
def test_killed_before_any_operation_the_last_valid_one_stays(tmp_path):
    """While saving, copying to the mirror, and deleting the best and the latest of before."""
    for which in ("run", "mirror"):
        for step in (1, 2):
            state = dataclasses.replace(STATES[step], best_step=1)
            folder = tmp_path / "before" / which / "checkpoints" / f"step_00000{step}"
            save_checkpoint(folder, Checkpoint(state, MODEL, CONFIG, TOKENIZER))
    stride = 1 if STRESS else 5
    command = [
        sys.executable,
        "-c",
        KILLED_AT_EVERY_MOMENT,
        tmp_path / "before",
        tmp_path / "now",
        str(stride),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *killed, last = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert last == (0, 3, 3) and {status for status, _, _ in killed} == {-signal.SIGKILL}
    assert len(killed) * stride > 50
    found = [pair for _, *pair in killed]
    assert found == sorted(found) and found[0] == [2, 2] and found[-1] == [3, 3]  # forward only
