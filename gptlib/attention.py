import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gptlib.layers import Dropout, Linear

def causal_mask(T: int, device=None) -> Bool[Tensor, "T T"]:
    """Who may look at whom: entry [t, s] is True when position t may look at position s, that is, s ≤ t."""
    return torch.ones(T, T, dtype=torch.bool, device=device).tril()


def attention_weights(
    q: Float[Tensor, "*heads T head_size"], k: Float[Tensor, "*heads S head_size"], mask: Bool[Tensor, "T S"] | None = None
) -> Float[Tensor, "*heads T S"]:
    """softmax(q kᵀ / √head_size), with -inf wherever the mask is False: each row is a distribution over positions."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1)

class CausalSelfAttention(nn.Module):
    """All heads of one layer: x [B, T, C] -> [B, T, C], position t sees positions 0 … t.

    `fused = False` switches from PyTorch's fused kernel to the explicit path, which computes the same.
    """

    def __init__(self, n_embd: int, n_head: int, block_size: int, dropout: float = 0.0, bias: bool = True):
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"n_embd={n_embd} is not divisible by n_head={n_head}: every head gets an equal share")
        self.n_head, self.block_size = n_head, block_size
        self.c_attn = Linear(n_embd, 3 * n_embd, bias)  # queries, keys and values of all heads at once
        self.c_proj = Linear(n_embd, n_embd, bias)
        self.attn_dropout = Dropout(dropout)
        self.resid_dropout = Dropout(dropout)
        self.fused = True

    def forward(self, x: Float[Tensor, "B T C"], cache=None) -> Float[Tensor, "B T C"]:
        q, k, v = self.split_heads(x)  # each [B, n_head, T, head_size]
        if cache is not None:
            k, v = cache.append(k, v)  # [B, n_head, S, head_size], S ≥ T
        T, S = q.shape[-2], k.shape[-2]
        mask = self.mask(T, S, x.device)
        if self.fused:
            p = self.attn_dropout.p if self.training else 0.0
            whole = T == S
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=None if whole else mask, dropout_p=p, is_causal=whole)
        else:
            y = self.attn_dropout(attention_weights(q, k, mask)) @ v
        y = y.transpose(1, 2).flatten(2)  # [B, T, C]: the heads side by side again
        return self.resid_dropout(self.c_proj(y))

    def split_heads(self, x: Float[Tensor, "B T C"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, n_head, T, head_size]."""
        B, T, C = x.shape
        q, k, v = self.c_attn(x).split(C, dim=-1)
        return tuple(t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v))

    def mask(self, T: int, S: int, device) -> Bool[Tensor, "T S"]:
        """The last T rows of the causal mask of S positions; ValueError beyond block_size."""
        if S > self.block_size:
            raise ValueError(f"T={S} exceeds block_size={self.block_size}: crop the context")
        return causal_mask(S, device)[S - T :]

    @torch.no_grad()
    def weights(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B n_head T T"]:
        """Who looks at whom, for every head. Computed anew: nothing is stored on the module."""
        q, k, _ = self.split_heads(x)
        T = x.shape[1]
        return attention_weights(q, k, self.mask(T, T, x.device))
