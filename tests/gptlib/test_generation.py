"""Sampling against brute force, reproducible, and the same with and without the cache."""

import dataclasses
import math

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from gptlib.attention import CausalSelfAttention
from gptlib.generation import KVCache, LayerCache, choose, filter_logits, generate, stream
from gptlib.gpt import GPT, GPTConfig

CONFIG = GPTConfig(vocab_size=13, block_size=10, n_layer=2, n_head=2, n_embd=16)


def model(**changes):
    """Weights large enough that the distributions are far from uniform."""
    gpt = GPT(dataclasses.replace(CONFIG, **changes), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in gpt.parameters():
            p.mul_(8 if p.ndim == 2 else 1)
    return gpt.eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def prompt(B=1, T=3, seed=0):
    return torch.randint(0, 13, (B, T), generator=seeded(seed))


# --- the filters


def brute_force(logits, temperature, top_k, top_p) -> list[float]:
    """Probabilities of one row, token by token: cut off by k, then by p, then share out what is left."""
    exps = [math.exp(x / temperature) for x in logits]
    p = [e / sum(exps) for e in exps]
    order = sorted(range(len(p)), key=lambda i: -p[i])
    if top_k is not None:
        order = order[:top_k]
    if top_p is not None:
        mass, kept, total = 0.0, [], sum(p[i] for i in order)
        for i in order:
            if mass < top_p:
                kept.append(i)
            mass += p[i] / total
        order = kept
    return [p[i] / sum(p[j] for j in order) if i in order else 0.0 for i in range(len(p))]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 4, 13, 50])
@pytest.mark.parametrize("top_p", [None, 0.01, 0.4, 0.85, 1.0])
def test_filters_equal_brute_force(temperature, top_k, top_p):
    logits = torch.randn(5, 13, generator=seeded(), dtype=torch.float64) * 2
    p = filter_logits(logits, temperature, top_k, top_p).softmax(-1)
    expected = [brute_force(row, temperature, top_k, top_p) for row in logits.tolist()]
    torch.testing.assert_close(p, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_filters_always_leave_the_likeliest_token():
    logits = torch.tensor([[0.0, 50.0, 1.0], [3.0, 3.0, 3.0]])
    for top_k, top_p in [(1, None), (None, 1e-9), (1, 1e-9)]:
        kept = torch.isfinite(filter_logits(logits, 1.0, top_k, top_p))
        assert kept.any(dim=-1).all() and kept[0].tolist() == [False, True, False]


def test_top_k_keeps_no_more_than_k_of_equal_logits():
    logits = torch.tensor([[2.0, 3.0, 2.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    for k in range(1, 6):
        kept = torch.isfinite(filter_logits(logits, top_k=k))
        assert kept.sum(dim=-1).tolist() == [k, k]
        assert kept[0, 1] and (k == 5 or not kept[0, 4])  # the largest stays, the smallest goes first


def test_top_p_1_cuts_nothing_off():
    """In float32 the rounded sum of many shares reaches 1 long before the last of them."""
    logits = 3 * torch.randn(2, 50_257, generator=seeded())
    assert torch.isfinite(filter_logits(logits, top_p=1.0)).all()
    assert torch.isfinite(filter_logits(logits, top_p=1)).all()


@pytest.mark.parametrize("temperature", [torch.finfo(torch.float32).tiny, 1e-37, 1e-10, 1e10, 1e38, 1e300])
def test_extreme_temperatures(temperature):
    """Nearly greedy, or nearly uniform; logits far from 0 must not overflow on the way."""
    logits = torch.tensor([[1.0, 3.0, 2.0]]) + torch.tensor([[-1000.0], [0.0], [1000.0]])  # [B=3, vocab=3]
    p = filter_logits(logits, temperature).softmax(dim=-1)
    expected = [0.0, 1.0, 0.0] if temperature < 1 else [1 / 3] * 3
    torch.testing.assert_close(p, torch.tensor([expected] * 3), rtol=0, atol=1e-6)
    drawn = choose(logits, temperature, None, None, seeded())
    assert drawn.shape == (3, 1) and (temperature > 1 or (drawn == 1).all())


def test_filters_leave_their_input_alone():
    logits = torch.randn(2, 13, generator=seeded())
    before = logits.clone()
    filter_logits(logits, 0.5, 3, 0.5)
    assert torch.equal(logits, before)


# --- generation


def generate_plainly(gpt, idx, count):
    """Greedy, one token after the other, the whole window computed anew each time."""
    for _ in range(count):
        logits = gpt(idx[:, -gpt.config.block_size :])[:, -1]
        idx = torch.cat([idx, logits.argmax(-1, keepdim=True)], dim=1)
    return idx


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize(("B", "T", "count"), [(1, 1, 9), (1, 3, 30), (4, 10, 5), (2, 17, 12), (3, 2, 0)])
def test_greedy_equals_the_plain_loop(B, T, count, use_cache):
    gpt, idx = model(), prompt(B, T)
    out = generate(gpt, idx, count, temperature=0.0, use_cache=use_cache)
    assert out.shape == (B, T + count) and out.dtype == torch.int64
    assert torch.equal(out[:, :T], idx)
    assert torch.equal(out, generate_plainly(gpt, idx, count))


@pytest.mark.parametrize("use_cache", [True, False])
def test_cached_logits_equal_uncached_step_by_step(use_cache):
    """The logits that each step draws from, against the model without a cache, also beyond block_size."""
    gpt, idx, count = model(), prompt(3, 4), 20
    seen = []
    forward = gpt.forward

    def spy(*args):
        logits = forward(*args)
        seen.append(logits[:, -1])
        return logits

    gpt.forward = spy
    out = generate(gpt, idx, count, generator=seeded(5), use_cache=use_cache)
    gpt.forward = forward
    assert len(seen) == count
    for i, logits in enumerate(seen):
        context = out[:, : 4 + i][:, -10:]
        assert (logits - gpt(context)[:, -1]).abs().max() <= 1e-5


def test_the_cache_saves_the_work_until_the_window_slides():
    gpt, lengths = model(), []
    forward = gpt.forward
    gpt.forward = lambda idx, cache=None: lengths.append(idx.shape[1]) or forward(idx, cache)
    generate(gpt, prompt(1, 4), 10)
    assert lengths == [4, 1, 1, 1, 1, 1, 1, 10, 10, 10]


def test_seeds_make_texts_repeat():
    gpt, idx = model(), prompt(2)
    texts = [generate(gpt, idx, 25, generator=seeded(s)) for s in (1, 1, 2)]
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])
    with_cache, without = (generate(gpt, idx, 25, generator=seeded(3), use_cache=c) for c in (True, False))
    assert torch.equal(with_cache, without)


def test_drawn_tokens_follow_the_distribution():
    gpt, idx, n = model(), prompt(1, 5), 20_000
    drawn = generate(gpt, idx.expand(n, -1), 1, temperature=0.7, top_k=6, generator=seeded())[:, -1]
    p = torch.tensor(brute_force(gpt(idx)[0, -1].tolist(), 0.7, 6, None))
    frequency = torch.bincount(drawn, minlength=13) / n
    assert (frequency[p == 0] == 0).all()
    assert (frequency - p).abs().max() < 4 * math.sqrt(0.25 / n)


def test_every_row_of_a_batch_goes_its_own_way():
    gpt, idx = model(), prompt(5, 4)
    together = generate(gpt, idx, 15, temperature=0.0)
    alone = torch.cat([generate(gpt, row[None], 15, temperature=0.0) for row in idx])
    assert torch.equal(together, alone)


def test_stream_yields_what_generate_collects():
    gpt, idx = model(), prompt(2)
    tokens = list(stream(gpt, idx, 14, generator=seeded(4)))
    assert all(token.shape == (2, 1) for token in tokens)
    assert torch.equal(torch.cat([idx, *tokens], dim=1), generate(gpt, idx, 14, generator=seeded(4)))


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(training):
    gpt = model(dropout=0.5).train(training)
    first, second = (generate(gpt, prompt(), 12, temperature=0.0) for _ in range(2))
    assert torch.equal(first, second)
    assert gpt.training == training
    next(stream(gpt, prompt(), 5))  # left off half-way
    assert gpt.training == training


@pytest.mark.parametrize("use_cache", [True, False])
def test_no_graph_is_kept_for_a_way_back(use_cache):
    gpt, needed = model(), []
    forward = gpt.forward

    def spy(*args):
        logits = forward(*args)
        needed.append(logits.requires_grad)
        return logits

    gpt.forward = spy
    for _ in stream(gpt, prompt(), 12, use_cache=use_cache):
        assert torch.is_grad_enabled()  # between two tokens the caller's setting counts
    assert needed == 12 * [False]


def test_cache_counts_its_positions():
    gpt, cache = model(), KVCache(CONFIG.n_layer, CONFIG.block_size)
    assert cache.length == 0
    gpt(prompt(1, 4), cache)
    gpt(prompt(1, 1), cache)
    assert cache.length == 5
    with pytest.raises(ValueError, match="T=11 exceeds block_size=10"):
        gpt(prompt(1, 6), cache)


def test_a_cache_has_no_more_room_than_it_was_made_with():
    gpt, cache = model(), KVCache(CONFIG.n_layer, 5)  # fewer than the model's 10
    gpt(prompt(1, 4), cache)
    gpt(prompt(1, 1), cache)
    kept = [(layer.k.clone(), layer.v.clone()) for layer in cache.layers]
    for T in (1, 2):
        with pytest.raises(ValueError, match=f"T={5 + T} exceeds block_size=5: crop the context"):
            gpt(prompt(1, T), cache)
    with pytest.raises(ValueError, match="T=6 exceeds block_size=5: crop the context"):
        gpt(prompt(1, 6), KVCache(CONFIG.n_layer, 5))
    assert cache.length == 5
    for layer, (k, v) in zip(cache.layers, kept, strict=True):
        assert torch.equal(layer.k, k) and torch.equal(layer.v, v)


def test_a_cache_belongs_to_its_texts():
    for before, after in ((2, 1), (1, 2), (3, 2)):
        gpt, cache = model(), KVCache(CONFIG.n_layer, CONFIG.block_size)
        gpt(prompt(before, 4), cache)
        with pytest.raises(ValueError, match=f"B={after} differs from the {before} texts in the cache"):
            gpt(prompt(after, 1), cache)


def test_one_new_position_needs_no_mask(monkeypatch):
    """It sees every key; with a mask PyTorch's kernel takes longer. Several new positions need one."""
    masks, kernel = [], F.scaled_dot_product_attention

    def spy(*args, attn_mask=None, **settings):
        masks.append(attn_mask if attn_mask is None else attn_mask.tolist())
        return kernel(*args, attn_mask=attn_mask, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    attention, cache = CausalSelfAttention(4, 2, 6), LayerCache(9)
    for T in (2, 1, 2, 1):
        attention(torch.randn(1, T, 4), cache)
    assert masks == [None, None, [[True, True, True, True, False], [True] * 5], None]
    with pytest.raises(ValueError, match="T=7 exceeds block_size=6"):
        attention(torch.randn(1, 1, 4), cache)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(temperature=-0.1), "temperature=-0.1 must not be negative"),
        (dict(temperature=math.nan), "temperature=nan"),
        (dict(temperature=math.inf), "temperature=inf must not be negative, and finite"),
        (dict(temperature=1e-38), "temperature=1e-38 must be 0 .* or at least 1.18e-38"),
        (dict(temperature=5e-324), "temperature=5e-324 must be 0"),
        (dict(top_k=0), "top_k=0 must be at least 1"),
        (dict(top_p=0.0), r"top_p=0.0 must lie in \(0, 1\]"),
        (dict(top_p=1.5), r"top_p=1.5 must lie in \(0, 1\]"),
        (dict(temperature=0.0, top_k=0), "top_k=0"),
        (dict(temperature=0.0, top_p=2.0), "top_p=2.0"),
        (dict(max_new_tokens=-1), "max_new_tokens=-1 must not be negative"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        generate(model(), prompt(), **{"max_new_tokens": 3, **settings})


def test_stream_refuses_at_the_call():
    """Not only when the first token is asked for."""
    for settings, message in (
        (dict(max_new_tokens=-1), "max_new_tokens=-1"),
        (dict(max_new_tokens=3, temperature=-1.0), "temperature=-1.0"),
        (dict(max_new_tokens=3, top_p=2.0), "top_p=2.0"),
    ):
        with pytest.raises(ValueError, match=message):
            stream(model(), prompt(), **settings)
    with pytest.raises(ValueError, match="prompt is empty"):
        stream(model(), torch.zeros(1, 0, dtype=torch.long), 3)


def test_an_empty_prompt():
    with pytest.raises(ValueError, match="prompt is empty"):
        generate(model(), torch.zeros(1, 0, dtype=torch.long), 3)


@pytest.mark.parametrize("shape", [[3], [1, 2, 3]])
def test_a_prompt_of_another_shape(shape, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # else the shape is noticed before
    idx, message = torch.zeros(shape, dtype=torch.long), rf"idx must be \[B, T\], not \{shape}"
    with pytest.raises(ValueError, match=message):
        generate(model(), idx, 3)
    with pytest.raises(ValueError, match=message):
        next(stream(model(), idx, 3))
