"""Solutions to the exercises of chapter 05, each after a line with its checker's name."""

import math

import torch

from gptlib.attention import attention_weights, causal_mask


# --- sliding_window_mask
def sliding_window_mask(T, window):
    return torch.ones(T, T, dtype=torch.bool).tril().triu(1 - window)


# --- multi_head_attention
def multi_head_attention(x, c_attn, c_proj, n_head):
    T, C = x.shape
    q, k, v = (part.view(T, n_head, C // n_head).transpose(0, 1) for part in (x @ c_attn.T).split(C, dim=1))
    y = attention_weights(q, k, causal_mask(T)) @ v  # [n_head, T, head_size]
    return y.transpose(0, 1).flatten(1) @ c_proj.T


# --- one_pass_attention
def one_pass_attention(q, pairs):
    largest, total, y = -math.inf, 0.0, 0.0
    for k, v in pairs:
        score = (q @ k).item() / math.sqrt(len(q))
        new = max(largest, score)
        shrink, weight = math.exp(largest - new), math.exp(score - new)
        total = shrink * total + weight
        y = shrink * y + weight * v
        largest = new
    return y / total


# --- leaks
def leaks(f, T, C):
    x = torch.randn(1, T, C)
    for j in range(1, T):
        changed = x.clone()
        changed[0, j] += torch.randn(C)  # another amount for each channel
        if (f(changed) - f(x))[0, :j].abs().max() > 0:
            return True
    return False
