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


def in_float32(probabilities):
    return torch.tensor(probabilities).log().mean().neg().exp()


ALTERNATIVES = {
    "perplexity": [by_running_mean, lambda p: float(np.exp(-np.log(p).mean())), in_float32],
    "loss_gradient": [by_one_hot, lambda z, t: by_one_hot(z.float(), t).numpy()],
    "exact_loss": [
        token_by_token,
        lambda m, t, n: evaluate(m, t, n, batch_size=1),
        lambda m, t, n: torch.tensor(token_by_token(m, t, n), dtype=torch.float32),
    ],
    "compare": [
        by_loops,
        lambda a, b, n: np.float32(by_loops(a, b, n)),
        lambda a, b, n: by_loops(a.astype(np.float32), b.astype(np.float32), n),
    ],
}

BUGS = {
    "perplexity": {
        "the loss itself": (lambda p: -sum(map(math.log, p)) / len(p), "that is the loss"),
        "mean of the probabilities": (lambda p: len(p) / sum(p), "mean of the logarithms"),
        "sum instead of mean": (lambda p: math.exp(min(700, -sum(map(math.log, p)))), "not their sum"),
        "base two": (lambda p: 2 ** (-sum(map(math.log, p)) / len(p)), "base"),
        "sign forgotten": (lambda p: math.exp(sum(map(math.log, p)) / len(p)), "sign"),
        "the product underflows": (lambda p: max(math.prod(p), 1e-300) ** (-1 / len(p)), "rounds to 0"),
        "divides by the product": (lambda p: (1 / math.prod(p)) ** (1 / len(p)), "rounds to 0"),
        "float16": (lambda p: torch.tensor(p).half().log().mean().neg().exp(), "yours is"),
        "nothing returned": (lambda p: None, "must be a number"),
    },
    "loss_gradient": {
        "sum instead of mean": (lambda z, t: by_one_hot(z, t) * len(t), "division by N"),
        "divided by the vocabulary": (
            lambda z, t: by_one_hot(z, t) * len(t) / z.shape[1],
            "size of the vocabulary",
        ),
        "y - p": (lambda z, t: -by_one_hot(z, t), "sign"),
        "p alone": (lambda z, t: z.softmax(-1) / len(t), "p alone"),
        "overflows": (overflowing, "overflows"),
        "changes the logits": (in_place, "work on a copy"),
        "every target in every row": (column_for_all, "in every row"),
        "softmax over the rows": (
            lambda z, t: (z.softmax(0) - F.one_hot(t, z.shape[1])) / len(t),
            "over the rows",
        ),
        "by autograd": (by_autograd, "autograd"),
    },
    "exact_loss": {
        "rest dropped": (rest_dropped, "shorter window is missing"),
        "mean of means": (mean_of_means, "weight each mean"),
        "sum": (lambda m, t, n: divided_by(0)(m, t, n) * (len(t) - 1), "the sum"),
        "divided by N": (divided_by(1), "predictions, not"),
        "the token after each window is no target": (boundary_lost, "block_size + 1"),
        "targets not shifted": (not_shifted, "shift them"),
        "sliding window": (sliding, "overlap"),
        "no batch dimension": (
            lambda m, t, n: mean_of(lambda x: m(x[0])[None], t[: n + 1]),
            "batch dimension",
        ),
        "window too long": (lambda m, t, n: mean_of(m, t), "is the most"),
        "the first window only": (lambda m, t, n: mean_of(m, t[: n + 1]), "each once"),
    },
    "compare": {
        "sign reversed": (lambda a, b, n: by_loops(b, a, n), "sign"),
        "deviation instead of error": (
            lambda a, b, n: ((b - a).mean(), blocks(b - a, n).std(ddof=1)),
            "smaller by √n",
        ),
        "divided by n": (
            lambda a, b, n: ((b - a).mean(), blocks(b - a, n).std(ddof=1) / (len(a) // n)),
            "not by n",
        ),
        "ddof 0": (lambda a, b, n: ((b - a).mean(), error_of(blocks(b - a, n), ddof=0)), "ddof=1"),
        "characters as independent": (lambda a, b, n: ((b - a).mean(), error_of(b - a)), "independent"),
        "as if separate texts": (separate, "separate texts"),
        "rest left out of the mean": (
            lambda a, b, n: (blocks(b - a, n).mean(), error_of(blocks(b - a, n))),
            "fill no block",
        ),
        "the mean alone": (lambda a, b, n: (b - a).mean(), "2 values"),
    },
}
