"""The checkers of chapter 03. Each calls the reader's function on inputs of several sizes and names the mistake."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import expect_close, number, parts, tensor
from gptlib.exercises.limits import without_autograd


@exercise(difficulty=1, minutes=5)
def perplexity(attempt):
    """attempt(probabilities of the right tokens) -> exp of the mean of -ln p."""
    for probabilities in ([0.25, 0.5, 0.125], [0.5, 0.5], [1.0], [0.9, 0.001], [0.1, 0.4] * 5000):
        N = len(probabilities)
        underflow = f"the product of {N} probabilities rounds to 0: add up logarithms"
        try:
            found = number(attempt(list(probabilities)), "the perplexity")
        except (OverflowError, ZeroDivisionError):
            expect(N < 10, underflow)
            raise
        expect(N < 10 or 2 < found < math.inf, underflow)
        total = -sum(map(math.log, probabilities))
        loss = total / N
        mistakes = {
            "that is the loss: the perplexity is its exp": loss,
            "take the mean of the logarithms, not of the probabilities": N / sum(probabilities),
            "take the mean of the losses, not their sum": math.exp(min(total, 700)),
            "the loss is in nats: its base is e, not 2": 2**loss,
            "the sign is missing: the loss is the mean of -ln p": math.exp(-loss),
        }
        shown = f"{N} probabilities" if N > 9 else str(probabilities)
        expect_close(found, math.exp(loss), mistakes, f"for {shown}: ")


@exercise(difficulty=2, minutes=10)
def loss_gradient(attempt):
    """attempt(logits [N, vocab], targets [N]) -> the gradient of the mean cross-entropy, [N, vocab]."""
    for N, vocab, scale, seed in ((5, 7, 1.0, 1), (1, 3, 1.0, 0), (4, 2, 3.0, 2), (6, 9, 1000.0, 3)):
        g = torch.Generator().manual_seed(seed)
        logits = scale * torch.randn(N, vocab, generator=g, dtype=torch.float64)
        targets = torch.randint(vocab, (N,), generator=g)
        given = logits.clone()
        with without_autograd():
            answer = attempt(given, targets.clone())
        found = tensor(answer, (N, vocab), "the gradient")
        expect(torch.equal(logits, given), "your function changed the logits it was given: work on a copy")
        expect(
            torch.isfinite(found).all(),
            "the gradient is not finite: exp of a large score overflows; use log_softmax(logits).exp()",
        )
        p, y = logits.softmax(-1), F.one_hot(targets, vocab)
        right = (p - y) / N
        in_every_row = (p - y.amax(dim=0)) / N
        mistakes = {
            "that is the gradient of the sum of the losses; the mean needs a division by N": N * right,
            "divide by the number of rows, not by the size of the vocabulary": N * right / vocab,
            "the sign is reversed: it is p − y": -right,
            "that is p alone: take 1 away at the target of each row": p / N,
            "1 is taken away at all targets in every row: row i only at targets[i]": in_every_row,
            "the softmax runs over the rows: each row is a distribution, dim=-1": (logits.softmax(0) - y) / N,
        }
        expect_close(found, right, mistakes, f"N={N}, vocab={vocab}: ")


@exercise(difficulty=2, minutes=15)
def exact_loss(attempt):
    """attempt(model, tokens [N], block_size) -> the mean loss over N - 1 predictions, in consecutive windows."""
    vocab = 6
    rows = torch.randn(vocab, vocab, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def scores(tokens):
        """Scores [T, vocab] from the token and, a little, from the mean of those before it in its window."""
        now = rows[tokens]
        return now + now.cumsum(0) / torch.arange(1, len(tokens) + 1)[:, None]

    for N, block_size, seed in ((12, 4, 2), (9, 4, 1), (8, 4, 3), (2, 5, 4), (30, 7, 5), (15, 1, 6)):
        lengths = []

        def model(idx, block_size=block_size, lengths=lengths):
            single = torch.is_tensor(idx) and idx.ndim == 2 and idx.shape[0] == 1
            expect(single, "give the model tokens of shape [1, T], with a batch dimension")
            T = idx.shape[1]
            expect(T > 0, "a window without tokens: the last one begins before token N - 1")
            expect(T <= block_size, f"a window of {T} tokens: block_size={block_size} is the most")
            lengths.append(T)
            return scores(idx[0])[None]

        tokens = torch.randint(vocab, (N,), generator=torch.Generator().manual_seed(seed))
        found = number(attempt(model, tokens.clone(), block_size), "the loss")
        hint = (
            f"the windows' inputs must be the first {N - 1} tokens, each once, yours were {sum(lengths)}; "
            "the target of each is the token after it"
        )
        right, mistakes = exact_and_mistaken(scores, tokens, block_size)
        expect_close(found, right, mistakes, f"{N} tokens, block_size={block_size}: ", hint)


def exact_and_mistaken(scores, tokens, block_size) -> tuple[float, dict]:
    """The exact loss, and what usual mistakes give, by the message for each."""
    N = len(tokens)

    def losses(inputs, targets):
        return F.cross_entropy(scores(inputs), targets, reduction="none")

    def with_full_context(i):
        context = tokens[max(0, i - block_size) : i]
        return F.cross_entropy(scores(context)[-1], tokens[i])

    inputs, targets = tokens[:-1].split(block_size), tokens[1:].split(block_size)
    windows = [losses(x, y) for x, y in zip(inputs, targets, strict=True)]
    every = torch.cat(windows)
    right = every.mean().item()
    whole = torch.cat([window for window in windows if len(window) == block_size] or windows)
    cut = torch.cat([losses(part[:-1], part[1:]) for part in tokens.split(block_size)])
    mistakes = {
        "the last, shorter window is missing": whole.mean(),
        "the short window counts as much as a full one: weight each mean by its number of targets": (
            torch.stack([window.mean() for window in windows]).mean()
        ),
        f"there are {N - 1} predictions, not {N}: nothing predicts the first token": every.sum() / N,
        "that is the sum, not the mean": every.sum(),
        "the targets are the inputs: shift them by one": (
            torch.cat([losses(part, part) for part in tokens.split(block_size)]).mean()
        ),
        "the token after each window is a target, too: take block_size + 1 tokens": (
            cut.mean() if len(cut) else right  # a window of one token has no target within itself
        ),
        "the windows overlap: each begins where the one before it ends": (
            torch.stack([with_full_context(i) for i in range(1, N)]).mean()
        ),
    }
    return right, mistakes


@exercise(difficulty=3, minutes=15)
def compare(attempt):
    """attempt(a [N], b [N], block) -> (mean of b - a, its standard error from means of consecutive blocks)."""
    for N, block, seed in ((43, 4, 1), (40, 4, 0), (25, 10, 2), (300, 1, 3)):
        rng = np.random.default_rng(seed)
        hard = np.repeat(rng.exponential(1.0, N), 3)[:N]  # passages that are hard for both models
        a, b = hard + rng.exponential(0.5, N), hard + rng.exponential(0.6, N)
        answer = attempt(a.copy(), b.copy(), block)
        mean, error = map(number, parts(answer, "the mean of the difference", "its standard error"))
        where = f"{N} losses in blocks of {block}: "
        n = N // block

        def means(values, n=n, block=block):
            return values[: n * block].reshape(n, block).mean(axis=1)

        d = b - a
        mistakes = {
            "the sign is reversed: it is b - a, positive where b is worse": -d.mean(),
            "the mean is over all characters, also those that fill no block": means(d).mean(),
            "that is the sum, not the mean": d.sum(),
        }
        expect_close(mean, d.mean(), mistakes, where + "the mean: ")
        deviation = means(d).std(ddof=1)
        separate = math.sqrt((means(a).var(ddof=1) + means(b).var(ddof=1)) / n)
        mistakes = {
            "that is the deviation of the blocks; the error of their mean is smaller by √n": deviation,
            "divide by √n, the root of the number of blocks, not by n": deviation / n,
            "the deviation needs n − 1 in the denominator: ddof=1": means(d).std() / math.sqrt(n),
            "every character is treated as an independent draw: use the means of blocks": (
                d.std(ddof=1) / math.sqrt(N)
            ),
            "that is the error for two separate texts: subtract first, then take the blocks": separate,
        }
        expect_close(error, deviation / math.sqrt(n), mistakes, where + "the standard error: ")
