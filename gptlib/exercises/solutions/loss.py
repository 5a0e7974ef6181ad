"""Solutions to the exercises of chapter 03, each after a line with its checker's name."""

import math

import numpy as np
import torch

from gptlib.loss import cross_entropy, log_softmax


# --- perplexity
def perplexity(probabilities):
    return math.exp(-sum(math.log(p) for p in probabilities) / len(probabilities))


# --- loss_gradient
def loss_gradient(logits, targets):
    gradient = log_softmax(logits).exp()  # a new tensor: the logits stay as they are
    gradient[torch.arange(len(targets)), targets] -= 1
    return gradient / len(targets)


# --- exact_loss
def exact_loss(model, tokens, block_size):
    total = 0.0
    for start in range(0, len(tokens) - 1, block_size):
        window = tokens[start : start + block_size + 1]
        total += cross_entropy(model(window[None, :-1])[0], window[1:]).item() * (len(window) - 1)
    return total / (len(tokens) - 1)


# --- compare
def compare(a, b, block):
    difference = np.asarray(b) - np.asarray(a)
    n = len(difference) // block
    means = difference[: n * block].reshape(n, block).mean(axis=1)
    return difference.mean(), means.std(ddof=1) / math.sqrt(n)
