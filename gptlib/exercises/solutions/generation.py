"""Solutions to the exercises of chapter 12, each after a line with its checker's name."""

import math

import torch

from gptlib.generation import generate
from gptlib.widgets.shipped_model import trained_model


# --- min_p_filter
def min_p_filter(logits, min_p):
    p = logits.softmax(dim=-1)
    return logits.masked_fill(p < min_p * p.amax(dim=-1, keepdim=True), -math.inf)


# --- speculative_rule
def speculative_rule(p, q):
    accept = torch.where(q > 0, p / q.clamp(min=1e-30), 1.0).clamp(max=1.0)
    missing = (p - q).clamp(min=0)
    return accept, missing / missing.sum() if missing.sum() > 0 else p


# --- refill_plan
def refill_plan(prompt, count, block_size, keep):
    plan, length, cached = [], prompt, 0
    for _ in range(count):
        new = length if not plan else 1
        if not plan:
            new = min(prompt, block_size)
        elif cached == block_size:
            new, cached = keep, 0
        plan.append((length - new, length))
        cached += new
        length += 1
    return plan


# --- surprise
def surprise(model, ids, prompt):
    idx = torch.tensor([ids])
    with torch.no_grad():
        log_p = model(idx[:, :-1])[0].log_softmax(dim=-1)  # row t is for token t + 1
    came = log_p.gather(-1, idx[0, 1:, None])[:, 0]
    return -came[prompt - 1 :].mean().item()


def experiment():
    trained = trained_model()
    opening, found = trained.tokenizer.encode("KING:\n"), {}
    for temperature in (0.0, 0.5, 1.0, 1.3):
        rng = torch.Generator().manual_seed(1)
        rows = generate(
            trained.model, torch.tensor([opening] * 4), 120, temperature=temperature, generator=rng
        )
        found[temperature] = sum(surprise(trained.model, row, len(opening)) for row in rows.tolist()) / 4
    # The higher the temperature, the more surprising. At 1 the model draws what it believes; were its
    # probabilities right, people's text would surprise it as much as its own. It does more: 1.42 against
    # about 1, so the model is too sure of itself.
    assert found[0.0] < found[1.0] < found[1.3]
    assert found[0.0] < 0.8 and found[1.0] < 1.25 and found[1.3] > 1.05
    return found
