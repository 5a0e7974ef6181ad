"""Rotary positions and the rolling cache."""

import dataclasses

import pytest
import torch

from gptlib.kernels import replaced
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig
from gptlib.rope import RollingCache, rope_tables, rotate

SHAPE = ModernConfig(11, 8, 2, 2, 16, position="rope")


def at(x, position, base=10_000.0):
    return rotate(x[..., None, :], rope_tables(torch.tensor([position]), x.shape[-1], base))[..., 0, :]


@pytest.mark.parametrize("base", [100.0, 10_000.0])
@pytest.mark.parametrize("size", [2, 8, 64])
def test_scores_depend_on_the_distance(size, base):
    q, k = torch.randn(2, 5, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for distance in (0, 1, 7):
        scores = [(at(q, there + distance, base) * at(k, there, base)).sum(-1) for there in (0, 9, 500)]
        torch.testing.assert_close(scores[0], scores[1], rtol=0, atol=1e-3)
        torch.testing.assert_close(scores[0], scores[2], rtol=0, atol=1e-3)
    assert not torch.allclose((at(q, 1, base) * at(k, 0, base)).sum(-1), (q * k).sum(-1), atol=1e-3)
    torch.testing.assert_close(at(q, 33, base).norm(dim=-1), q.norm(dim=-1))


def test_two_rotations_are_one_by_the_sum():
    x = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(at(at(x, 5), 12), at(x, 17), rtol=0, atol=1e-5)


def test_gradients():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    tables = rope_tables(torch.arange(3), 4)
    assert torch.autograd.gradcheck(lambda x: rotate(x, tables), x)


@pytest.mark.parametrize("n_kv_head", [1, 2])
def test_a_rolling_cache_is_attention_to_the_last_positions(n_kv_head):
    shape = dataclasses.replace(SHAPE, n_kv_head=n_kv_head)
    model = ModernGPT(shape, torch.Generator().manual_seed(2)).double().eval()
    long = ModernGPT(dataclasses.replace(shape, block_size=40)).double().eval()
    long.load_state_dict(model.state_dict())
    text = torch.randint(11, (2, 30), generator=torch.Generator().manual_seed(3))
    cache = RollingCache(2, 8)
    first = model(text[:, :5], cache)  # a prompt at once
    rolled = torch.cat([first, *(model(text[:, t : t + 1], cache) for t in range(5, 30))], dim=1)
    attentions = [block.attn for block in long.h]
    for back, same in ((7, True), (6, False)):
        band = torch.ones(30, 30, dtype=torch.bool).tril().triu(-back)
        explicit = [(attention, "fused", False) for attention in attentions]
        masks = [(attention, "mask", lambda *_, band=band: band) for attention in attentions]
        with replaced(*explicit, *masks):
            assert torch.allclose(rolled, long(text), atol=1e-6) == same


def test_sinks_stay_at_the_distances_of_the_window():
    """The kept keys of the sinks are those of a text in which the dropped positions are missing."""
    g = torch.Generator().manual_seed(4)
    k, v = torch.randn(2, 1, 1, 12, 6, dtype=torch.float64, generator=g)
    positions = torch.arange(12)
    cache = RollingCache(1, window=5, sinks=2)
    turned = rotate(k, rope_tables(positions, 6))
    for t in range(12):
        kept, values = cache.layers[0].append(turned[:, :, t : t + 1], v[:, :, t : t + 1])
    chosen = torch.cat([k[:, :, :2], k[:, :, 9:]], dim=2)
    torch.testing.assert_close(values, torch.cat([v[:, :, :2], v[:, :, 9:]], dim=2))
    torch.testing.assert_close(kept, rotate(chosen, rope_tables(torch.arange(7, 12), 6)), rtol=0, atol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="sinks=8 must be at least 0 and below window=8"):
        RollingCache(2, 8, sinks=8)
    cache = RollingCache(2, 8)
    model = ModernGPT(SHAPE).eval()
    model(torch.zeros(1, 7, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="2 positions at once exceed the window of 8"):
        model(torch.zeros(1, 2, dtype=torch.long), cache)
