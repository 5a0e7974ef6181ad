"""gptlib.inspection: the sum of the parts, the lens, what heads look at, induction; also at GPT-2's shape."""

import math

import pytest
import torch
from tiny_model import TINY, model

from gptlib.gpt import GPT, GPTConfig
from gptlib.inspection import (
    attention_patterns,
    attention_share,
    decompose,
    head_writes,
    induction_score,
    lens,
    logit_parts,
    looked_at,
    position_baseline,
    residual_stream,
)

IDX = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 0, 0, 10, 9, 1]])


def random_model(bias=True):
    """A tiny GPT, every number of which is drawn at random."""
    rng = torch.Generator().manual_seed(1)
    gpt = model(bias=bias)
    for p in gpt.parameters():
        torch.nn.init.normal_(p, 0.1, 0.5, generator=rng)
    return gpt.double().eval()


@pytest.mark.parametrize("bias", [True, False])
def test_parts_add_up_to_the_logits(bias):
    gpt = random_model(bias)
    parts = decompose(gpt, IDX)
    assert len(parts) == 2 + 2 * (2 + bias + 1)
    torch.testing.assert_close(sum(parts.values()), residual_stream(gpt, IDX)[-1])
    shares = logit_parts(gpt, parts)
    assert ("ln_f bias" in shares) == bias
    torch.testing.assert_close(sum(shares.values()), gpt(IDX).detach())
    few = logit_parts(gpt, parts, [3, 7])
    torch.testing.assert_close(few["mlp 1"], shares["mlp 1"][..., [3, 7]])


def test_the_lens_ends_with_the_logits_and_begins_with_the_embeddings():
    gpt = random_model()
    rows = lens(gpt, IDX)
    assert rows.shape == (3, 2, 6, 11) and torch.equal(rows[-1], gpt(IDX))
    x = gpt.wte(IDX) + gpt.wpe(torch.arange(6))
    torch.testing.assert_close(rows[0], gpt.lm_head(gpt.ln_f(x)).detach())


def test_patterns_are_those_of_the_layers():
    gpt = random_model()
    patterns = attention_patterns(gpt, IDX)
    assert patterns.shape == (2, 2, 2, 6, 6)
    torch.testing.assert_close(patterns.sum(dim=-1), torch.ones_like(patterns[..., 0]))
    x = gpt.wte(IDX) + gpt.wpe(torch.arange(6))
    torch.testing.assert_close(patterns[0], gpt.h[0].attn.weights(gpt.h[0].ln_1(x)))


def test_marks_are_what_their_names_say():
    text = "x\n\nAB:\ny\nz"
    marks = {name: mark[0] for name, mark in looked_at([text]).items()}
    assert all(mark.triu(1).sum() == 0 for mark in marks.values())  # never the future

    def at(name, t):
        return [s for s in range(len(text)) if marks[name][t, s]]

    assert (at("1 back", 5), at("2 back", 5), at("3 back", 1)) == ([4], [3], [])
    assert at("line break", 8) == [1, 2, 6, 8] and at("line start", 8) == [2, 3, 7]
    assert at("name", 5) == [] and at("name", 6) == [3, 4, 5] == at("name", 9)
    assert at("same letter", 8) == [1, 2, 6] and at("same letter", 9) == []


def test_texts_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3\] characters"):
        looked_at(["ab", "abc"])


def test_shares_by_hand():
    weights = torch.zeros(1, 2, 1, 3, 3)
    weights[0, :, 0] = torch.tensor([[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.3, 0.2]])
    weights[0, 1, 0, 2] = torch.tensor([0.1, 0.1, 0.8])
    marks = torch.zeros(2, 3, 3, dtype=torch.bool)
    marks[:, 1, 0] = marks[:, 2, 0] = marks[:, 2, 1] = True
    share = attention_share(weights, marks)
    assert share.shape == (1, 2, 1)
    assert share.flatten().tolist() == pytest.approx([(0.25 + 0.8) / 2, (0.25 + 0.2) / 2])
    # of two texts the baseline of each is the other's weights with its marks
    assert position_baseline(weights, marks).flatten().tolist() == pytest.approx(
        share.flip(1).flatten().tolist()
    )


def test_shares_need_a_place_and_baselines_another_text():
    weights = torch.ones(2, 1, 3, 3).tril() / 3
    marks = torch.zeros(2, 3, 3, dtype=torch.bool)
    marks[0, 1, 0] = True
    with pytest.raises(ValueError, match="text 1 has no such place"):
        attention_share(weights, marks)
    with pytest.raises(ValueError, match="one text"):
        position_baseline(weights[:1], marks[:1])


@pytest.mark.parametrize("period", [3, 5])
def test_induction_is_scored_at_one_place_only(period):
    T = 12
    perfect = torch.zeros(1, 1, T, T)
    for t in range(period, T):
        perfect[0, 0, t, t - period + 1] = 1
    assert induction_score(perfect, period).item() == 1
    for shift in (-1, 1):  # off by one it is nothing
        assert induction_score(perfect.roll(shift, dims=-1), period).item() == 0
    for wrong in (1, 0, T, T + 1):
        with pytest.raises(ValueError, match=f"period={wrong}"):
            induction_score(perfect, wrong)


def test_gpt2_smalls_shape():
    """Twelve layers of twelve heads, 50,257 tokens; also the sum of its parts, for some tokens."""
    gpt = GPT(
        GPTConfig(50257, 1024, n_layer=12, n_head=12, n_embd=768), torch.Generator().manual_seed(1)
    ).eval()
    idx = torch.tensor([[15496, 995, 318]])
    parts = decompose(gpt, idx)
    assert len(parts) == 2 + 12 * 14
    with torch.no_grad():
        logits = gpt(idx)
    tokens = [0, 318, 50256]
    total = sum(logit_parts(gpt, parts, tokens).values())
    assert (total - logits[..., tokens]).abs().max() < 1e-4
    assert torch.equal(lens(gpt, idx)[-1], logits)


def test_heads_of_an_untrained_layer_add_up():
    attn, x = model(TINY).eval().h[0].attn, torch.randn(2, 5, 16)
    written = head_writes(attn, x).sum(dim=1) + attn.c_proj.bias
    torch.testing.assert_close(written, attn(x))
    assert math.isfinite(written.sum().item())
