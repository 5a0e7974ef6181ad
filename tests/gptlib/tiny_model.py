"""A GPT of some thousand weights, tokens for it, and the losses of its training."""

import dataclasses

import torch

from gptlib.gpt import GPT, GPTConfig

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)


def corpus(length=400, seed=0):
    return torch.randint(0, 11, (length,), generator=torch.Generator().manual_seed(seed))


def model(config=TINY, seed=0, **changes):
    return GPT(dataclasses.replace(config, **changes), torch.Generator().manual_seed(seed))


def losses(result) -> list[float]:
    return [record["train_loss"] for record in result.records if "train_loss" in record]
