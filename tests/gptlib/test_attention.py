"""Attention against PyTorch's, its causality exact to zero, and what it must not keep."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gptlib.attention import CausalSelfAttention, attention_weights, causal_mask
from gptlib.generation import LayerCache

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-12)]
SIZES = [(1, 1, 1, 1), (2, 3, 7, 5), (1, 4, 16, 8), (3, 1, 5, 2)]  # B, n_head, T, head_size


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_causal_mask():
    for T in (1, 2, 5):
        mask = causal_mask(T)
        assert mask.dtype == torch.bool
        assert mask.tolist() == [[s <= t for s in range(T)] for t in range(T)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("size", SIZES)
def test_weights_equal_scaled_dot_product_attention(size, dtype, tolerance):
    B, H, T, head_size = size
    ours = [randn(B, H, T, head_size, dtype=dtype, seed=i).requires_grad_() for i in range(3)]
    theirs = [t.detach().clone().requires_grad_() for t in ours]
    q, k, v = ours
    y = attention_weights(q, k, causal_mask(T)) @ v
    expected = F.scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(y, expected, rtol=tolerance, atol=tolerance)
    upstream = randn(*y.shape, dtype=dtype, seed=7)
    y.backward(upstream)
    expected.backward(upstream)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=tolerance * 10, atol=tolerance * 10)


def test_weights_are_distributions_and_need_no_mask():
    q, k = randn(2, 3, 4, 8), randn(2, 3, 4, 8, seed=1)
    for mask in (None, causal_mask(4)):
        weights = attention_weights(q, k, mask)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 4))
    assert (attention_weights(q, k, causal_mask(4)).triu(1) == 0).all()
    assert attention_weights(q[:, :, :2], k, causal_mask(4)[2:]).shape == (2, 3, 2, 4)


def torch_copy_of(ours: CausalSelfAttention, C: int, bias: bool, dtype) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(C, ours.n_head, bias=bias, batch_first=True).to(dtype)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.c_attn.weight)
        theirs.out_proj.weight.copy_(ours.c_proj.weight)
        if bias:
            theirs.in_proj_bias.copy_(ours.c_attn.bias)
            theirs.out_proj.bias.copy_(ours.c_proj.bias)
    return theirs


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_module_equals_multihead_attention(fused, bias, dtype, tolerance):
    B, T, C = 2, 9, 12
    ours = CausalSelfAttention(C, 3, 16, bias=bias).to(dtype)
    ours.fused = fused
    if bias:
        nn.init.normal_(ours.c_attn.bias), nn.init.normal_(ours.c_proj.bias)
    theirs = torch_copy_of(ours, C, bias, dtype)
    x, their_x = (randn(B, T, C, dtype=dtype).requires_grad_() for _ in range(2))
    y = ours(x)
    forbidden = ~causal_mask(T)
    expected, weights = theirs(their_x, their_x, their_x, attn_mask=forbidden, average_attn_weights=False)
    torch.testing.assert_close(y, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours.weights(x), weights.detach(), rtol=tolerance, atol=tolerance)
    (y**2).sum().backward()
    (expected**2).sum().backward()
    pairs = [(x.grad, their_x.grad), (ours.c_attn.weight.grad, theirs.in_proj_weight.grad)]
    pairs += [(ours.c_proj.weight.grad, theirs.out_proj.weight.grad)]
    if bias:
        pairs += [(ours.c_attn.bias.grad, theirs.in_proj_bias.grad)]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=tolerance * 10, atol=tolerance * 10)


@pytest.mark.parametrize("fused", [True, False])
def test_the_future_has_no_influence_at_all(fused):
    module = CausalSelfAttention(16, 4, 12).eval()
    module.fused = fused
    x = randn(1, 12, 16)
    y = module(x)
    for j in range(12):
        changed = x.clone()
        changed[:, j] += 10
        difference = (module(changed) - y).abs().amax(dim=(0, 2))
        assert (difference[:j] == 0).all()  # exactly
        assert (difference[j:] > 0).all()


@pytest.mark.parametrize("fused", [True, False])
def test_no_gradient_from_the_future(fused):
    module = CausalSelfAttention(8, 2, 6)
    module.fused = fused
    for t in range(6):
        x = randn(1, 6, 8).requires_grad_()
        module(x)[0, t].sum().backward()
        assert (x.grad[0, t + 1 :] == 0).all() and (x.grad[0, : t + 1] != 0).any(dim=-1).all()


def test_weights_store_nothing():
    module = CausalSelfAttention(8, 2, 10, dropout=0.5)
    x = randn(2, 10, 8)

    def everything():
        inside = {name: dict(part.__dict__) for name, part in module.named_modules()}
        values = {name: t.clone() for name, t in module.state_dict().items()}
        return {name: sorted(attributes) for name, attributes in inside.items()}, values

    attributes, values = everything()
    weights = module.weights(x)
    assert weights.shape == (2, 2, 10, 10) and not weights.requires_grad
    again, values_again = everything()
    assert attributes == again and values.keys() == values_again.keys()
    assert all(torch.equal(values[name], values_again[name]) for name in values)
    assert set(values) == {"c_attn.weight", "c_attn.bias", "c_proj.weight", "c_proj.bias"}  # no mask in it
    assert module.training and torch.equal(weights, module.weights(x))  # no dropout on what is shown


@pytest.mark.parametrize("fused", [True, False])
def test_dropout_only_while_training_and_right_on_average(fused):
    torch.manual_seed(0)
    module = CausalSelfAttention(8, 2, 6, dropout=0.1)
    module.fused = fused
    x = randn(1, 6, 8)
    quiet = module.eval()(x)
    assert torch.equal(quiet, module(x))
    module.train()
    mean = module(x.expand(20_000, -1, -1)).mean(0)
    torch.testing.assert_close(mean, quiet[0], rtol=0, atol=0.02)
    assert not torch.equal(module(x), module(x))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("pieces", [[1] * 9, [4, 1, 1, 3], [8, 1], [9]])
def test_with_a_cache_pieces_equal_the_whole(pieces, fused):
    module = CausalSelfAttention(8, 2, 9).double().eval()
    module.fused = fused
    x = randn(2, 9, 8, dtype=torch.float64)
    cache = LayerCache(9)
    parts = [module(part, cache) for part in x.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), module(x), rtol=1e-12, atol=1e-12)


def test_impossible_sizes():
    with pytest.raises(ValueError, match="n_embd=10 is not divisible by n_head=3"):
        CausalSelfAttention(10, 3, 8)
    module = CausalSelfAttention(4, 2, 8)
    for call in (module, module.weights):
        with pytest.raises(ValueError, match="T=9 exceeds block_size=8"):
            call(randn(1, 9, 4))
