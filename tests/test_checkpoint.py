"""Checkpoints: exact round trip, every damage a named error, nothing executed, nothing overwritten."""

import copy
import dataclasses
import hashlib
import json
import logging
import os
import pickle

import pytest
import torch
from safetensors import safe_open

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
    with pytest.raises(CheckpointError, match="could not be written"):
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
