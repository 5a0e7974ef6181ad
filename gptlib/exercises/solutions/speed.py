"""Solutions to the exercises of chapter 14, each after a line with its checker's name."""

import torch


# --- predicted_step
def predicted_step(kernels, host, faster, host_faster=1.0):
    device = sum(ms / faster.get(kind, 1) for kind, ms in kernels)
    launches = host / host_faster
    return max(device, launches), "device" if device > launches else "host"


# --- diagnosis
def diagnosis():
    return {
        "A": "precision",  # the device decides, and 70 of its 88 ms are products in float32
        "B": "fuse",  # the device has 27 ms of work, of which 24 go number by number
        "C": "record",  # the host decides: 11 ms against 7
        "D": "no_reads",  # longer than both: they wait for each other
        "E": "nothing",  # bf16, fused and recorded already, and no read makes it wait
    }


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
