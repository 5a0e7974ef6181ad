"""What chapter 13 shows of trained models: `python -m tools.measure.inspection PARTS`, about an hour in all.

`train` trains a small model with five seeds and writes data/checkpoints/char-growth.safetensors: the first
seed at log-spaced steps, the others at their end, in half precision. The other parts write theirs into
data/runs/inspection.json: `growth` (every recorded step of every seed), `seeds` (heads of the five small
models), `heads` and `patching` (the shipped model). `growth` needs the steps that `train` left in
`--scratch`.
"""

import contextlib
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS
from gptlib.files import write_text
from gptlib.gpt import GPT, GPTConfig
from gptlib.inspection import attention_patterns, attention_share, looked_at, position_baseline
from gptlib.intervention import (
    Site,
    ablation,
    edited,
    head_sites,
    paired,
    record,
    spread_windows,
    window_losses,
)
from gptlib.loss import NGram, evaluate
from gptlib.speed import make_step
from gptlib.training import train
from gptlib.widgets.shipped_model import GROWTH, growing_model, trained_model
from tools.measure import DATA, characters, command_line

OUT = DATA / "runs" / "inspection.json"
MODEL = GPTConfig(65, block_size=128, n_layer=3, n_head=4, n_embd=64)
SEEDS = (1, 2, 3, 4, 5)
STEPS = (0, 1, 2, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2000)
SHIPPED = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2000)  # of the first seed
HOWS = ("zero", "mean", "resampled")


def pair(estimate) -> list[float]:
    """An estimate as the file has it: mean and standard error."""
    return [round(value, 4) for value in estimate]


# --- train


def train_all(scratch: Path) -> None:
    """Five runs with the settings of `char-cpu`, and the file of the shipped steps."""
    scratch.mkdir(parents=True, exist_ok=True)
    _, tokenizer, tokens = characters()
    for seed in SEEDS:
        config = dataclasses.replace(PRESETS["char-cpu"].train, seed=seed, sample_interval=0)
        model = GPT(MODEL, torch.Generator().manual_seed(seed))
        kept = {0: snapshot(model)}

        def keep(step, model=model, kept=kept):
            if step in STEPS:
                kept[step] = snapshot(model)

        step_fn = make_step("fused", torch.device("cpu"))
        with contextlib.redirect_stderr(io.StringIO()):
            result = train(model, *tokens, config, step_fn=step_fn, optimizer_fn=batched_optimizer, stop=keep)
        print(f"seed {seed}: {result.val_loss:.4f} after {result.seconds:.0f} s", flush=True)
        torch.save(kept, scratch / f"seed{seed}.pt")
    ship(scratch, tokenizer)


def snapshot(model: GPT) -> dict[str, torch.Tensor]:
    """A copy of the weights; the tied table once."""
    return {name: p.clone() for name, p in model.state_dict().items() if name != "lm_head.weight"}


def ship(scratch: Path, tokenizer) -> None:
    """The shipped steps in one file: each parameter of all of them as one tensor, in half precision."""
    runs = [(1, step) for step in SHIPPED] + [(seed, STEPS[-1]) for seed in SEEDS[1:]]
    states = {seed: torch.load(scratch / f"seed{seed}.pt") for seed in SEEDS}
    names = [name for name in states[1][0] if name != "lm_head.weight"]
    stacked = {name: torch.stack([states[seed][step][name] for seed, step in runs]).half() for name in names}
    metadata = {
        "runs": json.dumps(runs),
        "model": json.dumps(dataclasses.asdict(MODEL)),
        "characters": json.dumps(tokenizer.decode(list(range(tokenizer.vocab_size)))),
    }
    save_file(stacked, GROWTH, metadata)


# --- growth


def model_of(state: dict) -> GPT:
    """The small model with these weights."""
    model = GPT(MODEL)
    model.load_state_dict(state, strict=False)  # lm_head.weight is wte.weight
    return model.eval()


def growth(scratch: Path) -> dict:
    """Losses, distances to tables, and what the heads look at, for every recorded step of every seed."""
    _, tokenizer, (train_tokens, val_tokens) = characters()
    windows, others = spread_windows(val_tokens, 64, 128), spread_windows(train_tokens, 64, 128)[:, :-1]
    tables = {order: NGram(order).fit(train_tokens.numpy(), 65) for order in range(6)}
    few = windows[:8]
    guesses = {
        order: torch.stack([table_guesses(table, row) for row in few]) for order, table in tables.items()
    }
    found = {
        "model": dataclasses.asdict(MODEL),
        "steps": STEPS,
        "tables": {str(order): round(table.loss(val_tokens.numpy()), 4) for order, table in tables.items()},
        "seeds": {},
    }
    marks = looked_at([tokenizer.decode(row) for row in windows[:16, :-1].tolist()])
    sites = [Site("attn", layer) for layer in range(MODEL.n_layer)]
    for seed in SEEDS:
        rows = []
        for state in torch.load(scratch / f"seed{seed}.pt").values():
            model = model_of(state)
            reference = record(model, others, sites)
            base = window_losses(model, windows)
            with edited(model, {site: ablation("mean", reference[site]) for site in sites}):
                without = window_losses(model, windows)
            with torch.no_grad():
                log_p = model(few[:, :-1]).log_softmax(dim=-1).double()
            weights = attention_patterns(model, windows[:16, :-1])
            best = {look: shares(weights, mark)[0].mean(dim=-2).max().item() for look, mark in marks.items()}
            rows.append(
                {
                    "val_loss": round(evaluate(model, val_tokens, 128), 4),
                    "windows": round(base.mean().item(), 4),
                    "without attention": pair(paired(without, base)),
                    "distance": {
                        str(order): round((log_p.exp() * (log_p - guess)).sum(-1).mean().item(), 3)
                        for order, guess in guesses.items()
                    },
                    "looks": {look: round(share, 3) for look, share in best.items()},
                }
            )
        found["seeds"][str(seed)] = rows
        print(seed, rows[-1], flush=True)
    return found


def table_guesses(table: NGram, row: torch.Tensor) -> torch.Tensor:
    """ln p of every character after each position of a window: [T, vocab]."""
    ids = row.tolist()
    rows = [table.probabilities(ids[max(0, t - 8) : t + 1]) for t in range(len(ids) - 1)]
    return torch.from_numpy(np.stack(rows)).double().log()


# --- heads


def shares(weights, marks) -> tuple:
    """What the heads give to marked places, and their position baseline, in the texts that have one."""
    has = marks.flatten(1).any(dim=1)
    weights, marks = weights[:, has], marks[has]
    return attention_share(weights, marks), position_baseline(weights, marks)


def head_table(model, tokenizer, windows, others, texts: int) -> dict:
    """For each head what it looks at, beside its position baseline, and what it is worth, three ways."""
    sites = head_sites(model)
    reference = record(model, others, sites)
    base = window_losses(model, windows)
    idx = windows[:texts, :-1]
    weights = attention_patterns(model, idx)
    marks = looked_at([tokenizer.decode(row) for row in idx.tolist()])
    seen = {look: shares(weights, mark) for look, mark in marks.items()}
    found = {"loss": pair((base.mean().item(), base.std().item() / math.sqrt(len(base))))}
    for site in sites:
        worth = {}
        for how in HOWS:
            with edited(model, {site: ablation(how, reference[site])}):
                worth[how] = pair(paired(window_losses(model, windows), base))
        looks = {}
        for look, (share, baseline) in seen.items():
            own, other = share[site.layer, :, site.head], baseline[site.layer, :, site.head]
            looks[look] = {"share": pair(paired(own, 0 * own)), "over position": pair(paired(own, other))}
        found[str(site)] = {"worth": worth, "looks": looks}
        print(site, worth, flush=True)
    return found


def seeds_heads() -> dict:
    """The heads of the five small models."""
    _, tokenizer, (train_tokens, val_tokens) = characters()
    windows, others = spread_windows(val_tokens, 64, 128), spread_windows(train_tokens, 64, 128)[:, :-1]
    models = growing_model()
    return {str(seed): head_table(models[seed, 2000].model, tokenizer, windows, others, 32) for seed in SEEDS}


def shipped_heads() -> dict:
    """The heads of the shipped model one by one, some together, and more and more of them."""
    _, tokenizer, (train_tokens, val_tokens) = characters()
    model = trained_model().model
    windows, chosen_on = spread_windows(val_tokens, 32, 256), spread_windows(train_tokens, 32, 256)
    found = head_table(model, tokenizer, windows, chosen_on[:, :-1], 16)
    sites = head_sites(model)
    reference = record(model, chosen_on[:, :-1], sites)
    base, base_chosen = window_losses(model, windows), window_losses(model, chosen_on)

    def cost(cut, rows=windows, base=base):
        edits = {site: ablation("mean", reference[site]) for site in cut}
        with edited(model, edits):
            return paired(window_losses(model, rows), base)

    back = [s for s in sites if found[str(s)]["looks"]["1 back"]["share"][0] > 0.5 and s.layer == 0]
    same = [s for s in sites if found[str(s)]["looks"]["same letter"]["over position"][0] > 0.2]
    groups = {f"{n} of those that look one back": back[:n] for n in range(1, len(back) + 1)}
    groups["those that look at the same letter"] = same
    rng = torch.Generator().manual_seed(1)
    rest = [site for site in sites if site not in back + same]
    for n in range(1, 6):
        order = torch.randperm(len(rest), generator=rng)[: len(back)].tolist()
        groups[f"as many others, draw {n}"] = [rest[i] for i in order]
    found["together"] = {
        name: {"heads": list(map(str, cut)), "cost": pair(cost(cut))} for name, cut in groups.items()
    }
    on_training = {site: cost([site], chosen_on, base_chosen).mean for site in sites}
    ranked = sorted(sites, key=on_training.get)
    found["ranked"] = [
        {"head": str(site), "cost": pair(cost(ranked[: n + 1]))} for n, site in enumerate(ranked)
    ]
    print(found["together"], found["ranked"], flush=True)
    return found


# --- patching


def line_pairs(text: str, tokenizer, count: int) -> list[tuple]:
    """Passages of two lines, the second with its capital and without it, and where that letter stands."""
    lines, pairs, place = text.split("\n"), [], 0
    while len(pairs) < count and place + 2 < len(lines):
        first, second, third = lines[place : place + 3]
        place += 37
        if not (first[:1].isupper() and second[:1].isupper() and third[:1].isalpha()):
            continue
        if first.endswith(":") or not 60 <= len(first) + len(second) <= 100:
            continue
        small = second[0].lower() + second[1:]
        ids = [torch.tensor([tokenizer.encode(f"{first}\n{line}\n")]) for line in (second, small)]
        pairs.append((*ids, len(first) + 1))
    return pairs


def case_metric(tokenizer):
    """ln of p(a capital) over p(a small letter) for what comes after the last position."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    small, capital = (torch.tensor(tokenizer.encode(case)) for case in (letters, letters.upper()))

    def metric(logits):
        log_p = logits[:, -1].log_softmax(dim=-1)
        return log_p[:, capital].logsumexp(dim=-1) - log_p[:, small].logsumexp(dim=-1)

    return metric


@torch.no_grad()
def three_patches(net, clean, corrupt, place: int, metric, site: Site) -> torch.Tensor:
    """What it adds to the metric to patch the letter, all positions after it but the last, the last: [3]."""
    source = record(net, clean, [site])[site][0]

    def edit(x):  # [3, T, size]
        patched = x.clone()
        for row, part in enumerate((slice(place, place + 1), slice(place + 1, -1), slice(-1, None))):
            patched[row, part] = source[part]
        return patched

    with edited(net, {site: edit}):
        after = metric(net(corrupt.expand(3, -1)))
    return after - metric(net(corrupt))


def shipped_patching() -> dict:
    """Where a capital at the line's start is kept until the next line begins: by layer, in three places."""
    corpus, tokenizer, (train_tokens, _) = characters()
    model = trained_model().model
    untrained = GPT(model.config, torch.Generator().manual_seed(1)).eval()
    metric = case_metric(tokenizer)
    text = corpus.text[len(train_tokens) :]
    pairs = line_pairs(text, tokenizer, 16)
    found = {"pairs": len(pairs)}
    for name, net in (("char-gpu-best", model), ("untrained", untrained)):
        sites = [Site("stream", layer) for layer in range(net.config.n_layer + 1)]
        totals, maps = [], []
        for clean, corrupt, place in pairs:
            with torch.no_grad():
                totals.append((metric(net(clean)) - metric(net(corrupt))).item())
            maps.append(
                torch.stack(
                    [three_patches(net, clean, corrupt, place, metric, site) for site in sites], dim=1
                )
            )
        totals, maps = torch.tensor(totals), torch.stack(maps)  # [pairs], [pairs, 3, sites]
        found[name] = {
            "total": pair(paired(totals, 0 * totals)),
            "places": ["the letter", "between", "the last line break"],
            "effect": [
                [pair(paired(column, 0 * column)) for column in place.T] for place in maps.transpose(0, 1)
            ],
        }
        print(name, found[name], flush=True)
    return found


def main() -> None:
    parser = command_line(__doc__)
    parts = ["train", "growth", "seeds", "heads", "patching"]
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--scratch", type=Path, default=Path("build/growth"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if "train" in args.parts:
        train_all(args.scratch)
    measured = {
        "growth": lambda: growth(args.scratch),
        "seeds": seeds_heads,
        "heads": shipped_heads,
        "patching": shipped_patching,
    }
    for part, measure in measured.items():
        if part in args.parts:
            found = measure()
            stored = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
            stored |= {"corpus": characters()[0].name, "torch": torch.__version__, part: found}
            write_text(OUT, json.dumps(stored, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
