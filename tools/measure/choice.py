"""Try settings on tenths of the training text: `python -m tools.measure.choice OUT.json PRESET --try NAME …`.

The validation split is never looked at. A tenth of the training split serves as validation text, the model
trains on what is left; one tenth alone mispredicts the split, so there are several. Every trial is added to
OUT.json: its settings, the tenth, the last loss, the seconds.
"""

import dataclasses
import json
from pathlib import Path

import torch

from gptlib.config import PRESETS, RunConfig
from tools.files import write_json
from tools.measure import characters, command_line
from tools.measure.seeds import one_run

MODEL = ("block_size", "n_layer", "n_head", "n_embd", "dropout", "bias")
TRAINING = ("max_steps", "batch_size", "learning_rate", "muon_learning_rate", "decay", "weight_decay")
CANDIDATES = {  # what is changed of a preset
    "char-cpu": {
        "as it is": {},
        "windows of 96": {"block_size": 96, "batch_size": 21},
        "higher rates": {"learning_rate": 5e-3, "muon_learning_rate": 0.025},
        "three layers": {"n_layer": 3, "max_steps": 2000},
    },
    "char-gpu-race": {
        "as it is": {},
        "lower rates": {"learning_rate": 3e-3, "muon_learning_rate": 0.03, "max_steps": 540},
        "with biases": {"bias": True},
    },
    "char-gpu-best": {
        "as it is": {},
        "lower rates": {"learning_rate": 3e-3, "muon_learning_rate": 0.03},
        "with biases": {"bias": True},
        "shorter": {"max_steps": 2000, "dropout": 0.25},
    },
}


def changed(run: RunConfig, settings: dict) -> RunConfig:
    """The preset with other settings, of the model or of the training."""
    model = {name: value for name, value in settings.items() if name in MODEL}
    how = {name: value for name, value in settings.items() if name not in MODEL}
    return dataclasses.replace(
        run, model=dataclasses.replace(run.model, **model), train=dataclasses.replace(run.train, **how)
    )


def without_tenth(tokens: torch.Tensor, tenth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The training tokens [n] in two parts: all but this tenth (0 … 9), and the tenth."""
    edges = [len(tokens) * i // 10 for i in (tenth, tenth + 1)]
    return torch.cat([tokens[: edges[0]], tokens[edges[1] :]]), tokens[edges[0] : edges[1]]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("preset", choices=CANDIDATES)
    parser.add_argument("--try", nargs="+", dest="names", help="names of candidates; all without it")
    parser.add_argument("--tenths", type=int, nargs="+", default=[2, 5, 8])
    args = parser.parse_args()
    candidates = CANDIDATES[args.preset]
    for name in args.names or candidates:
        if name not in candidates:
            parser.error(f"unknown candidate {name!r}: choose from {', '.join(candidates)}")
    torch._dynamo.config.recompile_limit = 64  # one process trains many models
    _, _, (tokens, _) = characters()
    trials = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else []
    for name in args.names or candidates:
        run = changed(PRESETS[args.preset], {**candidates[name], "eval_interval": 0, "sample_interval": 0})
        settings = {n: getattr(run.model, n) for n in MODEL} | {n: getattr(run.train, n) for n in TRAINING}
        for tenth in args.tenths:
            _, came_to = one_run(run, without_tenth(tokens, tenth), seed=1)
            kept = {key: came_to[key] for key in ("seed", "final_val_loss", "seconds", "step_ms")}
            trials.append({"preset": args.preset, "settings": settings, "tenth": tenth, **kept})
            write_json(args.out, trials)


if __name__ == "__main__":
    main()
