"""The board of chapter 16: one change at a time, on tenths of the training text.

`python -m tools.measure.since OUT [--parts board more …] [--limit-s S]`

One process per GPU; they share the list of work. Each appends a line to OUT/since-gpuN.jsonl after every
run. What is recorded there is not run again, and after --limit-s seconds no new run begins. The validation
split is looked at in `tested` alone: all others train without one tenth of the training text and are
evaluated on that tenth.

board       the base, each change by itself, the full set, the full set without one: three pairs of seed
            and tenth
more        of the same: two more pairs where the effect exceeds its deviation; all again in equal seconds
candidates  settings of the preset at its full length, on two tenths
third       the same on a third one
again       a second choice, after the first one had been evaluated: five candidates on all five tenths;
            the lowest mean is the preset
tested      RoPE alone, trained as char-gpu-best is, on the whole training text: the validation split, five
            seeds. Not a choice, as it was run after the preset's own five seeds were known
speakers    why the choice did not hold: five settings on two tenths where about as many speeches as in the
            validation split are by new speakers; what was predicted stands in data/runs/since/speakers.json
choice      what a choice on those two tenths would have been: more settings with RoPE, four pairs each
chosen      the lowest mean of all settings on those tenths: the validation split, five seeds, once
controls    what made it: more heads without RoPE, and still more heads, on the same pairs, after the choice
small       the board with a third of the weights
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from gptlib.batched import batched_optimizer
from gptlib.board import paired, read_runs, runs_of
from gptlib.config import PRESETS, TrainConfig
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig
from gptlib.modern_training import TailAverage, WithSchedule, warmup_stable_decay
from gptlib.progress import Progress
from gptlib.speed import CapturedStep, fused_step
from gptlib.trainer import Trainer
from gptlib.training import train
from tools.measure import DEVICE, characters, command_line
from tools.measure.choice import without_tenth

PARTS = (
    "board",
    "more",
    "candidates",
    "third",
    "again",
    "tested",
    "speakers",
    "choice",
    "chosen",
    "controls",
    "small",
)
PAIRS = ((1, 2), (2, 5), (3, 8), (4, 1), (5, 6))  # seed and tenth; the first three of each row of the board
NEW_SPEAKERS = ((6, 3), (7, 9), (8, 3), (9, 9), (10, 3), (11, 9))  # on the tenths like the validation split
SHAPE = dict(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384, dropout=0.15)
SMALL = {**SHAPE, "n_layer": 5, "n_embd": 240}  # 3.5 M weights instead of 10.8 M
HOW = dataclasses.replace(
    PRESETS["char-gpu-best"].train,
    max_steps=900,
    min_learning_rate=0.0,
    decay="linear",
    weight_decay=0.2,
    eval_interval=300,
    sample_interval=0,
)
LONG = dataclasses.replace(HOW, max_steps=2500, eval_interval=500)
SINGLE = {  # changes of GPT-2's block, each by itself
    "RoPE": {"position": "rope"},
    "no positions": {"position": "none"},
    "RMSNorm": {"norm": "rms"},
    "QK-norm": {"qk_norm": True},
    "ReLU²": {"mlp": "relu2"},
    "SwiGLU": {"mlp": "swiglu"},
    "no biases": {"bias": False},
    "untied head": {"tied": False},
    "soft-cap": {"cap": 15.0},
    "grouped queries": {"n_kv_head": 2},
    "shortcuts": {"shortcuts": True},
}
WIDER = {"n_kv_head": 2, "mlp_width": 1536 + 256}  # what grouped queries save goes into the MLP
WIDER_SWIGLU = {"n_kv_head": 2, "mlp_width": 1024 + 168}  # the same for three matrices
TRAINING = {  # changes of the training
    "AdamW instead of Muon": {"optimizer": "adamw", "learning_rate": 1e-3},
    "warm-up, stable, decay": {"schedule": "stable"},
    "tail average": {"average": True},
}
FULL = {
    "position": "rope",
    "norm": "rms",
    "qk_norm": True,
    "mlp": "swiglu",
    "bias": False,
    "tied": False,
    "cap": 15.0,
    "n_kv_head": 2,
    "shortcuts": True,
}
NAMES = {
    "position": "RoPE",
    "norm": "RMSNorm",
    "qk_norm": "QK-norm",
    "mlp": "SwiGLU",
    "bias": "no biases",
    "tied": "untied head",
    "cap": "soft-cap",
    "n_kv_head": "grouped queries",
    "shortcuts": "shortcuts",
}
ROPE = {"bias": False, "position": "rope"}
HELPED = "what helped"  # stands for the changes that the board chooses
AS_BEST = {"decay": "cosine", "min_learning_rate": 1e-5, "weight_decay": 0.1}  # as char-gpu-best is trained
CANDIDATES = {  # of the preset: a model with dropout 0.3 if it names no other; changes of LONG
    "all, ReLU², wider": ({**FULL, "mlp": "relu2", **WIDER}, [{}, {"weight_decay": 0.35}]),
    "all, ReLU², wider, dropout 0.4": ({**FULL, "mlp": "relu2", **WIDER, "dropout": 0.4}, [{}]),
    "RoPE, soft-cap, dropout 0.35": ({**ROPE, "cap": 15.0, "dropout": 0.35}, [{}]),
    "all but QK-norm, wider": ({**FULL, "qk_norm": False, **WIDER_SWIGLU}, [{}]),
    "RoPE": (ROPE, [{}, AS_BEST]),
    "RoPE, RMSNorm, untied": ({**ROPE, "norm": "rms", "tied": False}, [{}, {"weight_decay": 0.1}]),
    "what helped": ({HELPED: True}, [{}, {"weight_decay": 0.35}]),
    "what helped, dropout 0.35": ({HELPED: True, "dropout": 0.35}, [{}, {"weight_decay": 0.35}]),
    "all, heads as before": ({**FULL, "n_kv_head": None}, [{}]),
    "char-gpu-best": ({"bias": False}, [AS_BEST]),
}

AGAIN = {  # a second choice: the lowest means so far and one that was not tried, on all five pairs
    "all, ReLU², wider": [{}],
    "all but QK-norm, wider": [{}],
    "RoPE": [{}, AS_BEST],
    "RoPE, RMSNorm, untied": [{}],
}
SPEAKERS = {  # the choice and RoPE alone, each trained in both ways, and the preset that both started from
    "all, ReLU², wider": [{}, AS_BEST],
    "RoPE": [{}, AS_BEST],
    "char-gpu-best": [AS_BEST],
}
SLOWER, FASTER = (
    {"learning_rate": HOW.learning_rate * by, "muon_learning_rate": HOW.muon_learning_rate * by}
    for by in (0.7, 1.4)
)
CHOICE = {  # 10.6 to 10.9 million weights each
    "RoPE": (ROPE, [{"weight_decay": 0.4}, {"weight_decay": 0.1}, SLOWER, FASTER, {"average": True}]),
    **{f"RoPE, dropout {p}": ({**ROPE, "dropout": p}, [{}]) for p in (0.2, 0.25, 0.35, 0.4)},
    "RoPE, soft-cap": ({**ROPE, "cap": 15.0}, [{}]),
    "RoPE, shortcuts": ({**ROPE, "shortcuts": True}, [{}]),
    "RoPE, 8 layers of 336": ({**ROPE, "n_layer": 8, "n_embd": 336}, [{}]),
    "RoPE, 5 layers of 420": ({**ROPE, "n_layer": 5, "n_embd": 420}, [{}]),
    "RoPE, 12 heads": ({**ROPE, "n_head": 12}, [{}]),
    "RoPE, 3 heads": ({**ROPE, "n_head": 3}, [{}]),
}
CONTROLS = {
    "12 heads": ({"bias": False, "n_head": 12}, [{}]),
    "24 heads": ({"bias": False, "n_head": 24}, [{}]),
    "6 heads": ({"bias": False}, [{}]),
    "RoPE, 24 heads": ({**ROPE, "n_head": 24}, [{}]),
}


@dataclass(frozen=True)
class Unit:
    """One model that is compiled once, and what is run with it."""

    part: str
    name: str
    model: dict  # a ModernConfig's values
    runs: list = field(default_factory=list)  # (pair, changes of the training)


def rows(shape: dict, part: str) -> list[Unit]:
    """The board's rows for models of one shape, the most important first."""
    full = {**shape, **FULL}
    base = ModernConfig(**shape)
    left_out = {f"all but {NAMES[name]}": {**full, name: getattr(base, name)} for name in FULL}
    models = {"base": shape, **{name: {**shape, **change} for name, change in SINGLE.items()}, "all": full}
    models |= left_out
    models["all, ReLU² for SwiGLU"] = {**full, "mlp": "relu2"}
    wider = {**WIDER, "mlp_width": WIDER["mlp_width"] * shape["n_embd"] // 384}
    models["grouped queries, wider MLP"] = {**shape, **wider}
    still = {**shape, "dropout": 0.0}  # whether attention without positions reads them off the dropout
    models |= {"no dropout": still, "no dropout, no positions": {**still, "position": "none"}}
    units = [Unit(part, name, model) for name, model in models.items()]
    return units + [Unit(part, name, {**shape}, [(None, change)]) for name, change in TRAINING.items()]


def exceeds(differences: list[float]) -> bool:
    """Whether the mean of paired differences is larger than their standard deviation."""
    return len(differences) > 1 and abs(statistics.mean(differences)) > statistics.stdev(differences)


def what_helped(found: list[dict]) -> dict:
    """The changes of the full set that lowered the loss of all of the first three pairs by themselves."""
    helped = {"position": "rope", "bias": False}
    for name, value in FULL.items():
        differences = paired(found, "board", NAMES[name])
        if differences and max(differences) < 0 and name != "n_kv_head":
            helped[name] = value
    relu2, swiglu = (paired(found, "board", name) for name in ("ReLU²", "SwiGLU"))
    if relu2 and max(relu2) < 0 and (not swiglu or statistics.mean(relu2) < statistics.mean(swiglu)):
        helped["mlp"] = "relu2"
    return helped


def lowest(found: list[dict]) -> tuple[str, str]:
    """Name and training of the lowest mean of the first four pairs on the tenths of new speakers."""
    losses = {}
    for run in found:
        if run["part"] == "speakers" and run["pair"] < 4:
            losses.setdefault((run["name"], run["kind"]), []).append(run["val_loss"])
    return min((key for key in losses if len(losses[key]) == 4), key=lambda key: statistics.mean(losses[key]))


# --- one run


class Runner:
    """Trains models in one process; of each model the compiled step is kept."""

    def __init__(self, out: Path, worker: int, tokens: torch.Tensor, val_tokens: torch.Tensor, how: Callable):
        torch._dynamo.config.recompile_limit = 512  # one process trains many models
        torch._dynamo.config.accumulated_recompile_limit = 4096
        torch._dynamo.config.automatic_dynamic_shapes = False  # another shape is another model here
        self.path, self.how = out / f"since-gpu{worker}.jsonl", how
        self.tokens, self.val_tokens = tokens, val_tokens
        self.times = {}  # milliseconds of a step, by model and training
        self.step = CapturedStep() if DEVICE.type == "cuda" else fused_step

    def step_ms(self, model: dict, changes: dict) -> float:
        """How long a step of this model takes in this process, from a short run that is not recorded."""
        key = json.dumps([model, changes])
        if key not in self.times:
            changes = {n: value for n, value in changes.items() if n not in ("schedule", "average")}
            config = dataclasses.replace(self.how("board"), **changes)
            config = dataclasses.replace(config, max_steps=min(120, config.max_steps), eval_interval=0)
            gpt = ModernGPT(ModernConfig(**model)).to(DEVICE)
            text = self.tokens.to(DEVICE)
            result = train(gpt, text, text[:300], config, step_fn=self.step, optimizer_fn=batched_optimizer)
            self.times[key] = median_ms(result.records, config, gpt.config.block_size)
        return self.times[key]

    def run(self, unit: Unit, pair: int, kind: str, changes: dict, steps: int | None = None) -> None:
        """Train and append what it came to."""
        pairs = NEW_SPEAKERS if unit.part in ("speakers", "controls") else PAIRS
        seed, tenth = (pair + 1, None) if unit.part == "tested" else pairs[pair]
        changes, started = dict(changes), time.perf_counter()
        schedule, average = changes.pop("schedule", None), changes.pop("average", False)
        config = dataclasses.replace(self.how(unit.part), **changes, seed=seed)
        if steps:
            config = dataclasses.replace(config, max_steps=steps)
        model = ModernGPT(ModernConfig(**unit.model), torch.Generator().manual_seed(seed)).to(DEVICE)
        tail = TailAverage(model, config.max_steps * 9 // 10) if average else None
        step_fn = WithSchedule(self.step, warmup_stable_decay) if schedule else self.step
        texts = without_tenth(self.tokens, tenth) if tenth is not None else (self.tokens, self.val_tokens)
        texts = tuple(part.to(DEVICE) for part in texts)
        result = train(model, *texts, config, step_fn=step_fn, optimizer_fn=batched_optimizer, stop=tail)
        if tail:
            tail.put_into(model)
        first = result.records[0]["seconds"]
        record = {
            "part": unit.part,
            "name": unit.name,
            "kind": kind,
            "pair": pair,
            "seed": seed,
            "tenth": tenth,
            "val_loss": evaluated(model, config, texts[1]) if tail else result.val_loss,
            "steps": config.max_steps,
            "seconds": round(result.seconds - first, 2),
            "set_up_seconds": round(first, 2),
            "step_ms": median_ms(result.records, config, model.config.block_size),
            "parameters": sum(p.numel() for p in model.parameters()),
            "curve": [
                [row["step"], round(row["val_loss"], 5)] for row in result.records if "val_loss" in row
            ],
            "last_train_loss": [row["train_loss"] for row in result.records if "train_loss" in row][-1],
            "model": unit.model,
            "changes": {**changes, "schedule": schedule, "average": average},
            "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU",
            "torch": torch.__version__,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        spent = round(time.perf_counter() - started, 1)
        say = f"{unit.part:10} {unit.name:36} {kind:8} pair {pair} {record['val_loss']:.4f}"
        say = f"{say} {record['step_ms']} ms {changes or ''}"
        print(f"{say} set up {record['set_up_seconds']} s, all {spent} s", flush=True)


def median_ms(records: list[dict], config: TrainConfig, block_size: int) -> float:
    """The median milliseconds of a step, from the speeds in a run's records but the first."""
    speeds = [row["tokens_per_second"] for row in records[1:] if "tokens_per_second" in row]
    return round(1e3 * config.batch_size * block_size / statistics.median(speeds), 3)


def evaluated(model: ModernGPT, config: TrainConfig, tokens: torch.Tensor) -> float:
    """The exact loss of a model, computed as `train` does."""
    progress = Progress(Trainer(model, config, batched_optimizer), None)
    progress.evaluate(tokens)
    return progress.val_loss


# --- the list of work


def wanted(
    unit: Unit, out: Path, how: Callable, step_ms: Callable
) -> Iterator[tuple[int, str, dict, int | None]]:
    """The runs that a unit lacks: pair, kind, changes of the training, steps if not those of its part."""
    found = read_runs(out)
    if unit.part.endswith(("candidates", "tested", "speakers", "controls")):
        lengths = {
            "candidates": 2,
            "more candidates": 3,
            "speakers": len(NEW_SPEAKERS),
            "more speakers": 4,
            "controls": 4,
        }
        pairs = lengths.get(unit.part, len(PAIRS))
        for changes in unit.runs:
            kind = json.dumps(changes)
            for pair in range(pairs):
                if pair not in runs_of(found, unit.part.split()[-1], unit.name, kind):
                    yield pair, kind, changes, None
        return
    part, changes = unit.part.removeprefix("more "), unit.runs[0][1] if unit.runs else {}
    have = runs_of(found, part, unit.name)
    if part == unit.part:
        for pair in range(5 if unit.name == "base" and part == "board" else 3):
            if pair not in have:
                yield pair, "steps", changes, None
        return
    than = "all" if unit.name.startswith("all") and unit.name != "all" else "base"
    if exceeds(paired(found, part, unit.name, than)):
        for pair in (3, 4):
            if pair not in have:
                yield pair, "steps", changes, None
    lacking = [pair for pair in range(3) if pair not in runs_of(found, part, unit.name, "seconds")]
    if have and lacking and unit.name != "base":
        base = runs_of(found, part, "base")[0]
        ratio = step_ms(base["model"], {}) / step_ms(unit.model, changes)  # both measured here, now
        for pair in lacking:
            yield pair, "seconds", changes, round(how(part).max_steps * ratio)


def units_of(part: str, out: Path, shape: dict, small: dict) -> list[Unit]:
    """The units of one part of the work."""
    if part == "board":
        return rows(shape, "board")
    if part == "small":
        return rows(small, "small")
    if part == "more":
        return [dataclasses.replace(unit, part="more board") for unit in rows(shape, "board")]
    candidates = CANDIDATES
    if part == "again":
        candidates = {name: (CANDIDATES[name][0], runs) for name, runs in AGAIN.items()}
    if part == "tested":
        candidates = {"RoPE": (ROPE, [AS_BEST])}
    if part == "speakers":
        candidates = {name: (CANDIDATES[name][0], runs) for name, runs in SPEAKERS.items()}
    if part in ("choice", "chosen"):
        candidates = CHOICE
    if part == "controls":
        candidates = CONTROLS
    if part == "chosen":
        name, kind = lowest(read_runs(out))
        candidates = {name: ({**CANDIDATES, **CHOICE}[name][0], [json.loads(kind)])}
    names = {
        "third": "more candidates",
        "again": "again candidates",
        "choice": "more speakers",
        "chosen": "tested",
    }
    part = names.get(part, part)
    units, helped = [], what_helped(read_runs(out))
    for name, (model, runs) in candidates.items():
        model = dict(model)
        change = helped if model.pop(HELPED, False) else {}
        units.append(Unit(part, name, {**shape, "dropout": 0.3, **change, **model}, runs))
    return units


def work(args: argparse.Namespace) -> None:
    """One process: take a unit that nobody has taken, run what it lacks, take the next."""
    shape, small, how = sizes(args.tiny)
    _, _, (tokens, val_tokens) = characters()
    if args.tiny:
        tokens, val_tokens = tokens[:20_000], val_tokens[:2_000]
    runner, compiled, failed = Runner(args.out, args.worker, tokens, val_tokens, how), set(), 0
    for part in args.parts:
        units = units_of(part, args.out, shape, small)
        units.sort(key=lambda unit: unit.name not in compiled)  # first those whose step is compiled here
        for unit in units:
            if not claimed(args.claims, unit):
                continue
            try:
                for pair, kind, changes, steps in wanted(unit, args.out, how, runner.step_ms):
                    if time.time() > args.until:
                        print(f"worker {args.worker}: the time is over", flush=True)
                        return
                    as_row = dataclasses.replace(unit, part=unit.part.split()[-1])
                    runner.run(as_row, pair, kind, changes, steps)
                    compiled.add(unit.name)
            except Exception as error:  # one model that fails does not end the others
                failed += 1
                print(
                    f"{unit.part} {unit.name} FAILED: {type(error).__name__}: {str(error)[:500]}", flush=True
                )
    if failed:
        sys.exit(1)


def claimed(claims: Path, unit: Unit) -> bool:
    """Whether this process is the first to take a unit."""
    with contextlib.suppress(FileExistsError):
        name = "".join(c if c.isalnum() else "_" for c in f"{unit.part} {unit.name}")
        os.close(os.open(claims / name, os.O_CREAT | os.O_EXCL))
        return True
    return False


def sizes(tiny: bool) -> tuple[dict, dict, Callable]:
    """The two shapes, and the training of a part."""
    if tiny:
        shape = {**SHAPE, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 16}
        few = dataclasses.replace(
            HOW, max_steps=12, batch_size=4, warmup_steps=2, eval_interval=6, log_interval=2
        )
        return {**shape, "dropout": 0.0}, {**shape, "n_layer": 1, "dropout": 0.0}, lambda part: few
    return (
        SHAPE,
        SMALL,
        lambda part: LONG if part in ("candidates", "tested", "speakers", "controls") else HOW,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--limit-s", type=float, default=float("inf"))
    parser.add_argument("--processes", type=int, help="by default one per GPU")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try this command")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--claims", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        return work(args)
    args.out.mkdir(parents=True, exist_ok=True)
    claims = args.out / f"claims-{os.getpid()}"
    claims.mkdir()
    count = args.processes or max(1, torch.cuda.device_count())
    command = [sys.executable, "-m", "tools.measure.since", str(args.out), "--parts", *args.parts]
    command += ["--claims", str(claims), "--until", str(time.time() + args.limit_s)]
    children = []
    for worker in range(count):
        own = {"CUDA_VISIBLE_DEVICES": str(worker)} if DEVICE.type == "cuda" else {}
        tiny = ["--tiny"] if args.tiny else []
        children.append(
            subprocess.Popen([*command, *tiny, "--worker", str(worker)], env={**os.environ, **own})
        )
    codes = [child.wait() for child in children]
    for claim in claims.iterdir():
        claim.unlink()
    claims.rmdir()
    print(f"{len(read_runs(args.out))} runs in {args.out}")
    sys.exit(max(codes, key=abs))


if __name__ == "__main__":
    main()
