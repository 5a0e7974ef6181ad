"""Right and wrong answers to the exercises of chapter NN, on which its checkers are tested."""

import torch


def one_by_one(losses):
    """A right answer in another way: a list, one mean after the other."""
    return [losses[: t + 1].mean().item() for t in range(len(losses))]


def without_newest(losses):
    return (losses.cumsum(dim=0) - losses) / torch.arange(1, len(losses) + 1)


ALTERNATIVES = {
    "running_mean": [one_by_one],
}

# name -> a wrong answer, and what the checker's message must contain
BUGS = {
    "running_mean": {
        "divided by all": (lambda losses: losses.cumsum(dim=0) / len(losses), "divide it by t + 1"),
        "mean of all": (lambda losses: losses.mean().expand(len(losses)), "not of all"),
        "newest one missing": (without_newest, "it is missing"),
        "one number": (lambda losses: losses.mean(), "shape"),
    },
}
