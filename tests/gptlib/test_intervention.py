"""gptlib.intervention: edits that change one thing and nothing else, ablation, paired errors, patching."""

import pytest
import torch
from tiny_model import corpus, model

from gptlib.generation import generate
from gptlib.gpt import GPT, GPTConfig
from gptlib.intervention import (
    Estimate,
    Site,
    ablation,
    attribution,
    edited,
    head_sites,
    paired,
    patching,
    record,
    spread_windows,
    window_losses,
)
from gptlib.loss import cross_entropy

IDX = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 0, 0, 10, 9, 1]])


def gpt(seed=1):
    """A tiny GPT, every number of which is drawn at random."""
    rng = torch.Generator().manual_seed(seed)
    made = model()
    for p in made.parameters():
        torch.nn.init.normal_(p, 0.1, 0.3, generator=rng)
    return made.eval()


def everywhere(net):
    sites = [Site(kind, layer) for kind in ("attn", "mlp", "stream") for layer in range(net.config.n_layer)]
    return [*head_sites(net), *sites, Site("stream", net.config.n_layer)]


@torch.no_grad()
def logits(net, idx=IDX):
    return net(idx)


def same(x):
    return x


# --- edits


def test_edits_that_do_nothing_are_bitwise_nothing():
    net = gpt()
    before = logits(net)
    with edited(net, dict.fromkeys(everywhere(net), same)):
        assert torch.equal(logits(net), before)
    with edited(net, {}):
        assert torch.equal(logits(net), before)


@pytest.mark.parametrize("site", everywhere(gpt()), ids=str)
def test_an_edit_changes_what_lies_above_it_and_nothing_else(site):
    net = gpt()
    before, seen = record(net, IDX, everywhere(net)), {}

    def add(x):
        return x + torch.zeros_like(x).index_fill(1, torch.tensor([3]), 1.0)  # at position 3 alone

    def watch(other):
        def edit(x):
            seen[other] = x
            return x

        return edit

    watched = {other: watch(other) for other in everywhere(net) if other != site}
    with edited(net, {site: add} | watched):
        after = logits(net)
    assert torch.equal(after[:, :3], logits(net)[:, :3]) and not torch.equal(after, logits(net))
    order = {"stream": 0, "head": 1, "attn": 2, "mlp": 3}
    for other, x in seen.items():
        if other.layer < site.layer or (other.layer == site.layer and order[other.kind] <= order[site.kind]):
            assert torch.equal(x, before[other]), other
        assert torch.equal(x[:, :3], before[other][:, :3]), other


def test_afterwards_nothing_is_left_even_after_an_error():
    net = gpt()
    before = logits(net)
    for edit in (torch.zeros_like, lambda x: x[:, 1:]):
        try:
            with edited(net, {Site("head", 1, 0): edit}):
                logits(net)
        except ValueError as error:
            assert "head 1.0 returned [2, 5, 8] for [2, 6, 8]" in str(error)
        assert torch.equal(logits(net), before)


def test_several_heads_of_one_layer_are_edited_each_by_its_own():
    net = gpt()
    both = {Site("head", 0, 0): torch.zeros_like, Site("head", 0, 1): lambda x: 2 * x}
    with edited(net, both):
        seen = record(net, IDX, [Site("attn", 0)])
        together = logits(net)
    assert seen[Site("attn", 0)].shape == (2, 6, 16)
    with edited(net, dict(reversed(both.items()))):
        assert torch.equal(logits(net), together)


def test_without_all_heads_an_attention_writes_its_bias():
    net = gpt()
    with edited(net, {site: torch.zeros_like for site in head_sites(net)}):
        written = record(net, IDX, [Site("attn", 1)])[Site("attn", 1)]
    torch.testing.assert_close(written, net.h[1].attn.c_proj.bias.expand_as(written))


def test_an_edit_that_never_runs_is_an_error():
    net = gpt()
    with pytest.raises(RuntimeError, match="edit of mlp 1 never ran"), edited(net, {Site("mlp", 1): same}):
        pass

    class Fused(torch.nn.Module):
        """An attention that multiplies by the weights of c_proj itself, past every hook."""

        def __init__(self, attn):
            super().__init__()
            self.attn, self.c_proj, self.n_head = attn, attn.c_proj, attn.n_head

        def forward(self, x, cache=None):
            q, k, v = self.attn.split_heads(x)
            y = (self.attn.weights(x) @ v).transpose(1, 2).flatten(2)
            return y @ self.c_proj.weight.T + self.c_proj.bias

    net.h[0].attn = Fused(net.h[0].attn)
    with pytest.raises(RuntimeError, match="head 0.1 never ran"), edited(net, {Site("head", 0, 1): same}):
        logits(net)


@pytest.mark.parametrize(
    ("site", "complaint"),
    [
        (Site("heads", 0, 0), "kind='heads'"),
        (Site("mlp", 2), "layer=2 of 'mlp' must lie in 0 … 1"),
        (Site("stream", 3), "layer=3 of 'stream' must lie in 0 … 2"),
        (Site("attn", -1), "layer=-1"),
        (Site("head", 0, 2), "head=2 must lie in 0 … 1"),
        (Site("head", 0), "head=None"),
        (Site("mlp", 0, 1), "has no heads"),
    ],
)
def test_sites_that_are_not_there_are_refused(site, complaint):
    net = gpt()
    with pytest.raises(ValueError, match=complaint), edited(net, {site: same}):
        pass
    assert not net.h[0].mlp._forward_hooks  # nothing was hung on


def test_a_site_says_its_name():
    assert [str(site) for site in head_sites(gpt())] == ["head 0.0", "head 0.1", "head 1.0", "head 1.1"]
    assert str(Site("stream", 2)) == "stream 2"


def test_edits_hold_while_text_is_written():
    net = gpt()
    with edited(net, {Site("mlp", 0): torch.zeros_like}):
        cut = generate(net, IDX[:1], 4, temperature=0, use_cache=False)
        again = generate(net, IDX[:1], 4, temperature=0)
    assert torch.equal(cut, again)  # zeros do not depend on the position
    assert cut.shape == (1, 10)


# --- ablation and estimates


def test_ablation_by_hand():
    reference = torch.tensor([[[1.0], [2.0]], [[3.0], [6.0]]])
    x = torch.ones(2, 2, 1)
    assert ablation("zero", reference)(x).flatten().tolist() == [0, 0, 0, 0]
    assert ablation("mean", reference)(x).flatten().tolist() == [2, 4, 2, 4]
    assert ablation("resampled", reference)(x).flatten().tolist() == [3, 6, 1, 2]
    assert ablation("resampled", reference)(x[:1, :1]).flatten().tolist() == [3]


def test_wrong_ablations_are_refused():
    with pytest.raises(ValueError, match="how='median'"):
        ablation("median", torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match="1 text in the reference"):
        ablation("mean", torch.zeros(1, 3, 1))
    with pytest.raises(ValueError, match="4 positions, and 3 in the reference"):
        ablation("mean", torch.zeros(2, 3, 1))(torch.zeros(2, 4, 1))


def test_windows_are_spread_over_the_whole_text():
    rows = spread_windows(torch.arange(100), 4, 9)
    assert rows.shape == (4, 10) and rows[:, 0].tolist() == [0, 30, 60, 90] and rows[-1, -1] == 99
    assert spread_windows(torch.arange(10), 1, 9).tolist() == [list(range(10))]
    with pytest.raises(ValueError, match="4 windows of 30 do not fit into 100"):
        spread_windows(torch.arange(100), 4, 29)


def test_losses_of_windows_are_those_of_the_loss():
    net, windows = gpt(), spread_windows(corpus(), 5, 6)
    found = window_losses(net, windows)
    assert found.shape == (5,)
    torch.testing.assert_close(found[2], cross_entropy(logits(net, windows[2:3, :-1]), windows[2:3, 1:]))


def test_paired_estimates():
    before = torch.tensor([1.0, 5.0, 9.0])
    estimate = paired(before + torch.tensor([1.0, 2.0, 3.0]), before)
    assert estimate.mean == pytest.approx(2) and estimate.error == pytest.approx(1 / 3**0.5)
    assert (estimate.low, estimate.high) == pytest.approx((2 - 2 / 3**0.5, 2 + 2 / 3**0.5))
    assert paired(before, before) == (0, 0) and str(Estimate(0.0125, 0.001)) == "+0.013 ± 0.001"
    for wrong in (before[:2], before[:1]):
        with pytest.raises(ValueError, match="windows"):
            paired(wrong, before if len(wrong) == 2 else wrong)


# --- patching


def metric(found):
    return found[:, -1, 3] - found[:, -1, 4]


CLEAN, CORRUPT = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 8, 4, 5]])


def test_one_patch_at_a_time_by_hand():
    net = gpt()
    site = Site("mlp", 0)
    effects = patching(net, CLEAN, CORRUPT, metric, [site])
    clean, base = record(net, CLEAN, [site])[site], metric(logits(net, CORRUPT)).item()
    for t in range(5):

        def put(x, t=t):
            x = x.clone()
            x[0, t] = clean[0, t]
            return x

        with edited(net, {site: put}):
            assert metric(logits(net, CORRUPT)).item() - base == pytest.approx(effects[0, t].item(), abs=1e-6)
    assert effects[0, 2].abs() > 1e-4


def test_patches_of_the_stream_from_end_to_end():
    net = gpt()
    effects = patching(net, CLEAN, CORRUPT, metric, [Site("stream", layer) for layer in range(3)])
    total = (metric(logits(net, CLEAN)) - metric(logits(net, CORRUPT))).item()
    expected = torch.zeros(5)
    expected[2] = total
    torch.testing.assert_close(effects[0], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(effects[2], expected.roll(2), atol=1e-5, rtol=1e-4)
    assert effects[:, :2].abs().max() < 1e-5  # the prompts do not differ yet


def test_the_slope_is_exact_where_the_metric_is_linear():
    net = gpt()

    def linear(found):  # of the last stream, past the last LayerNorm
        return seen[-1][:, -1].sum(dim=-1)

    seen = []
    handle = net.ln_f.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    site = [Site("mlp", 1)]
    real, slope = (f(net, CLEAN, CORRUPT, linear, site) for f in (patching, attribution))
    handle.remove()
    torch.testing.assert_close(real, slope, atol=1e-5, rtol=1e-4)
    assert not slope.requires_grad and all(p.grad is None for p in net.parameters())


def test_the_slope_of_a_small_difference_is_the_patch():
    net = gpt().double()
    with torch.no_grad():
        net.wte.weight[8] = net.wte.weight[3] + 1e-5 * torch.randn(16, dtype=torch.float64)
    sites = everywhere(net)
    real, slope = (f(net, CLEAN, CORRUPT, metric, sites) for f in (patching, attribution))
    torch.testing.assert_close(real, slope, atol=1e-8, rtol=1e-2)
    assert real.abs().max() > 1e-7


def test_prompts_of_two_lengths_are_refused():
    for f in (patching, attribution):
        for wrong in (CORRUPT[:, :4], CORRUPT.expand(2, -1)):
            with pytest.raises(ValueError, match="both must be"):
                f(gpt(), CLEAN, wrong, metric, [Site("mlp", 0)])


def test_gpt2_smalls_shape():
    """With fewer tokens: edits, a patch and a slope at 12 layers of 12 heads, 768 wide."""
    net = GPT(
        GPTConfig(300, 1024, n_layer=12, n_head=12, n_embd=768), torch.Generator().manual_seed(1)
    ).eval()
    before = logits(net, CLEAN)
    with edited(net, dict.fromkeys(everywhere(net), same)):
        assert torch.equal(logits(net, CLEAN), before)
    with edited(net, {Site("head", 11, 11): torch.zeros_like}):
        assert not torch.equal(logits(net, CLEAN), before)
    site = [Site("head", 6, 3)]
    assert (
        patching(net, CLEAN, CORRUPT, metric, site).shape
        == attribution(net, CLEAN, CORRUPT, metric, site).shape
        == (1, 5)
    )
