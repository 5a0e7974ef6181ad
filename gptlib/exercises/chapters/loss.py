"""The checkers of chapter 03. Each calls the reader's function on inputs of several sizes and names the mistake."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def perplexity(attempt):
    """attempt(probabilities of the right tokens) -> exp of the mean of -ln p."""
    for probabilities in ([0.5, 0.5], [1.0], [0.25, 0.5, 0.125], [0.9, 0.001], [0.1, 0.4] * 5000):
        found = float(attempt(list(probabilities)))
        loss = -sum(map(math.log, probabilities)) / len(probabilities)
        mean = len(probabilities) / sum(probabilities)
        same = math.isclose(mean, math.exp(loss))
        expect(
            same or not math.isclose(found, mean), "take the mean of the logarithms, not of the probabilities"
        )
        expect(
            not math.isclose(found, loss) or loss == math.exp(loss),
            "that is the loss: the perplexity is its exp",
        )
        shown = f"{len(probabilities)} probabilities" if len(probabilities) > 9 else str(probabilities)
        expect(
            math.isclose(found, math.exp(loss)),
            f"for {shown} it is {math.exp(loss):.3f}, yours is {found:.3f}",
        )


@exercise(difficulty=2, minutes=10)
def loss_gradient(attempt):
    """attempt(logits [N, vocab], targets [N]) -> the gradient of the mean cross-entropy, [N, vocab]."""
    for N, vocab, scale, seed in ((1, 3, 1.0, 0), (5, 7, 1.0, 1), (4, 2, 3.0, 2), (6, 9, 1000.0, 3)):
        g = torch.Generator().manual_seed(seed)
        logits = scale * torch.randn(N, vocab, generator=g, dtype=torch.float64)
        targets = torch.randint(vocab, (N,), generator=g)
        given = logits.clone().requires_grad_()
        F.cross_entropy(given, targets).backward()
        right, before = given.grad, logits.clone()
        found = attempt(logits, targets)
        expect(
            torch.is_tensor(found) and found.shape == (N, vocab),
            f"the gradient must have shape [{N}, {vocab}]",
        )
        expect(torch.equal(logits, before), "your function changed the logits it was given: work on a copy")
        expect(
            bool(torch.isfinite(found).all()),
            "the gradient is not finite: exp of a large score overflows; use log_softmax(logits).exp()",
        )
        if torch.allclose(found, right, atol=1e-9):
            continue
        expect(
            not torch.allclose(found, N * right, atol=1e-9),
            f"this is the gradient of the sum of {N} losses; the mean needs a division by N",
        )
        expect(
            not torch.allclose(found, N * right / vocab, atol=1e-9),
            "divide by the number of rows, not by the size of the vocabulary",
        )
        expect(not torch.allclose(found, -right, atol=1e-9), "the sign is turned round: it is p − y")
        expect(
            not torch.allclose(found, logits.softmax(-1) / N, atol=1e-9),
            "that is p alone: take 1 away at the target of each row",
        )
        expect(
            False,
            f"N={N}, vocab={vocab}: off by {(found - right).abs().max():.3g}; row i is softmax(logits[i]) with 1 "
            "taken away at targets[i] only, divided by N",
        )


@exercise(difficulty=2, minutes=15)
def exact_loss(attempt):
    """attempt(model, tokens [N], block_size) -> the mean loss over N - 1 predictions, in consecutive windows."""
    vocab = 6
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(vocab, vocab, generator=g, dtype=torch.float64)
    for N, block_size, seed in ((9, 4, 1), (12, 4, 2), (8, 4, 3), (2, 5, 4), (30, 7, 5), (15, 1, 6)):
        lengths = []

        def model(idx, block_size=block_size, lengths=lengths):
            """Scores from the token and, a little, from the mean of those before it in its window."""
            expect(
                torch.is_tensor(idx) and idx.ndim == 2 and idx.shape[0] == 1,
                "give the model tokens of shape [1, T], with a batch dimension",
            )
            T = idx.shape[1]
            expect(
                1 <= T <= block_size,
                f"a window of {T} tokens: block_size={block_size} allows 1 to {block_size}",
            )
            lengths.append(T)
            now = rows[idx[0]]
            return (now + now.cumsum(0) / torch.arange(1, T + 1)[:, None])[None]

        tokens = torch.randint(vocab, (N,), generator=torch.Generator().manual_seed(seed))
        losses = []
        for i in range(1, N):
            start = (i - 1) // block_size * block_size
            losses.append(F.cross_entropy(model(tokens[None, start:i])[0, -1], tokens[i]).item())
        right = sum(losses) / len(losses)
        lengths.clear()
        found = float(attempt(model, tokens, block_size))
        if math.isclose(found, right, abs_tol=1e-5):
            continue
        windows = [losses[s : s + block_size] for s in range(0, N - 1, block_size)]
        whole = [loss for window in windows if len(window) == block_size for loss in window]
        what = f"{N} tokens, block_size={block_size}: "
        expect(
            not (whole and math.isclose(found, sum(whole) / len(whole), abs_tol=1e-5)),
            what + "the last, shorter window is missing",
        )
        expect(
            not math.isclose(found, sum(sum(w) / len(w) for w in windows) / len(windows), abs_tol=1e-5),
            what + "the short window counts as much as a full one: weight each mean by its number of targets",
        )
        expect(
            not math.isclose(found, sum(losses) / N, abs_tol=1e-5),
            what + f"there are {N - 1} predictions, not {N}: nothing predicts the first token",
        )
        expect(not math.isclose(found, sum(losses), abs_tol=1e-5), what + "that is the sum, not the mean")
        expect(
            sum(lengths) == N - 1,
            what
            + f"the windows' inputs must be the first {N - 1} tokens, each once; yours were {sum(lengths)}",
        )
        expect(
            False,
            what
            + f"it is {right:.3f}, yours is {found:.3f}; the target of each input is the token after it, "
            "and a window's first input starts with no context",
        )


@exercise(difficulty=3, minutes=15)
def compare(attempt):
    """attempt(a [N], b [N], block) -> (mean of b - a, its standard error from means of consecutive blocks)."""
    for N, block, seed in ((40, 4, 0), (43, 4, 1), (25, 10, 2), (300, 1, 3)):
        rng = np.random.default_rng(seed)
        hard = np.repeat(rng.exponential(1.0, N), 3)[:N]  # passages that are hard for both models
        a, b = hard + rng.exponential(0.5, N), hard + rng.exponential(0.6, N)
        found = attempt(a.copy(), b.copy(), block)
        try:
            mean, error = (float(value) for value in found)
        except (TypeError, ValueError):
            expect(False, "return two numbers: the mean of the difference and its standard error")
        d, n = b - a, N // block
        means = d[: n * block].reshape(n, block).mean(axis=1)
        what = f"{N} losses in blocks of {block}: "
        expect(
            not math.isclose(mean, -d.mean()),
            what + "the sign is turned round: it is b - a, positive where b is worse",
        )
        expect(
            n * block == N or not math.isclose(mean, means.mean()),
            what + "the mean is over all characters, also those that fill no block",
        )
        expect(math.isclose(mean, d.mean()), what + f"the mean is {d.mean():.4f}, yours is {mean:.4f}")
        right = means.std(ddof=1) / math.sqrt(n)
        if math.isclose(error, right):
            continue
        expect(
            not math.isclose(error, means.std(ddof=1)),
            what + "that is the deviation of the blocks; the error of their mean is smaller by √n",
        )
        expect(
            not math.isclose(error, means.std() / math.sqrt(n)),
            what + "the deviation needs n − 1 in the denominator: ddof=1",
        )
        expect(
            block == 1 or not math.isclose(error, d.std(ddof=1) / math.sqrt(N)),
            what + "that treats every character as an independent draw: use the means of blocks",
        )
        parts = [v[: n * block].reshape(n, block).mean(axis=1) for v in (a, b)]
        apart = math.sqrt(sum(p.var(ddof=1) for p in parts) / n)
        expect(
            not math.isclose(error, apart),
            what + "that is the error for two separate texts: subtract first, then take the blocks",
        )
        expect(False, what + f"the standard error is {right:.4f}, yours is {error:.4f}")
