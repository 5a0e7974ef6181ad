import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

def log_softmax(logits: Float[Tensor, "... vocab"]) -> Float[Tensor, "... vocab"]:
    """Logarithms of the softmax probabilities, safe for logits of any size.

    Subtracting the largest logit changes no probability and keeps exp from overflowing.
    """
    shifted = logits - logits.amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def cross_entropy(logits: Float[Tensor, "*batch vocab"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Mean of -log p(target), in nats. logits [..., vocab], targets int64 [...] -> scalar (at least float32).

    A model that knows nothing gives equal logits, and the loss is ln(vocab).
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_p = log_softmax(logits).gather(-1, targets.unsqueeze(-1))  # [..., 1]
    return -log_p.mean()

@torch.no_grad()
def evaluate(model, tokens, block_size: int, batch_size: int = 64) -> float:
    """The exact mean loss, in nats per token, over every token of `tokens` but the first.

    Cuts `tokens` into consecutive windows of `block_size` (the last may be shorter), so nothing is drawn at random
    and `batch_size` changes only speed and memory. `model` maps int64 [B, T] to logits [B, T, vocab]; if it is an
    nn.Module it is put into eval mode meanwhile. ValueError for fewer than two tokens.
    """
    tokens = torch.as_tensor(tokens)
    if len(tokens) < 2:
        raise ValueError(f"{len(tokens)} tokens: a loss needs at least two, one to look at and one to predict")
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    inputs, targets = tokens[:-1].long(), tokens[1:].long()
    full = len(inputs) // block_size * block_size  # how many tokens whole windows hold
    whole = [part[:full].view(-1, block_size).split(batch_size) for part in (inputs, targets)]
    rest = (inputs[None, full:], targets[None, full:])
    total = 0.0
    try:
        for x, y in [*zip(*whole, strict=True), rest]:
            if y.numel():
                total += cross_entropy(model(x), y).item() * y.numel()
    finally:
        if was_training:
            model.train()
    return total / len(targets)


def bits_per_character(loss: float, n_tokens: int, n_characters: int) -> float:
    """Nats per token -> bits per character, the unit in which different tokenizers can be compared."""
    return loss * n_tokens / n_characters / math.log(2)

class NGram:
    """A table of what followed the last order - 1 tokens, mixed with shorter histories (Witten-Bell).

    p_k(c | h) = (count(hc) + distinct(h) · p_(k-1)(c | shorter h)) / (count(h) + distinct(h)), and p_0 = 1 / vocab:
    a history that was followed by many different tokens trusts its own counts less.
    Witten and Bell (1991). Order 0 is the uniform guess, order 1 single characters.
    """

    def __init__(self, order: int):
        if order < 0:
            raise ValueError(f"order={order} must be at least 0")
        self.order = order

    def fit(self, tokens, vocab_size: int) -> "NGram":
        """Count all sequences of up to `order` tokens. ValueError when there are too few, or codes beyond 64 bits."""
        if self.order * math.log2(vocab_size) >= 63:
            raise ValueError(f"order={self.order} with vocab_size={vocab_size} does not fit into 64-bit codes")
        self.vocab_size, self.tables = vocab_size, []
        tokens = np.asarray(tokens, dtype=np.int64)
        if len(tokens) < self.order:
            raise ValueError(f"{len(tokens)} tokens are too few to count sequences of order={self.order}")
        for k in range(1, self.order + 1):
            grams, counts = np.unique(self.codes(tokens, k), return_counts=True)
            contexts, first = np.unique(grams // vocab_size, return_index=True)
            totals = np.add.reduceat(counts, first)
            distinct = np.diff(np.append(first, len(grams)))
            self.tables.append((grams, counts, contexts, totals, distinct))
        return self

    def codes(self, tokens: np.ndarray, k: int) -> np.ndarray:
        """Each run of k tokens as one number, in base vocab_size: int64 [N - k + 1]."""
        codes = np.zeros(max(0, len(tokens) - k + 1), dtype=np.int64)
        for i in range(k):
            codes = codes * self.vocab_size + tokens[i : i + len(codes)]
        return codes

    def mix(self, p: np.ndarray, codes: np.ndarray, k: int) -> np.ndarray:
        """Probabilities of order k from those of order k - 1, for the given k-grams."""
        grams, counts, contexts, totals, distinct = self.tables[k - 1]
        count = look_up(grams, counts, codes)
        history = codes // self.vocab_size
        total, kinds = look_up(contexts, totals, history), look_up(contexts, distinct, history)
        return np.where(total > 0, (count + kinds * p) / np.maximum(total + kinds, 1), p)

    def loss(self, tokens) -> float:
        """Mean -log p in nats over every token but the first, each with as much history as the order allows."""
        tokens = np.asarray(tokens, dtype=np.int64)
        if len(tokens) < 2:
            raise ValueError(f"{len(tokens)} tokens: a loss needs at least two, one to look at and one to predict")
        p = np.full(len(tokens), 1 / self.vocab_size)
        for k in range(1, self.order + 1):
            p[k - 1 :] = self.mix(p[k - 1 :], self.codes(tokens, k), k)
        return float(-np.log(p[1:]).mean())

    def probabilities(self, context) -> np.ndarray:
        """The distribution over the next token after `context`: float64 [vocab_size]."""
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        context = [int(token) for token in context]
        for k in range(1, min(self.order, len(context) + 1) + 1):
            history = 0
            for token in context[len(context) - k + 1 :]:
                history = history * self.vocab_size + token
            p = self.mix(p, history * self.vocab_size + np.arange(self.vocab_size), k)
        return p


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key in a sorted table, 0 where the table has no such key."""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def ladder(train_tokens, val_tokens, vocab_size: int, orders=range(6)) -> dict[str, float]:
    """Validation loss in nats per token of n-gram tables of each order: the rungs that a model has to pass."""
    name = {0: "uniform"}
    return {name.get(n, f"{n}-gram"): NGram(n).fit(train_tokens, vocab_size).loss(val_tokens) for n in orders}
