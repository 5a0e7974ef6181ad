"""Cross-entropy and its gradient in one kernel, written in Triton: one program a row."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def loss_kernel(logits, targets, losses, gradients, vocab, rows, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    logits += row * vocab
    gradients += row * vocab
    largest = float("-inf")
    total = 0.0
    for start in range(0, vocab, BLOCK):
        places = start + tl.arange(0, BLOCK)
        x = tl.load(logits + places, mask=places < vocab, other=float("-inf")).to(tl.float32)
        before = largest
        largest = tl.maximum(before, tl.max(x, 0))
        total = total * tl.exp(before - largest) + tl.sum(tl.exp(x - largest), 0)
    target = tl.load(targets + row)
    tl.store(losses + row, tl.log(total) + largest - tl.load(logits + target).to(tl.float32))
    for start in range(0, vocab, BLOCK):
        places = start + tl.arange(0, BLOCK)
        x = tl.load(logits + places, mask=places < vocab, other=float("-inf")).to(tl.float32)
        p = tl.exp(x - largest) / total
        tl.store(gradients + places, (p - tl.where(places == target, 1.0, 0.0)) / rows, mask=places < vocab)


def loss_and_gradient(logits: Tensor, targets: Tensor, block: int = 4096) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of logits [rows, vocab] and its gradient, by one program for each row."""
    rows, vocab = logits.shape
    losses, gradients = torch.empty(rows, device=logits.device), torch.empty_like(logits)
    block = min(block, triton.next_power_of_2(vocab))
    loss_kernel[(rows,)](logits, targets, losses, gradients, vocab, rows, BLOCK=block, num_warps=8)
    return losses.mean(), gradients
