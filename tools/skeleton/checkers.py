"""The checkers of chapter NN."""

import torch

from gptlib.exercises import exercise
from gptlib.exercises.answer import expect_close, tensor


@exercise(difficulty=1, minutes=5)
def running_mean(attempt):
    """attempt(losses [T]) -> [T]: entry t is the mean of losses 0 … t."""
    for T, seed in ((1, 0), (5, 1), (9, 2)):
        losses = torch.randn(T, generator=torch.Generator().manual_seed(seed))
        sums, counts = losses.cumsum(dim=0), torch.arange(1, T + 1)
        found = tensor(attempt(losses.clone()), (T,))
        mistakes = {
            f"entry t is a sum of t + 1 losses: divide it by t + 1, not by all {T}": sums / T,
            f"entry t is the mean of losses 0 to t, not of all {T}": losses.mean().expand(T),
            "loss t belongs to entry t: it is missing": (sums - losses) / counts,
        }
        expect_close(found, sums / counts, mistakes, f"for {T} losses: ")
