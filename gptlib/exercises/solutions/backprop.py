"""Solutions to the exercises of chapter 08, each after a line with its checker's name."""

import torch


# --- average_backward
def average_backward(grad_out):
    shares = grad_out / torch.arange(1, len(grad_out) + 1, dtype=grad_out.dtype)[:, None]
    return shares.flip(0).cumsum(0).flip(0)  # from each position to the end


# --- rms_norm_backward
def rms_norm_backward(grad_out, x, weight, eps):
    r = torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + eps)
    x_hat, grad_hat = x * r, grad_out * weight
    grad_x = r * (grad_hat - x_hat * (grad_hat * x_hat).mean(dim=-1, keepdim=True))
    return grad_x, (grad_out * x_hat).reshape(-1, len(weight)).sum(dim=0)
