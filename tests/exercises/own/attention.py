"""The attention of chapter 05, written by somebody else: one head after the other, no fused kernel."""

__all__ = ["AttentionCache", "causal_mask", "attention_weights", "CausalSelfAttention"]

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from .layers import Dropout, Linear


@runtime_checkable
class AttentionCache(Protocol):
    def append(self, k, v): ...


def causal_mask(T, device=None):
    position = torch.arange(T, device=device)
    return position.unsqueeze(1) >= position


def attention_weights(q, k, mask=None):
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.full_like(scores, float("-inf")))
    exponentials = (scores - scores.amax(-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


class CausalSelfAttention(nn.Module):
    def __init__(self, n_embd, n_head, block_size, dropout=0.0, bias=True):
        super().__init__()
        if n_embd % n_head != 0:
            raise ValueError(f"n_embd={n_embd} cannot be shared equally by n_head={n_head} heads")
        self.n_head, self.block_size, self.fused = n_head, block_size, True
        self.c_attn = Linear(n_embd, 3 * n_embd, bias)
        self.c_proj = Linear(n_embd, n_embd, bias)
        self.attn_dropout, self.resid_dropout = Dropout(dropout), Dropout(dropout)

    def split_heads(self, x):
        heads = (
            self.c_attn(x).unflatten(-1, (3, self.n_head, -1)).movedim(-2, -4)
        )  # [B, n_head, T, 3, head_size]
        return heads.unbind(-2)

    def mask(self, T, S, device):
        return causal_mask(S, device)[S - T :]

    def check_length(self, S):
        if S > self.block_size:
            raise ValueError(f"T={S} exceeds block_size={self.block_size}: crop the context")

    def forward(self, x, cache=None):
        q, k, v = self.split_heads(x)
        if cache is not None:
            k, v = cache.append(k, v)
        T, S = q.shape[2], k.shape[2]
        self.check_length(S)
        mask = self.mask(T, S, x.device)
        heads = []
        for h in range(self.n_head):
            weights = self.attn_dropout(attention_weights(q[:, h], k[:, h], mask))
            heads.append(weights @ v[:, h])
        return self.resid_dropout(self.c_proj(torch.cat(heads, dim=-1)))

    @torch.no_grad()
    def weights(self, x):
        q, k, _ = self.split_heads(x)
        T = x.shape[1]
        self.check_length(T)
        return attention_weights(q, k, self.mask(T, T, x.device))
