"""Solutions to the exercises of chapter 14, each after a line with its checker's name."""

import torch


# --- product_time
def product_time(m, k, n, width, peak, bandwidth):
    computing = 2 * m * k * n / peak
    moving = width * (m * k + k * n + m * n) / bandwidth
    return max(computing, moving), moving > computing


# --- recorded
def recorded(record, function, x):
    buffer, out = x.clone(), torch.empty_like(x)
    replay = record(function, buffer, out)

    def call(new):
        buffer.copy_(new)
        replay()
        return out.clone()

    return call


# --- one_pass
def one_pass(chunks):
    n, mean, squares = 0, 0.0, 0.0
    for chunk in chunks:
        m, own = len(chunk), chunk.mean().item()
        delta = own - mean
        squares += ((chunk - own) ** 2).sum().item() + delta**2 * n * m / (n + m)
        mean += delta * m / (n + m)
        n += m
    return mean, squares / n
