import dataclasses
import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import load_tokenizer
from gptlib.training import TrainConfig, TrainState

log = logging.getLogger("gptlib.checkpoint")


class CheckpointError(Exception):
    """A checkpoint that cannot be written, read or used; the message names the file and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds: the state of the run, the two configurations, the tokenizer."""

    state: TrainState
    model_config: GPTConfig
    train_config: TrainConfig
    tokenizer: object

    def build_model(self) -> GPT:
        """A GPT in eval mode, float32, with the stored weights."""
        model = GPT(self.model_config)
        model.load_state_dict({name: t.float() for name, t in self.state.model.items()})
        return model.eval()

def save_checkpoint(folder, state: Checkpoint) -> None:
    """Write `state` as the new folder `folder`, or leave nothing of that name behind.

    Everything is written into a folder of a temporary name, forced to disk, and renamed as the last act; the
    manifest with the SHA-256 of every file is written last. CheckpointError when the folder exists or the disk
    refuses.
    """
    folder = Path(folder)
    if folder.exists():
        raise CheckpointError(f"{folder} exists already: nothing was overwritten; choose another folder")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_files(temporary, state)
        hashes = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        manifest = {"files": hashes, "manifest": hash_of_manifest(hashes)}
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for path in temporary.iterdir():
            force_to_disk(path)
        force_to_disk(temporary)
        os.rename(temporary, folder)
        force_to_disk(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(f"{folder} could not be written: {error}") from error


def write_files(folder: Path, checkpoint: Checkpoint) -> None:
    """The checkpoint's files, without the manifest."""
    state = checkpoint.state
    weights = {n: t.detach().contiguous() for n, t in state.model.items() if n != "lm_head.weight"}  # tied to wte
    save_file(weights, folder / "model.safetensors")
    rest = dict(step=state.step, best_val_loss=state.best_val_loss, best_step=state.best_step, scaler=state.scaler)
    rest["rng"] = {name: t.tolist() for name, t in state.rng.items()}
    if state.optimizer is not None:
        tensors = {}
        rest["optimizer"] = take_tensors(state.optimizer, tensors, "")
        save_file(tensors, folder / "optimizer.safetensors")
    (folder / "state.json").write_text(json.dumps(rest))
    config = {"model": dataclasses.asdict(checkpoint.model_config), "train": dataclasses.asdict(checkpoint.train_config)}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    checkpoint.tokenizer.save(folder / "tokenizer.json")


def take_tensors(tree, tensors: dict, path: str):
    """`tree` with every tensor moved into `tensors` under its path, and the path in its place."""
    if isinstance(tree, torch.Tensor):
        tensors[path] = tree.detach().contiguous().clone()
        return {"tensor": path}
    if isinstance(tree, dict):
        return {"dict": [[k, take_tensors(v, tensors, f"{path}.{k}")] for k, v in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"list": [take_tensors(v, tensors, f"{path}.{i}") for i, v in enumerate(tree)]}
    return {"value": tree}


def put_tensors(tree: dict, tensors: dict):
    """The inverse of `take_tensors`."""
    (kind, value), = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {k: put_tensors(v, tensors) for k, v in value}
    if kind == "list":
        return [put_tensors(v, tensors) for v in value]
    return value


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hash_of_manifest(hashes: dict[str, str]) -> str:
    """SHA-256 over the manifest's own entries, so that a damaged manifest is noticed too."""
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def force_to_disk(path: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

def load_checkpoint(folder) -> Checkpoint:
    """Read a checkpoint after holding every file against the manifest. CheckpointError names what is wrong."""
    folder = Path(folder)
    verify(folder)
    try:
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.weight"] = weights["wte.weight"]
        rest = json.loads((folder / "state.json").read_text())
        optimizer = None
        if "optimizer" in rest:
            optimizer = put_tensors(rest["optimizer"], load_file(folder / "optimizer.safetensors"))
        rng = {name: torch.tensor(values, dtype=torch.uint8) for name, values in rest["rng"].items()}
        config = json.loads((folder / "config.json").read_text())
        config["train"]["betas"] = tuple(config["train"]["betas"])
        state = TrainState(
            rest["step"], weights, optimizer, rng, rest["scaler"], rest["best_val_loss"], rest["best_step"]
        )
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        checkpoint = Checkpoint(state, GPTConfig(**config["model"]), TrainConfig(**config["train"]), tokenizer)
        must_fit(checkpoint)
        return checkpoint
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error


def must_fit(checkpoint: Checkpoint) -> None:
    """ValueError unless weights, configuration and tokenizer belong to each other."""
    config, tokenizer = checkpoint.model_config, checkpoint.tokenizer
    if config.vocab_size != tokenizer.vocab_size:
        raise ValueError(f"the model has vocab_size={config.vocab_size}, its tokenizer {tokenizer.vocab_size}")
    with torch.device("meta"):  # shapes only, no memory
        expected = {name: t.shape for name, t in GPT(config).state_dict().items()}
    found = {name: t.shape for name, t in checkpoint.state.model.items()}
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        raise ValueError(f"{len(differing)} tensors do not fit config.json, the first is {differing[0]}")


def verify(folder: Path) -> None:
    """CheckpointError unless every file is there and has the SHA-256 that the manifest gives."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder: check the path, or list the run's checkpoints/ folder")
    path = folder / "manifest.json"
    if not path.exists():
        raise CheckpointError(f"{path} is missing: this is not a finished checkpoint")
    try:
        manifest = json.loads(path.read_text())
        hashes = manifest["files"]
        sound = manifest["manifest"] == hash_of_manifest(hashes)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise CheckpointError(f"{path} is damaged: its own checksum does not match")
    for name, expected in hashes.items():
        if not (folder / name).exists():
            raise CheckpointError(f"{folder / name} is missing")
        found = sha256_of(folder / name)
        if found != expected:
            raise CheckpointError(f"{folder / name} is damaged: SHA-256 {found[:12]}…, expected {expected[:12]}…")


def latest_checkpoint(run_folder) -> Path:
    """The newest checkpoint folder of a run that verifies; damaged ones are passed over with a logged warning."""
    candidates = sorted(Path(run_folder).glob("checkpoints/step_*"), reverse=True)
    for folder in candidates:
        try:
            verify(folder)
            return folder
        except CheckpointError as error:
            log.warning("passed over: %s", error)
    raise CheckpointError(f"{run_folder} holds no valid checkpoint ({len(candidates)} tried)")

class Checkpointer:
    """Plugs into `train(checkpointer=…)`: keeps the best and the latest checkpoint of a run."""

    def __init__(self, run_folder, model_config: GPTConfig, train_config: TrainConfig, tokenizer):
        self.folder = Path(run_folder) / "checkpoints"
        self.model_config, self.train_config, self.tokenizer = model_config, train_config, tokenizer

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of this step."""
        return self.folder / f"step_{step:06d}"

    def __call__(self, state: TrainState, val_loss: float | None) -> None:
        """Save unless this step is saved already, then delete all but the best and the latest."""
        path = self.path(state.step)
        if not path.exists():
            save_checkpoint(path, Checkpoint(state, self.model_config, self.train_config, self.tokenizer))
        keep = {path, self.path(state.best_step)}
        for old in self.folder.glob("step_*"):
            if old not in keep:
                shutil.rmtree(old)

    @staticmethod
    def newest(run_folder) -> Path:
        """The newest checkpoint folder of a run, by its step."""
        return max(Path(run_folder).glob("checkpoints/step_*"))
