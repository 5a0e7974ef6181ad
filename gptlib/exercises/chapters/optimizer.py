"""The checkers of chapter 09. Each calls the reader's function on several settings and names the mistake."""

import math

import torch
from torch import nn

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, kind, number, parts
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


@exercise(difficulty=2, minutes=15)
def adamw_step(attempt):
    """attempt(w, g, m, v, n, lr, beta1, beta2, eps, weight_decay): one step of AdamW in place, n = 1, 2, …"""
    for shape, lr, betas, eps, decay, seed in (
        ((3,), 0.1, (0.9, 0.999), 1e-8, 0.0, 0),
        ((4, 2), 0.01, (0.8, 0.95), 1e-8, 0.5, 1),
        ((2, 3), 0.05, (0.9, 0.99), 0.1, 0.1, 2),
        ((5,), 0.02, (0.0, 0.9), 1e-3, 0.0, 3),
    ):
        generator = torch.Generator().manual_seed(seed)
        w = torch.randn(shape, generator=generator, dtype=torch.float64)
        m, v = torch.zeros_like(w), torch.zeros_like(w)
        p = w.clone().requires_grad_()
        reference = torch.optim.AdamW([p], lr=lr, betas=betas, eps=eps, weight_decay=decay)
        for n in range(1, 5):
            g = torch.randn(shape, generator=generator, dtype=torch.float64)
            before, given = (w.clone(), m.clone(), v.clone()), g.clone()
            attempt(w, given, m, v, n, lr, *betas, eps, decay)
            p.grad = g
            reference.step()
            expect(torch.equal(given, g), "you changed the gradient: decoupled decay leaves it alone")
            for name, old, new in zip("wmv", before, (w, m, v), strict=True):
                expect(
                    not torch.equal(new, old),
                    f"{name} did not change: work in place, with {name}.mul_(…) and so on",
                )
            check_means(m, v, before, g, n, betas, decay)
            check_step(w - before[0], before[0], m, v, n, lr, betas, eps, decay)
            expect_close(w, p.detach(), {}, f"w after step {n}: ")


def check_means(m, v, before, g, n, betas, decay) -> None:
    """Whether m and v are the running means of g and of its square."""
    w, old_m, old_v = before
    for name, found, old, beta, what in (("m", m, old_m, betas[0], g), ("v", v, old_v, betas[1], g * g)):
        right = beta * old + (1 - beta) * what
        with_decay = g + decay * w
        coupled = with_decay if name == "m" else with_decay**2
        mistakes = {
            "the decay went into the gradient (coupled): multiply w by 1 - lr · weight_decay instead": (
                beta * old + (1 - beta) * coupled
            ),
            "it lacks the factor 1 - beta, or keeps the corrected mean, which only the step uses": what,
            "the factor of the gradient is 1 - beta, not 1": beta * old + what,
            "it keeps the corrected mean, which only the step uses": right / (1 - beta**n),
            "old and new are exchanged: beta belongs to the old mean": (1 - beta) * old + beta * what,
            "it is the mean of g², not of |g|": beta * old + (1 - beta) * g.abs(),
        }
        expect_close(found, right, mistakes, f"{name} after step {n}: ")


def check_step(change, w, m, v, n, lr, betas, eps, decay) -> None:
    """Whether w moved by the step that belongs to the means m and v, and by its decay."""

    def step(corrections=n, root=torch.sqrt, eps_inside=0.0, eps_outside=eps):
        """The step without decay; with 0 corrections the means are used as they are."""
        m_hat = m / (1 - betas[0] ** corrections) if corrections else m
        v_hat = v / (1 - betas[1] ** corrections) if corrections else v
        return -lr * m_hat / (root(v_hat + eps_inside) + eps_outside)

    decayed = -lr * decay * w
    mistakes = {
        "m and v are used as they are: divide them by 1 - beta1ⁿ and 1 - beta2ⁿ": (
            step(corrections=0) + decayed
        ),
        "n counts from 1 already: the correction is 1 - betaⁿ, not 1 - betaⁿ⁺¹": (
            step(corrections=n + 1) + decayed
        ),
        "ε belongs outside the root: √v̂ + ε": step(eps_inside=eps, eps_outside=0.0) + decayed,
        "divide by the root of v̂, not by v̂": step(root=lambda x: x) + decayed,
        "the step goes uphill: subtract it": -step() + decayed,
        "the weight decay is missing": step(),
        "the decay must be scaled by the learning rate: 1 - lr · weight_decay": step() - decay * w,
        "the decay makes the weights larger: 1 - lr · weight_decay": step() - decayed,
    }
    expect_close(change, step() + decayed, mistakes, f"step {n}: ")


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
