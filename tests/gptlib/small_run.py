"""A small run, its states after every step, and what tests of checkpoints and runs do with files."""

import copy
import dataclasses
import hashlib
import os

import torch

from gptlib.checkpoint import Checkpoint
from gptlib.config import TrainConfig
from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.training import train

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


def trained(config=CONFIG, checkpointer=None, **plugs):
    """The result of a small run, and its model."""
    model = GPT(MODEL, torch.Generator().manual_seed(0))
    return train(model, TOKENS, TOKENS, config, checkpointer=checkpointer, **plugs), model


def states(config=CONFIG) -> dict:
    """The state after every step of a small run."""
    kept = {}
    every = dataclasses.replace(config, checkpoint_interval=1)
    trained(every, lambda state, val_loss: kept.update({state.step: copy.deepcopy(state)}))
    return kept


STATES = states()


def checkpoint(step=3, **changes) -> Checkpoint:
    return Checkpoint(dataclasses.replace(STATES[step], **changes), MODEL, CONFIG, TOKENIZER)


def hashes(folder) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def flip(path, at, bit=0):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


def folders_in(place) -> list[str]:
    return sorted(path.name for path in (place / "checkpoints").iterdir())
