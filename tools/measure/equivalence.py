"""Do recorded steps train as eager ones do? `python -m tools.measure.equivalence OUT.json`, on a CUDA GPU.

In float32 without dropout: the largest difference of a loss within 50 steps, for both optimizers, recorded
with and without compiling. The learning rate is 1e-3, and Muon goes without its rounding to bf16: both would
amplify differences in the seventh digit. In bf16 with dropout, where the masks differ: the last validation
losses of three seeds, eager and recorded.
"""

import dataclasses
import json
from pathlib import Path
from unittest import mock

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS
from gptlib.gpt import GPT
from gptlib.speed import CapturedStep
from gptlib.training import train
from tools.files import write_json
from tools.measure import characters, command_line, need_cuda

SHAPE = PRESETS["char-cpu"].model  # 4 layers, 128 wide
STEPS = {"eager": lambda: None, "recorded": lambda: CapturedStep(False), "compiled, recorded": CapturedStep}


def run(tokens: tuple, step: str, seed: int = 1, dropout: float = 0.0, **settings):
    """Train the CPU preset's model on the GPU."""
    config = dataclasses.replace(PRESETS["char-cpu"].train, seed=seed, log_interval=1, **settings)
    shape = dataclasses.replace(SHAPE, dropout=dropout)
    model = GPT(shape, torch.Generator().manual_seed(seed)).to("cuda")
    return train(model, *tokens, config, step_fn=STEPS[step](), optimizer_fn=batched_optimizer)


def largest_difference(tokens: tuple, optimizer: str, step: str) -> float:
    """Of 50 training losses in float32, recorded against eager."""
    settings = dict(
        optimizer=optimizer,
        precision="fp32",
        learning_rate=1e-3,
        max_steps=50,
        warmup_steps=5,
        eval_interval=0,
    )
    short = tokens[0], tokens[1][:2_000]
    with mock.patch.object(torch.Tensor, "bfloat16", lambda tensor: tensor):
        ours, theirs = (
            [row["train_loss"] for row in run(short, kind, **settings).records if "train_loss" in row]
            for kind in (step, "eager")
        )
    assert len(ours) == 50
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    need_cuda(parser, "there is nothing to record")
    torch._dynamo.config.recompile_limit = 64  # one process trains many models
    _, _, tokens = characters()
    exact = [
        {"optimizer": optimizer, "step": step, "difference": largest_difference(tokens, optimizer, step)}
        for optimizer in ("adamw", "muon")
        for step in ("recorded", "compiled, recorded")
    ]
    settings = dict(dropout=0.2, max_steps=300, warmup_steps=20, eval_interval=0, precision="bf16")
    ends = [
        {
            "optimizer": optimizer,
            "step": step,
            "val_losses": [
                run(tokens, step, seed, optimizer=optimizer, **settings).val_loss for seed in (1, 2, 3)
            ],
        }
        for optimizer in ("adamw", "muon")
        for step in STEPS
    ]
    found = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "fp32": exact, "bf16": ends}
    write_json(args.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
