"""The checkers of chapter 09. Each calls the reader's function on several settings and names the mistake."""

import math

import torch
from torch import nn

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, kind, number, parts
from gptlib.gpt import GPT, GPTConfig


@exercise(difficulty=1, minutes=10)
def wsd_schedule(attempt):
    """attempt(step, max_lr, warmup_steps, decay_steps, max_steps) -> the rate of this step."""
    for max_lr, warmup, decay, end in (
        (0.5, 4, 5, 20),
        (3e-3, 1, 10, 50),
        (0.5, 10, 10, 20),
        (2.0, 7, 1, 30),
    ):
        steps = torch.arange(end + 10, dtype=torch.float64)
        rates = [number(attempt(step, max_lr, warmup, decay, end), "the rate") for step in range(end + 10)]
        found = torch.tensor(rates, dtype=torch.float64)
        rising, left = (steps + 1) / warmup, (end - steps) / decay

        def schedule(rising, left, max_lr=max_lr):
            return max_lr * torch.minimum(rising, left).clamp(0, 1)

        right = schedule(rising, left)
        ended = torch.where(steps < end, 1.0, 0.0)
        cosine = (1 - torch.cos(math.pi * left.clamp(0, 1))) / 2
        mistakes = {
            "step 0 has the rate 0, so it would do nothing: (step + 1) / warmup_steps": (
                schedule(steps / warmup, left)
            ),
            "the rate does not go down in the last decay_steps": schedule(rising, torch.ones_like(left)),
            "the rate drops to 0 at max_steps, without a straight line before": schedule(rising, ended),
            "the warm-up is missing: the rate rises during warmup_steps": (
                schedule(torch.ones_like(left), left)
            ),
            "the decay begins one step late": schedule(rising, left + 1 / decay),
            "the decay begins one step early": schedule(rising, left - 1 / decay),
            "the decay is a cosine and must be a straight line": schedule(rising, cosine),
            "after max_steps the rate is negative: it stays 0": (
                max_lr * torch.minimum(rising, left).clamp(max=1)
            ),
            "max_lr is left out: multiply by it": right / max_lr,
        }
        where = f"max_lr={max_lr}, warmup_steps={warmup}, decay_steps={decay}, max_steps={end}: "
        if close(found, right):
            continue
        for message, wrong in mistakes.items():
            expect(not close(found, wrong), where + message)
        at_end = rates[end] / max_lr
        expect(abs(at_end) < 1e-4, f"{where}the decay must reach 0 at max_steps, yours has {rates[end]:g}")
        step = int((found - right).abs().argmax())
        expect(False, f"{where}step {step} must have {right[step]:g}, yours has {rates[step]:g}")


class Tied(nn.Module):
    """A table used twice, a LayerNorm, a bias, a frozen matrix, and weights that are neither matrix nor vector."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)
        self.head.weight = self.table.weight
        self.norm, self.frozen = nn.LayerNorm(4), nn.Linear(4, 4)
        self.filter, self.gain = nn.Conv1d(4, 4, 3), nn.Parameter(torch.ones(()))
        self.frozen.requires_grad_(False)


@exercise(difficulty=2, minutes=10)
def decay_groups(attempt):
    """attempt(model, weight_decay) -> two groups for an optimizer: what decays, and what does not."""
    generator = torch.Generator().manual_seed(0)
    gpt = GPT(GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8), generator)
    for model, decay in ((gpt, 0.1), (Tied(), 0.3), (nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), 0.01)):
        groups = parts(attempt(model, decay), "the group that decays", "the group that does not")
        for group in groups:
            expect(isinstance(group, dict), f"a group is a dictionary, not {kind(group)}")
            keys = {"params", "weight_decay"}
            expect(set(group) == keys, f"a group has the keys params and weight_decay, yours {sorted(group)}")
            expect(
                isinstance(group["params"], list),
                f"params must be a list, not {kind(group['params'])}: it is read more than once",
            )
        first, second = (number(group["weight_decay"], "weight_decay") for group in groups)
        expect(
            close(first, decay),
            f"the first group must decay by {decay}, as was asked for, yours by {first:g}",
        )
        expect(second == 0, f"the second group must not decay, yours decays by {second:g}")
        check_groups(model, *(group["params"] for group in groups))


def check_groups(model, decaying: list, others: list) -> None:
    """Whether each parameter that learns is in the right group, once."""
    names = {id(p): name for name, p in model.named_parameters()}
    listed = decaying + others
    for p in listed:
        name = names.get(id(p), "something that is no parameter of the model")
        times = sum(q is p for q in listed)
        expect(times == 1, f"{name} is listed twice: it would be moved twice in each step")
        expect(p.requires_grad, f"{name} is frozen (requires_grad is False): leave it out")
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    decays = {name: any(p is q for q in decaying) for name, p in learning.items()}
    for name, p in learning.items():
        present = any(p is q for q in listed)
        expect(present, f"{name} {list(p.shape)} is in neither group, so it would never learn")
    exchanged = all(decays[name] == (p.ndim < 2) for name, p in learning.items())
    expect(not exchanged, "the groups are exchanged: the first one holds what decays")
    by_name = all(decays[name] == name.endswith("weight") for name in learning)
    vectors = [name for name, p in learning.items() if decays[name] and p.ndim < 2]
    if by_name and vectors:
        expect(False, f"{vectors[0]} decays for its name: go by p.ndim, LayerNorm has a weight, too")
    for name, p in learning.items():
        expect(p.ndim >= 2 or not decays[name], f"{name} {list(p.shape)} is a vector and must not decay")
        expect(p.ndim < 2 or decays[name], f"{name} {list(p.shape)} has {p.ndim} dimensions and must decay")
