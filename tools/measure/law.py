"""The scaling law of chapter 15, its prediction and the run that tests it.

`python -m tools.measure.law OUT corpus runs predict plays`, then `… OUT large python gpt2`.

corpus   Python source as token shards below OUT/corpus, and OUT/manifest.json
runs     small runs of four budgets of compute; OUT/runs-N.jsonl, a line a run
plays    the same on TinyShakespeare's characters, also with budgets that repeat the text many times
predict  the law of the small runs, and what it predicts for ten times and thirty times the largest budget;
         OUT/prediction.json with its time, never overwritten; OUT/prediction-larger.json, by the law of the
         runs above the smallest budget
large    the runs that were predicted; OUT/large-N.jsonl. Refused without a prediction
python   the preset python-gpu on the standard library, and how many of its samples parse; OUT/python
gpt2     gpt2-124m on all of the corpus, by all GPUs under torchrun, and its samples; OUT/gpt2-124m

A part that is done is not done again; runs that are recorded are not made again. One process per GPU. After
--limit-s seconds no new run begins.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from gptlib.batched import batched_optimizer
from gptlib.config import TrainConfig
from gptlib.gpt import GPT, GPTConfig
from gptlib.law import bootstrap, fit_law
from gptlib.roofline import step_flops
from gptlib.shards import TokenShards
from gptlib.speed import CapturedStep, fused_step
from gptlib.training import train
from tools.files import write_json
from tools.measure import DEVICE, characters, command_line
from tools.measure.programs import measure_gpt2, measure_python
from tools.measure.python_source import VOCAB, write_corpus

PARTS = ("corpus", "runs", "plays", "predict", "large", "python", "gpt2")
BLOCK = 256
WIDTHS = (32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)
RATIOS = (80, 30, 12, 5)  # tokens for each weight: what the sizes of a budget are chosen by
STEPS_DOWN = (1, 2.5, 6.25, 15.625)  # the budgets, as parts of the largest small one
TENFOLD, BEYOND = 10, 30  # the predicted budgets, in the largest small one
HOW = TrainConfig(
    batch_size=16,
    learning_rate=4e-3,
    min_learning_rate=0.0,
    decay="linear",
    optimizer="muon",
    muon_learning_rate=0.02,
    eval_interval=0,  # at the end alone
    log_interval=1_000_000,
)


@dataclass(frozen=True)
class Unit:
    """One run to make: which model, on how many FLOPs."""

    part: str
    budget: float
    n_embd: int
    vocab_size: int = VOCAB
    seed: int = 1
    rate: float = 1.0  # factor of both learning rates


def shape_of(n_embd: int, vocab_size: int = VOCAB, block_size: int = BLOCK) -> GPTConfig:
    """The model of that width: one layer for 32 numbers of width, heads of 16."""
    return GPTConfig(vocab_size, block_size, n_layer=max(1, n_embd // 32), n_head=n_embd // 16, n_embd=n_embd)


def counts(config: GPTConfig) -> dict[str, int]:
    """The weights of a model, counted in three ways. The head is the token table: it is one matrix."""
    with torch.device("meta"):  # sizes alone
        model = GPT(config)
    every, positions = sum(p.numel() for p in model.parameters()), config.block_size * config.n_embd
    head = config.vocab_size * config.n_embd
    return {"all": every, "blocks": every - positions - head, "blocks and head": every - positions}


def steps_for(budget: float, config: GPTConfig, how: TrainConfig) -> int:
    """How many steps cost that many FLOPs."""
    return max(1, round(budget / step_flops(config, how.batch_size)))


def training_of(unit: Unit, config: GPTConfig, how: TrainConfig) -> TrainConfig:
    """The same rates for all sizes, as Muon's step does not depend on the width; 0 at the end."""
    steps = steps_for(unit.budget, config, how)
    rates = {n: unit.rate * getattr(how, n) for n in ("learning_rate", "muon_learning_rate")}
    return dataclasses.replace(how, max_steps=steps, warmup_steps=steps // 20, seed=unit.seed, **rates)


def budget_by(tokens: int) -> float:
    """The largest small budget: a run of ten times this, 20 tokens a weight, reads 1.3 times `tokens`."""
    return float(f"{0.05 * tokens**2:.1g}")


def closest(budget: float, ratios, vocab_size: int, block_size: int) -> list[int]:
    """The widths whose weights at these ratios come closest, each once."""
    sizes = {width: counts(shape_of(width, vocab_size, block_size))["all"] for width in WIDTHS}
    found = []
    for ratio in ratios:
        wanted = (budget / 6 / ratio) ** 0.5
        free = [width for width in sizes if width not in found]
        found.append(min(free, key=lambda width: abs(np.log(sizes[width] / wanted))))
    return sorted(found)


def units_of(part: str, out: Path, scale: "Scale") -> list[Unit]:
    """The runs of one part, the most important first."""
    if part == "plays":
        small, repeated = [3e11, 1e12, 3e12], [1e13, 1e14]
        factor = 1 if scale is FULL else 1e-4
        return [
            Unit(part, budget * factor, width, 65)
            for budget in small + repeated
            for width in closest(budget * factor, (60, 20, 7), 65, scale.block_size)
        ]
    if part == "large":
        found = json.loads((out / "prediction.json").read_text(encoding="utf-8"))["predicted"]
        ten, beyond = (Unit(part, found[name]["flops"], found[name]["n_embd"]) for name in ("ten", "thirty"))
        return [ten, beyond, *(dataclasses.replace(ten, seed=seed) for seed in (2, 3))]
    top = scale.budget or budget_by(len(TokenShards(out / "corpus/installed/train")))
    units = []
    for step in STEPS_DOWN:
        widths = closest(top / step, RATIOS, VOCAB, scale.block_size)
        units += [Unit(part, top / step, width) for width in widths]
    second = [dataclasses.replace(units[k], seed=2) for k in (1, 5, 9, 13)]
    rates = [dataclasses.replace(units[k], rate=r) for k in (13, 2) for r in (0.5, 2.0)]
    return units + second + rates


# --- runs


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    how: TrainConfig
    block_size: int
    budget: float | None  # None: by the corpus


FULL = Scale(HOW, BLOCK, None)
TINY = Scale(dataclasses.replace(HOW, batch_size=4), 32, 4e9)


def run(unit: Unit, scale: Scale, tokens: tuple) -> dict:
    """Train one model; what it came to."""
    config = shape_of(unit.n_embd, unit.vocab_size, scale.block_size)
    how = training_of(unit, config, scale.how)
    model = GPT(config, torch.Generator().manual_seed(unit.seed)).to(DEVICE)
    step_fn = CapturedStep(compiled=False) if DEVICE.type == "cuda" else fused_step
    result = train(model, *tokens, how, step_fn=step_fn, optimizer_fn=batched_optimizer)
    seen = how.max_steps * how.batch_size * config.block_size
    return {
        **dataclasses.asdict(unit),
        "n_layer": config.n_layer,
        "weights": counts(config),
        "steps": how.max_steps,
        "tokens": seen,
        "epochs": round(seen / len(tokens[0]), 3),
        "flops": how.max_steps * step_flops(config, how.batch_size),
        "val_loss": result.val_loss,
        "seconds": round(result.seconds, 2),
        "ended": now(),
        "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU",
        "torch": torch.__version__,
    }


def now() -> str:
    """This moment, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def recorded(out: Path, part: str) -> list[dict]:
    """The runs of a part that all processes have recorded."""
    lines = [line for path in sorted(out.glob(f"{part}-*.jsonl")) for line in open(path, encoding="utf-8")]
    return [json.loads(line) for line in lines]


def key_of(row: dict) -> tuple:
    """What tells a run from others."""
    return tuple(row[field.name] for field in dataclasses.fields(Unit))


def work(args: argparse.Namespace) -> None:
    """One process: every n-th run of a part, but those that are recorded."""
    (part,), scale = args.parts, TINY if args.tiny else FULL
    if part == "large":
        must_be_the_same(args.out)
    done = {key_of(row) for row in recorded(args.out, part)}
    units = units_of(part, args.out, scale)[args.worker :: args.processes]
    if part == "plays":
        tokens = characters()[2]
    else:
        tokens = [TokenShards(args.out / "corpus/installed" / name)[:] for name in ("train", "val")]
        tokens[1] = tokens[1][:1_000_000]
    tokens = tuple(text.to(DEVICE) for text in tokens)
    path = args.out / f"{part}-{args.worker}.jsonl"
    for unit in units:
        if key_of(dataclasses.asdict(unit)) in done:
            continue
        if time.time() > args.until:
            print(f"worker {args.worker}: the time is over", flush=True)
            return
        row = run(unit, scale, tokens)
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        say = f"{part} {row['flops']:.2g} FLOPs, {row['weights']['all']:,} weights, seed {unit.seed}"
        say = f"{say}, rates x {unit.rate}: {row['steps']} steps, {row['epochs']} epochs"
        print(f"{say}, loss {row['val_loss']:.4f}, {row['seconds']} s", flush=True)


def corpus_of(out: Path) -> str:
    """The hash of the documents that the law is about."""
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))["installed"]["sha256"]


def must_be_the_same(out: Path) -> None:
    """Exit unless the prediction was made for this corpus."""
    predicted = json.loads((out / "prediction.json").read_text(encoding="utf-8"))["corpus"]
    if predicted != corpus_of(out):
        here = corpus_of(out)[:12]
        sys.exit(
            f"the prediction is for the corpus {predicted[:12]}, here is {here}: install the same packages"
        )


def in_processes(part: str, args: argparse.Namespace) -> None:
    """A part's runs, shared among the GPUs."""
    count = max(1, torch.cuda.device_count())
    command = [sys.executable, "-m", "tools.measure.law", str(args.out), part, "--until", str(args.until)]
    command += ["--processes", str(count), *["--tiny"] * args.tiny]
    children = []
    for worker in range(count):
        own = {"CUDA_VISIBLE_DEVICES": str(worker)} if DEVICE.type == "cuda" else {}
        environment = {**os.environ, **own, "TQDM_DISABLE": "1"}
        children.append(subprocess.Popen([*command, "--worker", str(worker)], env=environment))
    if any([child.wait() for child in children]):
        sys.exit(f"part {part}: a process failed")


# --- the prediction


def points(rows: list[dict], count: str = "all") -> tuple[np.ndarray, ...]:
    """The weights, tokens and losses of the runs that make the law: first seed, rates as they are."""
    law = [row for row in rows if row["seed"] == 1 and row["rate"] == 1]
    table = [(row["weights"][count], row["tokens"], row["val_loss"]) for row in law]
    return tuple(np.array(table, float).T)


def predict(args: argparse.Namespace) -> None:
    """Store what the law of all runs predicts, and that of the runs above the smallest budget; each once."""
    rows = recorded(args.out, "runs")
    smallest = min(row["budget"] for row in rows)
    store_prediction(rows, args.out / "prediction.json", args.tiny)
    larger = [row for row in rows if row["budget"] > smallest]
    store_prediction(larger, args.out / "prediction-larger.json", args.tiny)


def store_prediction(rows: list[dict], path: Path, tiny: bool) -> None:
    """Fit the law and store what it predicts."""
    if path.exists():
        print(f"{path} is there already: a prediction is not overwritten")
        return
    scale = TINY if tiny else FULL
    N, D, losses = points(rows)
    law, laws = fit_law(N, D, losses), bootstrap(N, D, losses, times=50 if tiny else 1000)
    residuals = losses / law.loss(N, D) - 1
    noise = np.random.default_rng(1).choice(residuals, len(laws))  # what one run differs from any law
    top = max(row["budget"] for row in rows)
    predicted = {}
    for name, factor in (("ten", TENFOLD), ("thirty", BEYOND)):
        budget, sizes = factor * top, {}
        for width in WIDTHS:
            config = shape_of(width, VOCAB, scale.block_size)
            steps = steps_for(budget, config, scale.how)
            sizes[width] = counts(config)["all"], steps * scale.how.batch_size * scale.block_size
        width = min(sizes, key=lambda w: law.loss(*sizes[w]))
        weights, tokens = sizes[width]
        spread = np.array([found.loss(weights, tokens) for found in laws]) * (1 + noise)
        predicted[name] = {
            "flops": budget,
            "n_embd": width,
            "weights": weights,
            "tokens": tokens,
            "loss": float(law.loss(weights, tokens)),
            "interval": [float(x) for x in np.percentile(spread, [5, 95])],
            "line": line_through_best(rows, budget),
        }
        print(f"predicted at {budget:.2g} FLOPs: {predicted[name]}")
    hashes = {p.name: sha256(p.read_bytes()).hexdigest() for p in sorted(path.parent.glob("runs-*.jsonl"))}
    write_json(
        path,
        {
            "time": now(),
            "corpus": corpus_of(path.parent),
            "runs": hashes,
            "law": dataclasses.asdict(law),
            "residual": float(residuals.std(ddof=5)),
            "exponents": exponents(rows),
            "predicted": predicted,
        },
    )


def line_through_best(rows: list[dict], budget: float) -> float:
    """The loss at a budget by a straight line, in logarithms, through the lowest loss of each smaller one."""
    best = {}
    for row in rows:
        if row["seed"] == 1 and row["rate"] == 1:
            best[row["budget"]] = min(row["val_loss"], best.get(row["budget"], np.inf))
    slope, height = np.polyfit(np.log(list(best)), np.log(list(best.values())), 1)
    return float(np.exp(height + slope * np.log(budget)))


def exponents(rows: list[dict]) -> dict[str, list[float]]:
    """How the best size grows with the compute, by each way of counting: exponent, 90 % of the bootstrap."""
    found = {}
    for count in rows[0]["weights"]:
        law, laws = fit_law(*points(rows, count)), bootstrap(*points(rows, count), times=300)
        found[count] = [law.exponent, *np.percentile([other.exponent for other in laws], [5, 95]).tolist()]
    return found


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--limit-s", type=float, default=float("inf"))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try this command")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        return work(args)
    args.until = args.until or time.time() + args.limit_s
    args.out.mkdir(parents=True, exist_ok=True)
    for part in args.parts:
        began = time.time()
        if part == "corpus" and not (args.out / "manifest.json").exists():
            write_json(args.out / "manifest.json", write_corpus(args.out / "corpus", args.tiny))
        if part == "predict":
            predict(args)
        if part == "large" and not (args.out / "prediction.json").exists():
            missing = args.out / "prediction.json"
            parser.error(f"{missing} is missing: predict before the run that is predicted")
        if part in ("runs", "plays", "large"):
            in_processes(part, args)
        if part == "python":
            measure_python(args.out / "corpus", args.out / "python", args.tiny)
        if part == "gpt2":
            measure_gpt2(args.out / "corpus", args.out / "gpt2-124m", args.tiny)
        print(f"{part}: {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
