"""Solutions to the exercises of chapter 04, each after a line with its checker's name."""

import math

import torch


# --- rms_norm
def rms_norm(x, weight, eps=1e-5):
    return x * torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + eps) * weight


# --- linear_backward
def linear_backward(dY, X, W):
    return dY @ W, dY.T @ X, dY.sum(dim=0)


# --- gelu_slope
def gelu_slope(x):
    below = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    bell = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return below + x * bell
