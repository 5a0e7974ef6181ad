"""The time of one training step at GPT-2's size: `python -m tools.measure.gpt2_step 16`, for 16 windows.

Prints a line of JSON: the median of five times ten steps in milliseconds, how far they lie from it, tokens a
second, gigabytes of GPU memory at the peak. AdamW, clipping, bf16, random tokens; compiled and captured.
"""

import dataclasses
import json

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS
from gptlib.gpt import GPT
from gptlib.speed import make_step
from gptlib.trainer import Trainer
from tools.measure import DEVICE, command_line, need_cuda
from tools.measure.timing import mean_calls, row


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("windows", type=int)
    args = parser.parse_args()
    need_cuda(parser, "the step is far too large for a CPU")
    preset = PRESETS["gpt2-124m"]
    config = dataclasses.replace(preset.train, batch_size=args.windows, micro_batch_size=None)
    model = GPT(preset.model, torch.Generator().manual_seed(1)).to(DEVICE).train()
    trainer, step = Trainer(model, config, batched_optimizer), make_step("compiled", DEVICE)
    idx = torch.randint(preset.model.vocab_size, (args.windows, preset.model.block_size), device=DEVICE)
    step(trainer, idx, idx)
    times = row("step", "gpt2-124m", mean_calls(lambda: step(trainer, idx, idx), repeats=5, calls=10))
    tokens = 1e3 * idx.numel() / times["median"]
    memory = torch.cuda.max_memory_allocated() / 2**30
    print(json.dumps({"ms": times["median"], "spread": times["spread"], "tokens": tokens, "GiB": memory}))


if __name__ == "__main__":
    main()
