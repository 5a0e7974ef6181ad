"""What tools.measure.timeline measures, and how long: in full, or small to try it."""

import dataclasses
import statistics

import torch

from gptlib.config import PRESETS, RunConfig
from gptlib.gpt import GPTConfig
from tools.measure import DEVICE

ON_GPU = DEVICE.type == "cuda"
TINY = dataclasses.replace(
    PRESETS["char-cpu"],
    model=GPTConfig(65, block_size=32, n_layer=2, n_head=2, n_embd=32, dropout=0.1),
    train=dataclasses.replace(PRESETS["char-cpu"].train, batch_size=4, optimizer="adamw"),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured, and how long."""

    run: RunConfig
    large: RunConfig  # GPT-2's size
    repeats: int
    calls: int
    side: int  # of the square matrices
    copied: int  # numbers
    rows: int  # of logits in the loss
    vocab: int
    losses: int  # steps that are compared

    @property
    def small(self) -> RunConfig:
        """A step with next to no work: what it takes is the host's time."""
        model = dataclasses.replace(self.run.model, block_size=8)
        return dataclasses.replace(
            self.run, model=model, train=dataclasses.replace(self.run.train, batch_size=1)
        )


def gpt2(batch_size: int) -> RunConfig:
    """GPT-2's preset with one whole batch a step."""
    train = dataclasses.replace(PRESETS["gpt2-124m"].train, batch_size=batch_size, micro_batch_size=None)
    return dataclasses.replace(PRESETS["gpt2-124m"], train=train)


FULL = Sizes(PRESETS["char-gpu"], gpt2(16), 3, 10, 8192, 2**28, 16 * 1024, 50257, 20)
SMALL = Sizes(TINY, TINY, 2, 2, 64, 2**12, 64, 300, 3)


def now() -> None:
    """Wait until the device is done."""
    if ON_GPU:
        torch.cuda.synchronize()


def span(times: list[float], unit: float = 1e3) -> dict:
    """Median, lowest and highest."""
    times = [unit * t for t in times]
    return {"median": statistics.median(times), "low": min(times), "high": max(times)}
