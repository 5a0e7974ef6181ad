"""Cross-entropy against PyTorch, exact evaluation against a plain loop, n-grams against dictionaries."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gptlib.data import load_corpus, split
from gptlib.loss import NGram, bits_per_character, cross_entropy, evaluate, ladder, log_softmax
from gptlib.ngram import PlainNGram, best_ngram
from gptlib.tokenizer import CharTokenizer


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- cross-entropy


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 5, 65), (2, 1, 1), (7, 11), (9,)])
def test_cross_entropy_equals_torch(shape, dtype, tolerance):
    logits = torch.randn(shape, generator=seeded(), dtype=dtype) * 5
    targets = torch.randint(0, shape[-1], shape[:-1], generator=seeded(1))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = cross_entropy(ours, targets)
    expected = F.cross_entropy(theirs.reshape(-1, shape[-1]), targets.reshape(-1))
    loss.backward()
    expected.backward()
    assert loss.shape == () and loss.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1e4, -1e4, 3e38])
def test_extreme_logits(size):
    logits = torch.tensor([[size, 0.0, -size], [0.0, size / 2, size]], requires_grad=True)
    targets = torch.tensor([0, 2])
    loss = cross_entropy(logits, targets)
    loss.backward()
    assert loss.item() == F.cross_entropy(logits.detach(), targets).item()
    assert torch.isfinite(logits.grad).all()


def test_log_softmax_equals_torch():
    x = torch.randn(4, 3, 9, generator=seeded(), dtype=torch.float64) * 30
    torch.testing.assert_close(log_softmax(x), F.log_softmax(x, dim=-1), rtol=1e-13, atol=1e-13)
    assert torch.autograd.gradcheck(log_softmax, x[0].clone().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    logits = (torch.randn(64, 300, generator=seeded()) * 4).to(dtype)
    targets = torch.randint(0, 300, (64,), generator=seeded(1))
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), targets))


def test_knowing_nothing_costs_the_logarithm_of_the_vocabulary():
    assert cross_entropy(torch.zeros(3, 65), torch.tensor([0, 30, 64])).item() == pytest.approx(math.log(65))


def test_bits_per_character():
    # one bit per token, two characters per token
    assert bits_per_character(math.log(2), n_tokens=50, n_characters=100) == pytest.approx(0.5)


# --- evaluation


class Table(nn.Module):
    """Logits from the two tokens before, and dropout, so that positions and the mode matter."""

    def __init__(self, vocab_size=7, dropout=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, vocab_size, generator=seeded()))
        self.dropout = nn.Dropout(dropout)

    def forward(self, idx):
        now = self.weight[idx]
        return self.dropout(now + 0.5 * F.pad(now, (0, 0, 1, 0))[:, :-1])


def evaluate_plainly(model, tokens, block_size) -> float:
    """Token by token: what is predicted for it from the start of its window on."""
    model.eval()
    losses = []
    for i in range(1, len(tokens)):
        start = (i - 1) // block_size * block_size
        logits = model(torch.tensor([tokens[start:i]]))[0, -1]
        losses.append(-math.log(logits.double().softmax(-1)[tokens[i]].item()))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("length", [2, 3, 8, 9, 10, 100, 129])
@pytest.mark.parametrize("block_size", [1, 8, 1000])
def test_evaluate_equals_a_plain_loop(length, block_size):
    tokens = torch.randint(0, 7, (length,), generator=seeded(length)).tolist()
    model = Table()
    expected = evaluate_plainly(model, tokens, block_size)
    model.train()
    losses = [evaluate(model, tokens, block_size, batch_size) for batch_size in (1, 2, 3, 64)]
    assert losses == pytest.approx([expected] * 4, abs=1e-6)
    assert model.training and model.dropout.training  # as it was before
    model.eval()
    evaluate(model, torch.tensor(tokens), block_size)
    assert not model.training


def test_evaluate_keeps_no_graph_and_takes_any_callable():
    tokens = torch.randint(0, 7, (50,), generator=seeded())
    loss = evaluate(lambda idx: torch.zeros(*idx.shape, 7), tokens, 8)
    assert isinstance(loss, float) and loss == pytest.approx(math.log(7), abs=1e-6)
    model = Table()
    evaluate(model, tokens, 8)
    assert model.weight.grad is None


def test_the_mode_comes_back_after_an_error():
    model = Table().train()
    with pytest.raises(IndexError):
        evaluate(model, [1, 2, 99, 1], 8)
    assert model.training


@pytest.mark.parametrize("tokens", [[], [3]])
def test_evaluate_needs_two_tokens(tokens):
    with pytest.raises(ValueError, match=f"{len(tokens)} tokens"):
        evaluate(Table(), torch.tensor(tokens, dtype=torch.long), 8)


# --- n-grams


def witten_bell(train, history, vocab_size) -> np.ndarray:
    """The distribution after `history`, by the definition: dictionaries and one order after the other."""
    p = np.full(vocab_size, 1 / vocab_size)
    for n in range(len(history) + 1):
        context = tuple(history[len(history) - n :])
        followers = Counter(train[i + n] for i in range(len(train) - n) if tuple(train[i : i + n]) == context)
        if followers:
            counts = np.array([followers[c] for c in range(vocab_size)])
            p = (counts + len(followers) * p) / (counts.sum() + len(followers))
    return p


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_ngrams_equal_dictionaries(order):
    rng = np.random.default_rng(order)
    train, val = rng.integers(0, 4, 120).tolist(), rng.integers(0, 5, 40).tolist()  # 4 never occurs in train
    table = NGram(order).fit(train, 5)
    losses = []
    for i in range(1, len(val)):
        history = val[max(0, i - max(order - 1, 0)) : i]
        expected = witten_bell(train, history, 5) if order else np.full(5, 0.2)
        np.testing.assert_allclose(table.probabilities(history), expected, rtol=1e-12)
        np.testing.assert_allclose(
            table.probabilities(val[:i]), expected, rtol=1e-12
        )  # looks no further back
        losses.append(-math.log(expected[val[i]]))
    assert table.loss(val) == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_probabilities_sum_to_one():
    tokens = np.random.default_rng(0).integers(0, 9, 300)
    table = NGram(4).fit(tokens, 9)
    for context in ([], [3], [1, 2], [8, 8, 8], [0, 1, 2, 3, 4, 5], torch.tensor([7, 7])):
        p = table.probabilities(context)
        assert p.shape == (9,) and p.min() > 0 and p.sum() == pytest.approx(1)


def test_impossible_orders():
    with pytest.raises(ValueError, match="order=-1"):
        NGram(-1)
    with pytest.raises(ValueError, match="order=12.*vocab_size=65"):
        NGram(12).fit([1, 2], 65)
    with pytest.raises(ValueError, match="2 tokens are too few.*order=3"):
        NGram(3).fit([1, 2], 65)
    with pytest.raises(ValueError, match="1 tokens"):
        NGram(1).fit([1, 2], 65).loss([1])


@pytest.mark.parametrize("order", [0, 1, 3, 6])
def test_the_plain_table_equals_the_fast_one(order):
    rng = np.random.default_rng(order)
    train, val = rng.integers(0, 4, 200).tolist(), rng.integers(0, 5, 50).tolist()
    plain, fast = PlainNGram(order).fit(train, 5), NGram(order).fit(train, 5)
    np.testing.assert_allclose(plain.losses(val), fast.losses(val), rtol=1e-12)
    np.testing.assert_allclose(plain.probabilities(val[:9]), fast.probabilities(val[:9]), rtol=1e-12)
    assert plain.loss(val) == pytest.approx(fast.loss(val))


def test_caution_multiplies_the_weight_of_the_shorter_history():
    table = NGram(2, caution=3).fit([0, 1, 0, 2, 0, 1], 3)
    single = [(n + 9 / 3) / (6 + 9) for n in (3, 2, 1)]  # 3 kinds among 6 tokens, weight 9
    after_0 = [(n + 6 * p) / (3 + 6) for n, p in zip((0, 2, 1), single, strict=True)]  # 2 kinds
    assert table.probabilities([0]) == pytest.approx(after_0)
    with pytest.raises(ValueError, match="caution=0"):
        NGram(2, caution=0)


def test_losses_for_many_cautions_at_once():
    rng = np.random.default_rng(0)
    train, val = rng.integers(0, 4, 300), rng.integers(0, 4, 60)
    grid = NGram(4).fit(train, 4).loss_grid(val, (0.5, 1, 10))
    for row, caution in zip(grid, (0.5, 1, 10), strict=True):
        assert row == pytest.approx([NGram(n, caution).fit(train, 4).loss(val) for n in range(1, 5)])


def test_the_best_table_is_chosen_on_the_training_text():
    tokens = torch.tensor([0, 1, 2, 3, 4, 5, 1, 6] * 50)  # after 1 the token depends on the one before it
    best = best_ngram(tokens, 7, max_order=3, cautions=(1, 5))
    assert (best.order, best.caution) == (3, 1)
    assert best.loss(tokens[:80]) == NGram(3).fit(tokens, 7).loss(tokens[:80])
    noise = np.random.default_rng(1).integers(0, 3, 400)
    assert best_ngram(noise, 3).order == 1 or best_ngram(noise, 3).caution == 20
    with pytest.raises(ValueError, match="19 tokens"):
        best_ngram(range(19), 20)
    assert best_ngram(np.arange(30) % 7, 100_000).order <= 3  # four tokens would need more than 63 bits


@pytest.mark.tinyshakespeare
def test_the_best_rung_of_tinyshakespeare():
    text = load_corpus().text
    rungs = ladder(*split(CharTokenizer.from_text(text).encode(text)), 65)
    assert list(rungs)[-1] == "best n-gram" and rungs["best n-gram"] == pytest.approx(1.521, abs=1e-3)


@pytest.mark.tinyshakespeare
def test_the_loss_ladder_of_tinyshakespeare():
    text = load_corpus().text
    tokens = CharTokenizer.from_text(text).encode(text)
    rungs = ladder(*split(tokens), 65, orders=range(7))
    assert list(rungs) == ["uniform"] + [f"{n}-gram" for n in range(1, 7)]
    expected = [4.174, 3.347, 2.486, 2.049, 1.774, 1.669, 1.698]
    assert list(rungs.values()) == pytest.approx(expected, abs=1e-3)


def test_the_ladder_descends_on_the_plays():
    text = load_corpus("plays").text
    tokens = CharTokenizer.from_text(text).encode(text)
    rungs = list(ladder(*split(tokens), 65).values())
    assert rungs == sorted(rungs, reverse=True)
    assert rungs[0] == pytest.approx(math.log(65)) and rungs[5] < 1.8
