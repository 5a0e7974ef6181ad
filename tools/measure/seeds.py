"""Run presets with several seeds: `python -m tools.measure.seeds OUT char-cpu char-gpu-race --seeds 1 2 3`.

The settings are the presets', tried by `tools.measure.choice`. All seeds are reported. Written
below OUT: for each preset the run of the first seed as in a run folder, with its best checkpoint below
`checkpoints`, and `seeds.json` about all seeds.
"""

import copy
import dataclasses
import json
import statistics
from pathlib import Path

import torch

from gptlib.batched import batched_optimizer
from gptlib.checkpoint import Checkpoint, save_checkpoint
from gptlib.commands.options import PRESETS
from gptlib.commands.sample import sample_text
from gptlib.config import RunConfig
from gptlib.data import split
from gptlib.decoder import CapturedDecoder
from gptlib.gpt import GPT
from gptlib.modern import build_model
from gptlib.runs import MetricsLog, describe
from gptlib.speed import make_step
from gptlib.training import train
from tools.files import write_json
from tools.measure import DEVICE, characters, command_line
from tools.measure.run import for_reading


def one_run(run: RunConfig, tokens: tuple, seed: int, **hooks) -> tuple[GPT, dict]:
    """Train with one seed; what it came to. Seconds count from the end of the first step, which sets up."""
    config = dataclasses.replace(run.train, seed=seed)
    model = build_model(run.model, torch.Generator().manual_seed(seed)).to(DEVICE)
    step_fn = make_step("compiled" if DEVICE.type == "cuda" else "fused", DEVICE)
    result = train(model, *tokens, config, step_fn=step_fn, optimizer_fn=batched_optimizer, **hooks)
    first = result.records[0]["seconds"]
    speeds = [row["tokens_per_second"] for row in result.records[1:] if "tokens_per_second" in row]
    came_to = {
        "seed": seed,
        "seconds": round(result.seconds - first, 2),
        "set_up_seconds": round(first, 2),
        "step_ms": round(1e3 * config.batch_size * run.model.block_size / statistics.median(speeds), 2),
        "final_val_loss": result.val_loss,
        "best_val_loss": result.best_val_loss,
        "best_step": result.best_step,
        "val_losses": [
            [row["step"], round(row["seconds"] - first, 2), row["val_loss"]]
            for row in result.records
            if "val_loss" in row
        ],
    }
    print(json.dumps(came_to), flush=True)
    return model, came_to


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("presets", nargs="+", choices=[name for name in PRESETS if name.startswith("char")])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    torch._dynamo.config.recompile_limit = 64  # one process trains many models
    corpus, tokenizer, tokens = characters()
    for name in args.presets:
        record(name, PRESETS[name], tokens, tokenizer, corpus, args.out, args.seeds)


def record(name, run, tokens, tokenizer, corpus, out: Path, numbers: list[int]) -> None:
    """All seeds of one preset with its frozen settings; the first one is kept whole."""
    folder, seeds, best = out / "runs" / name, [], {}
    hooks = {
        "logger": MetricsLog(folder),
        "checkpointer": lambda state, _: best.update(state=copy.deepcopy(state)),
        "sample_fn": lambda model: sample_text(CapturedDecoder(model), tokenizer, 300, seed=1),
    }
    for seed in numbers:
        model, came_to = one_run(run, tokens, seed, **hooks)
        seeds.append(came_to)
        write_json(folder / "seeds.json", seeds)
        if hooks:
            config = dataclasses.replace(run.train, seed=seed)
            settings = describe(name, model, config, corpus, tokens, split(corpus.text)[1])
            write_json(folder / "config.json", settings)
            checkpoint = Checkpoint(best["state"], run.model, config, tokenizer)
            save_checkpoint(out / "checkpoints" / name, for_reading(checkpoint))
        hooks = {}  # the other seeds only run


if __name__ == "__main__":
    main()
