"""Checkpoints: exact round trip, every damage a named error, nothing executed, nothing overwritten."""

import dataclasses
import hashlib
import json
import logging
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from small_run import (
    CONFIG,
    FILES,
    MODEL,
    STATES,
    STRESS,
    TOKENIZER,
    TOKENS,
    checkpoint,
    flip,
    hashes,
    states,
    trained,
)

from gptlib import files
from gptlib.checkpoint import (
    Checkpoint,
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from gptlib.gpt import GPT
from gptlib.tokenizer import BPETokenizer, CharTokenizer


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "step_000003", checkpoint())
    return tmp_path / "step_000003"


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
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    on_disk = hashes(folder)
    on_disk.pop("manifest.json")
    assert manifest["files"] == on_disk
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
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
from small_run import *
from test_checkpoint import *
from gptlib.training import train
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


@pytest.mark.slow
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
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    change(content)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    seal(folder)


def seal(folder):
    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.iterdir()
        if p.name != "manifest.json"
    }
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"files": files, "manifest": own}), encoding="utf-8")


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
    (tmp_path / "file").write_text("a regular file", encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"file/step_000001 could not be written, .* [\d,]+ bytes: .*File exists"
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


def test_steps_are_numbers(tmp_path):
    """As names, step_1000000 comes before step_999999."""
    for step in (999_999, 1_000_000):
        state = dataclasses.replace(STATES[3], step=step)
        save_checkpoint(
            tmp_path / "checkpoints" / f"step_{step:06d}", Checkpoint(state, MODEL, CONFIG, TOKENIZER)
        )
    (tmp_path / "checkpoints" / "step_notes").mkdir()  # somebody's own
    assert latest_checkpoint(tmp_path).name == "step_1000000"


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
    monkeypatch.setattr("gptlib.checkpoint.read_tensors", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder, **{**right, **wanted})
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_noticed_before_a_tensor_is_read(folder, monkeypatch):
    rewrite(folder, "config.json", lambda c: c["model"].update(n_layer=1))
    monkeypatch.setattr("gptlib.checkpoint.read_tensors", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError, match="12 tensors do not fit"):
        load_checkpoint(folder)


# --- what reaches the disk, and when


def test_everything_is_forced_to_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    acts, fsync, replace = [], files.fsync, os.replace
    monkeypatch.setattr(files, "fsync", lambda path: (acts.append(("force", path)), fsync(path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (acts.append(("rename", Path(a))), replace(a, b)))
    monkeypatch.setattr(
        CharTokenizer, "save", lambda self, path: path.write_text("{}", encoding="utf-8")
    )  # it renames, too
    folder = tmp_path / "step_000003"
    save_checkpoint(folder, checkpoint(3))
    *before, renamed, after = acts
    temporary = renamed[1]
    assert renamed[0] == "rename" and after == ("force", tmp_path)
    assert before[-1] == ("force", temporary)
    assert {path.name for _, path in before[:-1]} == set(os.listdir(folder))
    assert all(path.parent == temporary for _, path in before[:-1])


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
