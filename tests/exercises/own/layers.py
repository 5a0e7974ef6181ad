"""The layers of chapter 04, written by somebody else: other operations, the same interface."""

__all__ = ["Linear", "Embedding", "gelu_exact", "gelu", "LayerNorm", "Dropout"]

import math

import torch
from torch import nn


class Linear(nn.Module):
    def __init__(self, n_in, n_out, bias=True):
        super().__init__()
        weight = torch.empty(n_out, n_in).normal_(0.0, n_in**-0.5)
        self.weight = nn.Parameter(weight)
        self.register_parameter("bias", nn.Parameter(weight.new_zeros(n_out)) if bias else None)

    def forward(self, x):
        y = torch.einsum("...i,oi->...o", x, self.weight)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y


class Embedding(nn.Module):
    def __init__(self, n, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, dim).normal_())

    def forward(self, idx):
        rows = self.weight.index_select(0, idx.flatten())
        return rows.unflatten(0, idx.shape) if idx.ndim else rows[0]


def gelu_exact(x):
    return x * (1 - torch.erfc(x / 2**0.5) / 2)


def gelu(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(u))


class LayerNorm(nn.Module):
    def __init__(self, dim, bias=True):
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(dim))
        self.register_parameter("bias", nn.Parameter(torch.zeros(dim)) if bias else None)

    def forward(self, x):
        wide = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(wide, dim=-1, correction=0, keepdim=True)
        y = (wide - mean) / (variance + self.eps).sqrt() * self.weight
        return (y if self.bias is None else y + self.bias).type_as(x)


class Dropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        if p < 0 or p >= 1:
            raise ValueError(f"dropout={p}: choose at least 0 and less than 1")
        self.p = p

    def forward(self, x):
        if self.training and self.p > 0:
            keep = torch.rand(x.shape, device=x.device) >= self.p
            return torch.where(keep, x / (1 - self.p), torch.zeros_like(x))
        return x
