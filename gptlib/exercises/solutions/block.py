"""Solutions to the exercises of chapter 06, each after a line with its checker's name."""

import torch


# --- block_parameters
def block_parameters(n_embd, bias=True):
    matrices, scales, biases = 12 * n_embd**2, 2 * n_embd, (3 + 1 + 4 + 1 + 1 + 1) * n_embd
    return matrices + scales + (biases if bias else 0)


# --- parallel_block
def parallel_block(x, ln, attn, mlp):
    normalised = ln(x)
    return x + attn(normalised) + mlp(normalised)


# --- begin_as_nothing
@torch.no_grad()
def begin_as_nothing(block):
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        projection.weight.zero_()
        projection.bias.zero_()
