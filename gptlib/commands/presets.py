"""`presets`: a line a preset."""

from dataclasses import dataclass

import torch

from gptlib.commands.options import PRESETS
from gptlib.modern import build_model


@dataclass(frozen=True)
class Presets:
    """List the presets."""


def run_presets(args: Presets) -> None:
    """One line a preset."""
    print(
        f"{'':15} {'weights':>8}  {'layers × width':14}  {'context':>7}  {'steps × batch':14}  optimizer  tokens"
    )
    for name, preset in PRESETS.items():
        with torch.device("meta"):
            weights = sum(p.numel() for p in build_model(preset.model).parameters())
        model, how = preset.model, preset.train
        shape, work = f"{model.n_layer:2} × {model.n_embd}", f"{how.max_steps:,} × {how.batch_size}"
        size = f"{weights / 1e6:.1f} M"
        print(
            f"{name:15} {size:>8}  {shape:14}  {model.block_size:7}  {work:14}  {how.optimizer:9}  {preset.tokenizer}"
        )
