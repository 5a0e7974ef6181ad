"""Gradients by hand against autograd: other shapes, other configurations, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import backprop
from gptlib.attention import causal_mask
from gptlib.gpt import GPT, GPTConfig
from gptlib.layers import gelu
from gptlib.loss import cross_entropy


def draw(*shapes, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]


def same(ours, y, inputs, direction):
    for a, b in zip(ours, torch.autograd.grad(y, inputs, direction), strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def direction_of(y, seed=1):
    return torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_products_and_linear_layers(batch):
    a, b = draw((*batch, 4, 5), (*batch, 5, 2))
    g = direction_of(a @ b)
    same(backprop.matmul_backward(g, a, b), a @ b, (a, b), g)
    x, weight, bias = draw((*batch, 5), (3, 5), (3,))
    y = F.linear(x, weight, bias)
    same(backprop.linear_backward(direction_of(y), x, weight), y, (x, weight, bias), direction_of(y))


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=3), st.lists(st.integers(1, 3), max_size=2))
@settings(max_examples=60, deadline=None)
def test_any_broadcasting_is_undone(small, front):
    full = [*front, *(3 if n == 3 else 2 for n in small)]
    small = [1 if n == 1 else (3 if n == 3 else 2) for n in small]
    x = torch.zeros(small, dtype=torch.float64, requires_grad=True)
    g = direction_of(x.expand(full))
    same([backprop.unbroadcast(g, tuple(small))], x.expand(full), (x,), g)


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 5)])
def test_pointwise_softmax_and_loss(shape):
    (x,) = draw(shape)
    g = direction_of(x)
    same([backprop.gelu_backward(g, x)], gelu(x), (x,), g)
    p = x.softmax(-1)
    same([backprop.softmax_backward(g, p.detach())], p, (x,), g)
    targets = torch.zeros(shape[:-1], dtype=torch.long)
    one = torch.ones((), dtype=torch.float64)
    same([backprop.cross_entropy_backward(3 * one, x, targets)], cross_entropy(x, targets), (x,), 3 * one)


@pytest.mark.parametrize("shape, eps", [((1,), 1e-5), ((4, 6), 1e-5), ((2, 2, 5), 0.3)])
def test_layer_norm(shape, eps):
    x, weight, bias = draw(shape, shape[-1:], shape[-1:])
    y = F.layer_norm(x, weight.shape, weight, bias, eps)
    same(backprop.layer_norm_backward(direction_of(y), x, weight, eps), y, (x, weight, bias), direction_of(y))


@pytest.mark.parametrize("mask", [None, causal_mask(5)])
def test_attention(mask):
    q, k, v = draw((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    same(backprop.attention_backward(direction_of(y), q, k, v, mask), y, (q, k, v), direction_of(y))


def test_embedding_adds_up_what_is_used_twice():
    (table,) = draw((6, 3))
    idx = torch.tensor([[1, 1, 5], [0, 1, 5]])
    y = table[idx]
    same([backprop.embedding_backward(direction_of(y), idx, 6)], y, (table,), direction_of(y))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers, heads, width, T", [(1, 1, 4, 1), (2, 3, 6, 7), (4, 2, 16, 8)])
def test_a_whole_gpt(bias, layers, heads, width, T):
    config = GPTConfig(13, block_size=8, n_layer=layers, n_head=heads, n_embd=width, bias=bias)
    model = GPT(config, torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3), dtype=p.dtype))
    idx = torch.randint(13, (3, T + 1), generator=torch.Generator().manual_seed(4))
    loss, grads = backprop.gpt_backward(model, idx[:, :-1], idx[:, 1:])
    right = cross_entropy(model(idx[:, :-1]), idx[:, 1:])
    right.backward()
    assert abs(loss - right) < 1e-12
    assert list(grads) == [name for name, _ in model.named_parameters()]
    for name, p in model.named_parameters():
        off = (grads[name] - p.grad).norm()
        assert off <= 1e-9 * p.grad.norm() or off < 1e-15, name


def test_what_it_does_not_model_is_refused():
    model = GPT(GPTConfig(5, block_size=4, n_layer=1, n_head=1, n_embd=4, dropout=0.1)).train()
    idx = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="dropout=0.1 in training mode"):
        backprop.gpt_backward(model, idx, idx)
    assert backprop.gpt_backward(model.eval(), idx, idx)[0].isfinite()
    long = torch.zeros(1, 5, dtype=torch.long)
    with pytest.raises(ValueError, match="T=5 exceeds block_size=4"):
        backprop.gpt_backward(model, long, long)
