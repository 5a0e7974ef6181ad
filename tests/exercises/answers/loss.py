"""Right and wrong answers to the exercises of chapter 03, on which its checkers are tested."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from gptlib.loss import cross_entropy, evaluate


def by_running_mean(probabilities):
    mean = 0.0
    for i, p in enumerate(probabilities, start=1):
        mean += (math.log(p) - mean) / i
    return 1 / math.exp(mean)


def by_autograd(logits, targets):
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(cross_entropy(logits, targets), logits)[0]


def by_one_hot(logits, targets):
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / len(targets)


def overflowing(logits, targets):
    powers = logits.exp()
    return (powers / powers.sum(-1, keepdim=True) - F.one_hot(targets, logits.shape[-1])) / len(targets)


def in_place(logits, targets):
    logits.copy_(by_one_hot(logits, targets))
    return logits


def column_for_all(logits, targets):
    gradient = logits.softmax(-1)
    gradient[:, targets] -= 1  # in every row, not only its own
    return gradient / len(targets)


def token_by_token(model, tokens, block_size):
    losses = []
    for i in range(1, len(tokens)):
        start = (i - 1) // block_size * block_size
        losses.append(-F.log_softmax(model(tokens[None, start:i])[0, -1], -1)[tokens[i]].item())
    return sum(losses) / len(losses)


def windows(tokens, block_size):
    return [tokens[s : s + block_size + 1] for s in range(0, len(tokens) - 1, block_size)]


def mean_of(model, window):
    return cross_entropy(model(window[None, :-1])[0], window[1:]).item()


def rest_dropped(model, tokens, block_size):
    whole = [w for w in windows(tokens, block_size) if len(w) == block_size + 1]
    return sum(mean_of(model, w) for w in whole or windows(tokens, block_size)) / max(1, len(whole))


def mean_of_means(model, tokens, block_size):
    means = [mean_of(model, w) for w in windows(tokens, block_size)]
    return sum(means) / len(means)


def divided_by(extra):
    def loss(model, tokens, block_size):
        total = sum(mean_of(model, w) * (len(w) - 1) for w in windows(tokens, block_size))
        return total / (len(tokens) - 1 + extra)

    return loss


def boundary_lost(model, tokens, block_size):
    """Windows of block_size tokens, whose first token is never a target."""
    parts = [tokens[s : s + block_size] for s in range(0, len(tokens), block_size)]
    parts = [part for part in parts if len(part) > 1] or [tokens]
    total = sum(mean_of(model, part) * (len(part) - 1) for part in parts)
    return total / sum(len(part) - 1 for part in parts)


def not_shifted(model, tokens, block_size):
    parts = [tokens[s : s + block_size] for s in range(0, len(tokens) - 1, block_size)]
    total = sum(cross_entropy(model(part[None])[0], part).item() * len(part) for part in parts)
    return total / sum(len(part) for part in parts)


def sliding(model, tokens, block_size):
    """Every token with its full context: another number, though a sensible one."""
    losses = []
    for i in range(1, len(tokens)):
        logits = model(tokens[None, max(0, i - block_size) : i])
        losses.append(F.cross_entropy(logits[0, -1], tokens[i]).item())
    return sum(losses) / len(losses)


def by_loops(a, b, block):
    d = [y - x for x, y in zip(a, b, strict=True)]
    means = [sum(d[s : s + block]) / block for s in range(0, len(d) - block + 1, block)]
    centre = sum(means) / len(means)
    variance = sum((m - centre) ** 2 for m in means) / (len(means) - 1)
    return sum(d) / len(d), math.sqrt(variance / len(means))


def blocks(values, block):
    n = len(values) // block
    return values[: n * block].reshape(n, block).mean(axis=1)


def error_of(means, ddof=1):
    return means.std(ddof=ddof) / math.sqrt(len(means))


def separate(a, b, block):
    return (b - a).mean(), math.hypot(error_of(blocks(a, block)), error_of(blocks(b, block)))


ALTERNATIVES = {
    "perplexity": [by_running_mean, lambda p: float(np.exp(-np.log(p).mean()))],
    "loss_gradient": [by_one_hot, by_autograd],
    "exact_loss": [token_by_token, lambda m, t, n: evaluate(m, t, n, batch_size=1)],
    "compare": [by_loops],
}

BUGS = {
    "perplexity": {
        "the loss itself": lambda p: -sum(map(math.log, p)) / len(p),
        "mean of the probabilities": lambda p: len(p) / sum(p),
        "sum instead of mean": lambda p: math.exp(min(700, -sum(map(math.log, p)))),
        "base two": lambda p: 2 ** (-sum(map(math.log, p)) / len(p)),
        "sign forgotten": lambda p: math.exp(sum(map(math.log, p)) / len(p)),
        "the product underflows": lambda p: max(math.prod(p), 1e-300) ** (-1 / len(p)),
    },
    "loss_gradient": {
        "sum instead of mean": lambda z, t: by_one_hot(z, t) * len(t),
        "divided by the vocabulary": lambda z, t: by_one_hot(z, t) * len(t) / z.shape[1],
        "y - p": lambda z, t: -by_one_hot(z, t),
        "p alone": lambda z, t: z.softmax(-1) / len(t),
        "overflows": overflowing,
        "changes the logits": in_place,
        "every target in every row": column_for_all,
        "softmax over the rows": lambda z, t: (z.softmax(0) - F.one_hot(t, z.shape[1])) / len(t),
    },
    "exact_loss": {
        "rest dropped": rest_dropped,
        "mean of means": mean_of_means,
        "sum": lambda m, t, n: divided_by(0)(m, t, n) * (len(t) - 1),
        "divided by N": divided_by(1),
        "first token of each window never predicted": boundary_lost,
        "targets not shifted": not_shifted,
        "sliding window": sliding,
        "no batch dimension": lambda m, t, n: mean_of(lambda x: m(x[0])[None], t[: n + 1]),
        "window too long": lambda m, t, n: mean_of(m, t),
    },
    "compare": {
        "turned round": lambda a, b, n: by_loops(b, a, n),
        "deviation instead of error": lambda a, b, n: ((b - a).mean(), blocks(b - a, n).std(ddof=1)),
        "ddof 0": lambda a, b, n: ((b - a).mean(), error_of(blocks(b - a, n), ddof=0)),
        "characters as independent": lambda a, b, n: ((b - a).mean(), error_of(b - a)),
        "as if separate texts": separate,
        "rest left out of the mean": lambda a, b, n: (
            blocks(b - a, n).mean(),
            error_of(blocks(b - a, n)),
        ),
        "the mean alone": lambda a, b, n: (b - a).mean(),
    },
}
