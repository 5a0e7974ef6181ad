"""Checkpoints: exact round trip, every damage a named error, nothing executed, nothing overwritten."""

import copy
import dataclasses
import errno
import hashlib
import json
import logging
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import gptlib.checkpoint as checkpoint_module
from gptlib.checkpoint import (
    Checkpoint,
    Checkpointer,
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import BPETokenizer, CharTokenizer
from gptlib.training import TrainConfig, train

STRESS = bool(os.environ.get("GPTLIB_STRESS"))  # `make stress`: the tests marked so, at length

TOKENIZER = CharTokenizer("abcdefghijk")
MODEL = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16, dropout=0.2)
CONFIG = TrainConfig(
    max_steps=6, batch_size=4, warmup_steps=2, eval_interval=0, log_interval=1, optimizer="muon"
)
FILES = [
    "config.json",
    "manifest.json",
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
    "tokenizer.json",
]
TOKENS = torch.randint(0, 11, (300,), generator=torch.Generator().manual_seed(0))


def trained(config=CONFIG, checkpointer=None, start=None):
    model = GPT(MODEL, torch.Generator().manual_seed(0))
    return train(model, TOKENS, TOKENS, config, checkpointer=checkpointer, start=start), model


def states(config=CONFIG) -> dict:
    """The state after every step of a small run."""
    kept = {}
    every = dataclasses.replace(config, checkpoint_interval=1)
    trained(every, lambda state, val_loss: kept.update({state.step: copy.deepcopy(state)}))
    return kept


STATES = states()


def checkpoint(step=3, **changes) -> Checkpoint:
    return Checkpoint(dataclasses.replace(STATES[step], **changes), MODEL, CONFIG, TOKENIZER)


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "step_000003", checkpoint())
    return tmp_path / "step_000003"


def hashes(folder) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_equal_trees(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b) and a.dtype == b.dtype
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal_trees(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal_trees(x, y)
    else:
        assert a == b


# --- round trip


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_round_trip(tmp_path, optimizer):
    state = states(dataclasses.replace(CONFIG, optimizer=optimizer))[4]
    state.rng["cuda"] = torch.arange(16, dtype=torch.uint8)  # as a run in fp16 on a GPU has it
    state.scaler.update(scale=4096.0, growth_factor=2.0, growth_interval=2000, _growth_tracker=7)
    config = dataclasses.replace(CONFIG, optimizer=optimizer, betas=(0.8, 0.9))
    save_checkpoint(tmp_path / "c", Checkpoint(state, MODEL, config, TOKENIZER))
    again = load_checkpoint(tmp_path / "c")
    for field in dataclasses.fields(state):
        assert_equal_trees(getattr(state, field.name), getattr(again.state, field.name))
    assert (again.model_config, again.train_config) == (MODEL, config)
    assert again.tokenizer.fingerprint == TOKENIZER.fingerprint


def test_files_and_manifest(folder):
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(folder.parent) == ["step_000003"]  # no temporary folder is left
    manifest = json.loads((folder / "manifest.json").read_text())
    on_disk = hashes(folder)
    on_disk.pop("manifest.json")
    assert manifest["files"] == on_disk
    state = json.loads((folder / "state.json").read_text())
    assert state["step"] == 3


def test_the_tied_table_is_stored_once(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "wte.weight" in names and "lm_head.weight" not in names
    model = load_checkpoint(folder).build_model()
    assert model.lm_head.weight is model.wte.weight and not model.training
    assert torch.equal(model.wte.weight, STATES[3].model["lm_head.weight"])


def test_half_precision_weights_are_read_as_float32(tmp_path):
    half = {name: tensor.half() for name, tensor in STATES[3].model.items()}
    save_checkpoint(tmp_path / "half", checkpoint(model=half, optimizer=None))
    model = load_checkpoint(tmp_path / "half").build_model()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.h[0].mlp.c_fc.weight, half["h.0.mlp.c_fc.weight"].float())


def test_resuming_from_disk_is_bit_identical(tmp_path):
    whole, whole_model = trained()
    save_checkpoint(tmp_path / "c", checkpoint(2))
    torch.manual_seed(1234)
    resumed, resumed_model = trained(start=load_checkpoint(tmp_path / "c").state)
    assert [r["train_loss"] for r in resumed.records if "train_loss" in r] == [
        r["train_loss"] for r in whole.records if "train_loss" in r and r["step"] > 2
    ]
    assert all(
        torch.equal(p, q) for p, q in zip(whole_model.parameters(), resumed_model.parameters(), strict=True)
    )


PLAIN_OR_COMPILED = """
import sys; sys.path.insert(0, "tests/gptlib")
from pathlib import Path
from test_checkpoint import *
from gptlib.speed import CompiledStep

MODEL = dataclasses.replace(MODEL, dropout=0.0, n_layer=1)
torch.set_num_threads(1)
ways = {"plain": (lambda m: m, None), "compiled": (torch.compile, None), "step": (lambda m: m, CompiledStep)}


def run(way, **more):
    wrap, step_fn = ways[way]
    model = wrap(GPT(MODEL, torch.Generator().manual_seed(0)))
    config = dataclasses.replace(CONFIG, checkpoint_interval=3)
    result = train(model, TOKENS, TOKENS, config, step_fn=step_fn and step_fn(), **more)
    return [row["train_loss"] for row in result.records if "train_loss" in row]


def keep(way):
    def save(state, val_loss):
        if state.step == 3:
            save_checkpoint(Path(sys.argv[1]) / way, Checkpoint(state, MODEL, CONFIG, TOKENIZER))

    return save


whole = {way: run(way, checkpointer=keep(way)) for way in ways}
names = set()
for saved in ways:
    folder = Path(sys.argv[1]) / saved
    with safe_open(folder / "model.safetensors", "pt") as file:
        names.add(tuple(sorted(file.keys())))
    for resumed in ways:
        losses = run(resumed, start=load_checkpoint(folder).state)
        print(saved, resumed, max(abs(a - b) for a, b in zip(losses, whole["plain"][3:], strict=True)))
print(len(names), "wte.weight" in names.pop())
"""


@pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++")), reason="torch.compile needs a C++ compiler"
)
def test_saved_plain_or_compiled_the_names_are_the_same_and_each_loads_in_each(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "GPTLIB_CHECK_SHAPES"} | {"TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", PLAIN_OR_COMPILED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *pairs, last = done.stdout.splitlines()
    assert last == "1 True" and len(pairs) == 9
    assert all(float(line.split()[-1]) < 1e-5 for line in pairs), pairs


def test_a_checkpoint_for_reading_cannot_be_resumed(tmp_path):
    save_checkpoint(tmp_path / "c", checkpoint(optimizer=None))
    assert sorted(os.listdir(tmp_path / "c")) == [name for name in FILES if name != "optimizer.safetensors"]
    again = load_checkpoint(tmp_path / "c")
    assert again.state.optimizer is None
    again.build_model()(TOKENS[None, :8])
    with pytest.raises(ValueError, match="no optimizer state: it was saved for reading, not for resuming"):
        trained(start=again.state)


def test_any_tokenizer(tmp_path):
    tokenizer = BPETokenizer.train("abab cdcd", 258)
    model = dataclasses.replace(MODEL, vocab_size=258)
    state = dataclasses.replace(STATES[3], model=GPT(model).state_dict(), optimizer=None)
    save_checkpoint(tmp_path / "c", Checkpoint(state, model, CONFIG, tokenizer))
    assert load_checkpoint(tmp_path / "c").tokenizer.encode("abcd") == tokenizer.encode("abcd")


# --- damage


def flip(path, at, bit=0):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_flipped_bit_is_named(folder, name, share):
    size = (folder / name).stat().st_size
    flip(folder / name, int(size * share), bit=int(7 * share))
    with pytest.raises(CheckpointError, match=rf"{name}.*(damaged|checksum|missing)"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 10])
def test_a_truncated_file_is_named(folder, name, size):
    os.truncate(folder / name, size)
    with pytest.raises(CheckpointError, match=rf"{name}.*(damaged|checksum)"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} is missing"):
        load_checkpoint(folder)


def rewrite(folder, name, change):
    """Change a JSON file and make the manifest agree, as a well-meaning hand would."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    seal(folder)


def seal(folder):
    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.iterdir()
        if p.name != "manifest.json"
    }
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda c: c["model"].update(n_head=3), "n_embd=16 is not divisible by n_head=3"),
        ("config.json", lambda c: c["model"].update(colour=1), "colour"),
        ("config.json", lambda c: c.pop("train"), "train"),
        ("state.json", lambda s: s.pop("rng"), "rng"),
        ("tokenizer.json", lambda t: t.update(kind="word"), "'word'"),
        ("tokenizer.json", lambda t: t.update(characters="abc"), "vocab_size=11, its tokenizer 3"),
        ("config.json", lambda c: c["model"].update(n_layer=1), "12 tensors do not fit .* first is h.1.attn"),
        (
            "config.json",
            lambda c: c["model"].update(block_size=9),
            "1 tensors do not fit .* first is wpe.weight",
        ),
    ],
)
def test_files_that_do_not_fit_together(folder, name, change, message):
    rewrite(folder, name, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_pickle_under_any_name_does_not_run(folder, name, sealed, write, tmp_path):
    trace = tmp_path / "it ran"
    with open(folder / name, "wb") as file:
        write(Bomb(str(trace)), file)
    if sealed and name != "manifest.json":
        seal(folder)
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)
    assert not trace.exists()


# --- folders


def test_an_existing_folder_is_not_touched(folder):
    before = hashes(folder.parent)
    with pytest.raises(CheckpointError, match="exists already: nothing was overwritten"):
        save_checkpoint(folder, checkpoint(5))
    assert hashes(folder.parent) == before


def test_a_disk_that_refuses(tmp_path):
    (tmp_path / "file").write_text("a regular file")
    with pytest.raises(
        CheckpointError, match=r"file/step_000001 could not be written, .* [\d,]+ bytes: .*Not"
    ):
        save_checkpoint(tmp_path / "file" / "step_000001", checkpoint())
    assert hashes(tmp_path) == {"file": hashlib.sha256(b"a regular file").hexdigest()}


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CharTokenizer, "save", no_space)
    with pytest.raises(CheckpointError, match="step_000003 could not be written.*No space left"):
        save_checkpoint(tmp_path / "step_000003", checkpoint())
    assert os.listdir(tmp_path) == []


def test_no_folder(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is not a folder: check the path"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="manifest.json is missing"):
        load_checkpoint(tmp_path / "empty")


def test_latest_falls_back_to_the_newest_sound_one(tmp_path, caplog):
    for step in (1, 2, 4):
        save_checkpoint(tmp_path / "checkpoints" / f"step_{step:06d}", checkpoint(step))
    folders = tmp_path / "checkpoints"
    assert latest_checkpoint(tmp_path) == folders / "step_000004"
    flip(folders / "step_000004" / "optimizer.safetensors", 500)
    (folders / "step_000005").mkdir()
    with caplog.at_level(logging.WARNING, "gptlib.checkpoint"):
        assert latest_checkpoint(tmp_path) == folders / "step_000002"
    assert "step_000005" in caplog.text and "step_000004/optimizer.safetensors is damaged" in caplog.text
    for step in (1, 2):
        flip(folders / f"step_{step:06d}" / "state.json", 3)
    with pytest.raises(CheckpointError, match=r"no valid checkpoint \(4 tried\)"):
        latest_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"no valid checkpoint \(0 tried\)"):
        latest_checkpoint(tmp_path / "nowhere")


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
        patch.setattr("gptlib.checkpoint.save_checkpoint", save_badly)
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
    (tmp_path / "checkpoints").write_text("a regular file")
    assert trained(config, Checkpointer(tmp_path, MODEL, config, TOKENIZER))[0].step == 6
    for step in (2, 4, 6):
        assert f"the checkpoint of step {step} failed, training goes on" in caplog.text
    assert (tmp_path / "checkpoints").read_text() == "a regular file"
    with pytest.raises(CheckpointError, match="holds no checkpoint: none could be written"):
        Checkpointer.newest(tmp_path)


# --- another run's checkpoint


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"model_config": dataclasses.replace(MODEL, n_layer=3)}, "model.n_layer: 2 there, 3 here"),
        ({"model_config": dataclasses.replace(MODEL, vocab_size=12)}, "model.vocab_size: 11 there, 12 here"),
        (
            {
                "model_config": dataclasses.replace(MODEL, dropout=0.0),
                "train_config": dataclasses.replace(CONFIG, seed=2, betas=(0.9, 0.95)),
            },
            r"model.dropout: 0.2 there, 0.0 here; train.betas: \(0.9, 0.99\) there, .*; train.seed: 1 there",
        ),
        ({"tokenizer": CharTokenizer("abcdefghijl")}, "tokenizer: char .* there, char .* here"),
        ({"tokenizer": BPETokenizer.train("abab", 257)}, "tokenizer: char .* there, bpe .* here"),
    ],
)
def test_what_differs_is_listed_before_a_tensor_is_read(folder, wanted, message, monkeypatch):
    right = {"model_config": MODEL, "train_config": CONFIG, "tokenizer": TOKENIZER}
    assert load_checkpoint(folder, **right).state.step == 3
    monkeypatch.setattr("gptlib.checkpoint.load_file", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder, **{**right, **wanted})
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_noticed_before_a_tensor_is_read(folder, monkeypatch):
    rewrite(folder, "config.json", lambda c: c["model"].update(n_layer=1))
    monkeypatch.setattr("gptlib.checkpoint.load_file", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError, match="12 tensors do not fit"):
        load_checkpoint(folder)


# --- the mirror


def folders_in(place) -> list[str]:
    return sorted(path.name for path in (place / "checkpoints").iterdir())


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


def test_steps_are_numbers(tmp_path):
    """As names, step_1000000 comes before step_999999."""
    for step in (999_999, 1_000_000):
        state = dataclasses.replace(STATES[3], step=step)
        save_checkpoint(
            tmp_path / "checkpoints" / f"step_{step:06d}", Checkpoint(state, MODEL, CONFIG, TOKENIZER)
        )
    (tmp_path / "checkpoints" / "step_notes").mkdir()  # somebody's own
    assert latest_checkpoint(tmp_path).name == Checkpointer.newest(tmp_path).name == "step_1000000"


# --- what reaches the disk, and when


def test_everything_is_forced_to_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    acts, force, rename = [], checkpoint_module.force_to_disk, os.rename
    monkeypatch.setattr(
        checkpoint_module, "force_to_disk", lambda path: (acts.append(("force", path)), force(path))
    )
    monkeypatch.setattr(os, "rename", lambda a, b: (acts.append(("rename", Path(a))), rename(a, b)))
    folder = tmp_path / "step_000003"
    save_checkpoint(folder, checkpoint(3))
    *before, renamed, after = acts
    temporary = renamed[1]
    assert renamed[0] == "rename" and after == ("force", tmp_path)
    assert before[-1] == ("force", temporary)
    assert {path.name for _, path in before[:-1]} == set(os.listdir(folder))
    assert all(path.parent == temporary for _, path in before[:-1])


# --- damage and death by chance

needs_sigkill = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has neither fork nor SIGKILL"
)


@pytest.mark.stress
def test_no_random_damage_goes_unnoticed(tmp_path, caplog):
    """Single bit flips, then cuts: the error names the file, and a run falls back to the one before."""
    flips, cuts = (200, 100) if STRESS else (40, 20)
    older, newer = (tmp_path / "checkpoints" / f"step_00000{step}" for step in (2, 3))
    save_checkpoint(older, checkpoint(2))
    save_checkpoint(newer, checkpoint(3))
    dice, sizes = random.Random(3), {path: path.stat().st_size for path in sorted(newer.iterdir())}
    for i in range(flips + cuts):
        shares = sizes.values() if i % 2 else None  # every bit as likely as another, then every file
        path = dice.choices(list(sizes), weights=shares)[0]
        raw, at = path.read_bytes(), dice.randrange(sizes[path])
        if i < flips:
            flip(path, at, dice.randrange(8))
        else:
            os.truncate(path, at)
        with pytest.raises(CheckpointError, match=rf"step_000003/{path.name} is (damaged|missing)"):
            load_checkpoint(newer)
        caplog.clear()
        assert latest_checkpoint(tmp_path) == older and f"step_000003/{path.name}" in caplog.text
        path.write_bytes(raw)
    assert load_checkpoint(latest_checkpoint(tmp_path)).state.step == 3


# Forks writers that save one checkpoint after the other, and kills each at a random moment. Printed for each:
# the last step that it had acknowledged, and the step of the newest valid checkpoint (-1: none).
KILLED_AT_RANDOM = """
import dataclasses, hashlib, json, logging, os, random, shutil, signal, sys, time
from pathlib import Path
from gptlib.checkpoint import (
    Checkpoint, Checkpointer, CheckpointError, latest_checkpoint, load_checkpoint, write_files
)

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
    (folder / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}))

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
    acknowledged = os.read(ours, 2)  # the first: it has begun
    time.sleep(dice.uniform(0, 0.06))
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
from gptlib.checkpoint import Checkpointer, CheckpointError, latest_checkpoint, load_checkpoint, verify

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
