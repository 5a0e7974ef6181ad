"""Runs with and without clipping, or with one mistake, for chapter 10: `python -m tools.measure.curves`.

Writes data/runs/curves.json in about four minutes on one thread: under "clipping" the validation losses of
five seeds, under "diagnosis" the losses and gradient norms along the way, under "ladder" that of chapter 03.
"""

import json
import math

import torch

from gptlib.data import Batches
from gptlib.files import write_text
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import cross_entropy, evaluate, ladder
from gptlib.optimizer import SGD, clip_grad_norm, cosine_schedule, make_adamw, set_learning_rate
from tools.measure import DATA, characters

OUT = DATA / "runs" / "curves.json"
MODEL = GPTConfig(65, block_size=32, n_layer=2, n_head=4, n_embd=64)
BATCH, WARMUP, SEEDS = 8, 20, (1, 2, 3, 4, 5)
CLIPPING = {  # rate, optimizer, whether every 25th batch is broken
    "AdamW": (3e-3, "adamw", False),
    "AdamW, every 25th batch broken": (3e-3, "adamw", True),
    "AdamW, learning rate × 6": (1.8e-2, "adamw", False),
    "SGD with momentum, learning rate 1": (1.0, "sgd", False),
}
DIAGNOSIS = (
    "nothing",
    "targets not shifted",
    "targets of the next batch",
    "schedule ends at 60",
    "few characters",
)


def batch(batches: Batches, step: int, fault: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch of a step, x and y [B, T], with the fault."""
    x, y = batches.at(step)
    if fault == "every 25th" and step % 25 == 24:  # one character, and a wrong one that is said to follow it
        return torch.full_like(x, 1), torch.full_like(y, 60)
    if fault == "targets not shifted":
        return x, x
    if fault == "targets of the next batch":
        return x, batches.at(step + 1)[1]
    return x, y


def run(
    tokens, val_tokens, *, seed=1, steps, rate=3e-3, kind="adamw", fault="", clip=1.0, eval_interval=0
) -> dict:
    """One training: losses and norms of each step, validation losses at intervals and at the end."""
    model = GPT(MODEL, torch.Generator().manual_seed(seed))
    batches = Batches(tokens, BATCH, MODEL.block_size, seed)
    sgd = kind == "sgd"
    optimizer = SGD(model.parameters(), rate, momentum=0.9) if sgd else make_adamw(model, rate)
    ends, lowest = (60, 0.0) if fault == "schedule ends at 60" else (steps - 1, 0.1)
    found = {"train_loss": [], "grad_norm": [], "val_loss": []}
    for step in range(steps):
        share = cosine_schedule(step, max_lr=1.0, min_lr=lowest, warmup_steps=WARMUP, max_steps=ends)
        set_learning_rate(optimizer, share)
        x, y = batch(batches, step, fault)
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm(model.parameters(), clip or math.inf)
        optimizer.step()
        found["train_loss"].append([step + 1, number(loss.item(), 3)])
        found["grad_norm"].append([step + 1, number(norm.item(), 3)])
        if step + 1 == steps or (eval_interval and (step + 1) % eval_interval == 0):
            loss = evaluate(model, val_tokens, MODEL.block_size)
            found["val_loss"].append([step + 1, number(loss, 4)])
    return found


def number(value: float, digits: int) -> float | None:
    """Rounded; None, JSON's null, for what is not finite or above a million."""
    return round(value, digits) if math.isfinite(value) and value < 1e6 else None


def main() -> None:
    torch.set_num_threads(1)
    corpus, tokenizer, (tokens, val_tokens) = characters()
    rungs = {name: number(loss, 3) for name, loss in ladder(tokens, val_tokens, tokenizer.vocab_size).items()}
    curves = {
        "corpus": corpus.name,
        "torch": torch.__version__,
        "ladder": rungs,
        "clipping": {},
        "diagnosis": {},
    }
    for name, (rate, kind, broken) in CLIPPING.items():
        fault = "every 25th" if broken else ""
        for clip in (1.0, 0.0):
            runs = [
                run(tokens, val_tokens, seed=s, steps=200, rate=rate, kind=kind, fault=fault, clip=clip)
                for s in SEEDS
            ]
            row = {"val_loss": [r["val_loss"][-1][1] for r in runs]}
            row["largest_norm"] = [number(max(n or math.inf for _, n in r["grad_norm"]), 2) for r in runs]
            row["train_loss"] = [loss for _, loss in runs[0]["train_loss"]]  # of seed 1
            curves["clipping"].setdefault(name, {})["clipped" if clip else "not clipped"] = row
            print(f"{name:36} clip {clip:g} {row['val_loss']}", flush=True)
    for fault in DIAGNOSIS:
        few = tokens[:1000] if fault == "few characters" else tokens
        found = run(few, val_tokens, steps=300, fault=fault, eval_interval=20)
        curves["diagnosis"][fault] = {
            "train_loss": found["train_loss"][4::5],
            "grad_norm": found["grad_norm"][4::5],
            "val_loss": found["val_loss"],
        }
        print(f"{fault:36} {found['val_loss'][-1]}", flush=True)
    write_text(OUT, json.dumps(curves).replace('"val_loss"', '\n"val_loss"') + "\n")


if __name__ == "__main__":
    main()
