"""Solutions to the exercises of chapter NN, each after a line with its checker's name."""

import torch


# --- running_mean
def running_mean(losses):
    return losses.cumsum(dim=0) / torch.arange(1, len(losses) + 1)
