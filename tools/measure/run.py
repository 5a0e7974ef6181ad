"""Keep a finished run with the book: `python -m tools.measure.run runs/char-gpu-001 char-gpu`.

Copies configuration, metrics and samples into data/runs/NAME, and the best checkpoint, in half precision and
without the optimizer's state, into data/checkpoints/NAME.
"""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import torch

from gptlib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tools.measure import DATA, command_line


def for_reading(checkpoint: Checkpoint) -> Checkpoint:
    """The same model in half precision, without what only a resumed run needs."""
    weights = {name: tensor.to(torch.float16) for name, tensor in checkpoint.state.model.items()}
    state = dataclasses.replace(checkpoint.state, model=weights, optimizer=None, rng={}, scaler={})
    return dataclasses.replace(checkpoint, state=state)


def best_step(run: Path) -> int:
    """The step with the lowest validation loss in a run's metrics."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return min(records, key=lambda record: record.get("val_loss", math.inf))["step"]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("name", help="the name under data/runs and data/checkpoints")
    parser.add_argument("--data", type=Path, default=DATA, help="where to put it")
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.run / "checkpoints" / f"step_{best_step(args.run):06d}")
    save_checkpoint(args.data / "checkpoints" / args.name, for_reading(checkpoint))
    kept = args.data / "runs" / args.name
    kept.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "samples.txt"):
        shutil.copy(args.run / name, kept / name)
    print(f"{kept} and {args.data / 'checkpoints' / args.name}: the run and its best checkpoint")


if __name__ == "__main__":
    main()
