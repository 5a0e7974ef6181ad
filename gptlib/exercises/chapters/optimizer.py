"""The checkers of chapter 09. Each calls the reader's function on several settings and names the mistake."""

import torch
from torch import nn

from gptlib.exercises import exercise, expect
from gptlib.gpt import GPT, GPTConfig


@exercise(difficulty=1, minutes=10)
def wsd_schedule(attempt):
    """attempt(step, max_lr, warmup_steps, decay_steps, max_steps) -> the rate of this step."""
    for max_lr, warmup, decay, end in (
        (1.0, 4, 5, 20),
        (3e-3, 1, 10, 50),
        (0.5, 10, 10, 20),
        (2.0, 7, 1, 30),
    ):

        def rate(step, settings=(max_lr, warmup, decay, end)):
            return attempt(step, *settings)

        run = f"max_lr={max_lr}, warmup_steps={warmup}, decay_steps={decay}, max_steps={end}"
        expect(rate(0) is not None, "return the rate")
        expect(
            rate(0) > 0,
            f"{run}: step 0 has the rate 0, so it would do nothing; it must have max_lr / warmup_steps",
        )
        for step in range(warmup):
            right = max_lr * (step + 1) / warmup
            expect(
                close(rate(step), right),
                f"{run}: step {step} of the warm-up must have {right:g}, yours has {rate(step):g}",
            )
        for step in range(warmup, end - decay + 1):
            expect(
                close(rate(step), max_lr), f"{run}: step {step} must have max_lr, yours has {rate(step):g}"
            )
        for step in range(end - decay + 1, end):
            right = max_lr * (end - step) / decay
            expect(
                close(rate(step), right),
                f"{run}: step {step} of the decay must have {right:g}, yours has {rate(step):g}",
            )
        expect(close(rate(end), 0), f"{run}: the rate at max_steps must be 0, yours is {rate(end):g}")
        expect(
            close(rate(end + 9), 0),
            f"{run}: after max_steps the rate must stay 0, yours is {rate(end + 9):g}",
        )


def close(a: float, b: float) -> bool:
    """Equal up to rounding, for rates of at most about 1."""
    return abs(a - b) <= 1e-9


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
            before, kept = w.clone(), g.clone()
            attempt(w, g, m, v, n, lr, *betas, eps, decay)
            p.grad = kept
            reference.step()
            expect(torch.equal(g, kept), "you changed the gradient: decoupled decay leaves it alone")
            expect(
                not torch.equal(w, before), "w did not change: work in place, with w.mul_(…) and w.sub_(…)"
            )
            state = reference.state[p]
            if (
                torch.allclose(w, p)
                and torch.allclose(m, state["exp_avg"])
                and torch.allclose(v, state["exp_avg_sq"])
            ):
                continue
            explain(n, w - before, before, m, v, kept, state, lr, betas, eps, decay)


def explain(n, change, before, m, v, g, state, lr, betas, eps, decay) -> None:
    """Name the mistake behind a wrong step n that began at weights `before`."""
    right_m, right_v = state["exp_avg"], state["exp_avg_sq"]
    coupled = g + decay * before
    expect(not (m == 0).all() and not (v == 0).all(), "m and v must change in place too")
    if n == 1 and decay and betas[0]:
        used = torch.allclose(m, (1 - betas[0]) * coupled) or torch.allclose(v, (1 - betas[1]) * coupled**2)
        expect(
            not used,
            "the decay went into the gradient (coupled): multiply w by 1 - lr · weight_decay instead",
        )
    expect(
        torch.allclose(m, right_m),
        f"m is wrong after step {n}: it must be beta1 · m + (1 - beta1) · g, without the correction",
    )
    expect(
        torch.allclose(v, right_v),
        f"v is wrong after step {n}: it must be beta2 · v + (1 - beta2) · g², without the correction",
    )
    correction = 1 - betas[0] ** n, 1 - betas[1] ** n
    m_hat, v_hat = right_m / correction[0], right_v / correction[1]
    step = change + lr * decay * before  # what is left of the change once the decay is taken out
    uncorrected = -lr * right_m / (right_v.sqrt() + eps)
    expect(
        not torch.allclose(step, uncorrected),
        f"step {n} uses m and v as they are: divide them by 1 - beta1ⁿ and 1 - beta2ⁿ",
    )
    late = (
        -lr
        * (right_m / (1 - betas[0] ** (n + 1) or 1))
        / ((right_v / (1 - betas[1] ** (n + 1))).sqrt() + eps)
    )
    expect(
        not torch.allclose(step, late),
        "n counts from 1 already: the correction is 1 - betaⁿ, not 1 - betaⁿ⁺¹",
    )
    expect(not torch.allclose(step, -lr * m_hat / (v_hat + eps).sqrt()), "ε belongs outside the root: √v̂ + ε")
    expect(not torch.allclose(step, -lr * m_hat / (v_hat + eps)), "divide by the root of v̂, not by v̂")
    expect(not torch.allclose(step, lr * m_hat / (v_hat.sqrt() + eps)), "the step goes uphill: subtract it")
    plain = -lr * m_hat / (v_hat.sqrt() + eps)
    expect(not torch.allclose(change, plain), "the weight decay is missing")
    expect(
        not torch.allclose(change, plain - decay * before),
        "the decay must be scaled by the learning rate: 1 - lr · weight_decay",
    )
    expect(False, f"step {n} is off by {(change - (plain - lr * decay * before)).abs().max().item():.3g}")


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
        groups = attempt(model, decay)
        expect(isinstance(groups, list) and len(groups) == 2, "return a list of two groups")
        for group in groups:
            expect(
                isinstance(group, dict) and set(group) == {"params", "weight_decay"},
                "a group is a dictionary with the keys params and weight_decay",
            )
            expect(
                isinstance(group["params"], list),
                "params must be a list: it is read more than once, and a generator is then empty",
            )
        rates = [group["weight_decay"] for group in groups]
        expect(
            rates == [decay, 0.0],
            f"the weight decays must be {decay} and then 0, yours are {rates[0]} and {rates[1]}",
        )
        check_groups(model, *(group["params"] for group in groups))


def check_groups(model, decaying, others) -> None:
    """Whether each parameter that learns is in the right group, once."""
    names = {id(p): name for name, p in model.named_parameters()}
    seen = [id(p) for p in decaying + others]
    for identity in seen:
        name = names.get(identity, "something that is no parameter of the model")
        expect(seen.count(identity) == 1, f"{name} is listed twice: it would be moved twice in each step")
    for p in decaying + others:
        name = names.get(id(p), "something that is no parameter of the model")
        expect(p.requires_grad, f"{name} is frozen (requires_grad is False): leave it out")
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        shape = list(p.shape)
        expect(id(p) in seen, f"{name} {shape} is in neither group, so it would never learn")
        in_decaying = any(p is q for q in decaying)
        expect(p.ndim >= 2 or not in_decaying, f"{name} {shape} is no matrix and must not decay")
        expect(p.ndim < 2 or in_decaying, f"{name} {shape} has {p.ndim} dimensions and must decay")
