"""The checkers of chapter NN."""

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def running_mean(attempt):
    """attempt(losses [T]) -> [T]: entry t is the mean of losses 0 … t."""
    for T, seed in ((1, 0), (5, 1), (9, 2)):
        losses = torch.randn(T, generator=torch.Generator().manual_seed(seed))
        found = torch.as_tensor(attempt(losses.clone()))
        expect(found.shape == (T,), f"{T} losses have {T} means, yours has the shape {list(found.shape)}")
        right = losses.cumsum(dim=0) / torch.arange(1, T + 1)
        if torch.allclose(found, right, atol=1e-5):
            continue
        t = int((found - right).abs().argmax())
        expect(
            not torch.allclose(found, losses.cumsum(dim=0) / T, atol=1e-5),
            f"entry {t} is the mean of {t + 1} losses: divide its sum by {t + 1}, not by all {T}",
        )
        expect(
            not torch.allclose(found, losses.mean().expand(T), atol=1e-5),
            f"entry {t} is the mean of losses 0 to {t}, not of all {T}",
        )
        expect(False, f"entry {t} must be {right[t]:.4f}, the mean of losses 0 to {t}, not {found[t]:.4f}")
