"""The fused kernels against the reader's own layers and optimizer."""

import pytest
import torch
from tiny_model import model

from gptlib.batched import BatchedAdamW, BatchedMuon
from gptlib.block import MLP
from gptlib.kernels import (
    chunked_loss,
    fused_dropout,
    fused_kernels,
    fused_layer_norm,
    fused_linear,
    fused_mlp,
    fused_orthogonalise,
    next_token_loss,
)
from gptlib.layers import Dropout, LayerNorm, Linear
from gptlib.loss import cross_entropy


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_fused_layers_equal_the_readers_own(dtype, tolerance):
    torch.manual_seed(0)
    x = torch.randn(3, 5, 16, dtype=dtype, requires_grad=True)
    norm = LayerNorm(16).to(dtype)
    torch.nn.init.normal_(norm.weight)
    cases = [
        (Linear(16, 9).to(dtype), fused_linear),
        (Linear(16, 9, bias=False).to(dtype), fused_linear),
        (norm, fused_layer_norm),
        (LayerNorm(16, bias=False).to(dtype), fused_layer_norm),
        (MLP(16).to(dtype), fused_mlp),
    ]
    for layer, fused in cases:
        wanted = [x, *layer.parameters()]
        ours, theirs = layer(x), fused(layer, x)
        direction = torch.randn_like(ours)
        gradients = [torch.autograd.grad(y, wanted, direction, retain_graph=True) for y in (ours, theirs)]
        for a, b in zip([ours, *gradients[0]], [theirs, *gradients[1]], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1, b.abs().max().item()))


def test_the_residual_stream_has_the_precision_of_the_products():
    """In 16 bits inside autocast, as the embedding is computed alone; without autocast nothing is rounded."""
    gpt, seen = model(), []
    for block in gpt.h:
        block.register_forward_hook(lambda module, x, y: seen.append(y.dtype))
    idx = torch.arange(8)[None]
    with fused_kernels(gpt):
        full = gpt(idx)
        with torch.autocast("cpu", torch.bfloat16):
            half = gpt(idx)
    layers = len(gpt.h)
    assert seen == [torch.float32] * layers + [torch.bfloat16] * layers
    torch.testing.assert_close(full, gpt(idx), rtol=0, atol=1e-5)
    torch.testing.assert_close(half.float(), full, rtol=0, atol=0.05)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 12, 5), (2, 5, 12)])
def test_fused_orthogonalise_equals_ours(shape):
    G = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    muon = BatchedMuon([torch.nn.Parameter(G[0])])
    torch.testing.assert_close(fused_orthogonalise(muon, G), muon.orthogonalise(G), rtol=0, atol=1e-12)


def test_fused_dropout_follows_the_mode_and_keeps_the_mean():
    layer = Dropout(0.3)
    x = torch.ones(100_000)
    kept = fused_dropout(layer, x)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(fused_dropout(layer.eval(), x), x)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_fused_adamw_equals_ours_for_1000_steps(dtype, tolerance):
    g = torch.Generator().manual_seed(1)
    start = [torch.randn(size, generator=g, dtype=dtype) for size in ((6, 4), (4,), (3, 2))]
    pairs = [[p.clone().requires_grad_() for p in start] for _ in range(2)]
    optimizers = [
        BatchedAdamW([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.0}], lr=1e-2, weight_decay=0.1)
        for p in pairs
    ]
    for step in range(1000):
        gradients = [torch.randn(p.shape, generator=g, dtype=dtype) for p in start]
        if step % 7 == 3:
            gradients[2] = None  # takes no part in this step
        for params in pairs:
            for p, gradient in zip(params, gradients, strict=True):
                p.grad = gradient
        optimizers[0].step()
        with fused_kernels(torch.nn.Module(), optimizers[1]):
            optimizers[1].step()
        for p, q in zip(*pairs, strict=True):
            assert (p - q).abs().max() <= tolerance * p.abs().max()
    assert optimizers[0].state_dict().keys() == optimizers[1].state_dict().keys()


def test_kernels_are_swapped_on_one_model_and_put_back_also_after_an_error():
    ours, other = model(), model()
    own = {name: part.forward for name, part in ours.named_modules()}
    with pytest.raises(RuntimeError, match="stop"), fused_kernels(ours):
        swapped = {name for name, part in ours.named_modules() if part.forward != own[name]}
        kinds = {type(ours.get_submodule(name)).__name__ for name in swapped}
        assert kinds == {"Linear", "Embedding", "LayerNorm", "Dropout", "MLP"}
        assert "forward" not in vars(other.lm_head) and other.lm_head.forward.__func__ is Linear.forward
        raise RuntimeError("stop")
    assert {name: part.forward for name, part in ours.named_modules()} == own
    assert not any("forward" in vars(part) for part in ours.modules())


# --- the loss in chunks


@pytest.mark.parametrize("vocab", [11, 1500])
@pytest.mark.parametrize("rows", [1, 4, 7, 100])
def test_the_loss_in_chunks_is_the_loss(vocab, rows):
    g = torch.Generator().manual_seed(rows)
    hidden = torch.randn(3, 7, 5, generator=g, dtype=torch.float64).requires_grad_()
    table = torch.randn(vocab, 5, generator=g, dtype=torch.float64).requires_grad_()
    targets = torch.randint(vocab, (3, 7), generator=g)
    ours, theirs = chunked_loss(hidden, table, targets, rows), cross_entropy(hidden @ table.T, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(loss, [hidden, table]) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_the_loss_in_chunks_under_autocast_computes_in_16_bits_again_in_the_backward_pass():
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 8, 16, generator=g).requires_grad_()
    table = torch.randn(40, 16, generator=g).requires_grad_()
    targets = torch.randint(40, (2, 8), generator=g)
    grads = []
    for loss_fn in (next_token_loss, lambda h, w, t: chunked_loss(h, w, t, rows=4)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_fn(hidden, table, targets)
        grads.append(torch.autograd.grad(loss, hidden)[0])
    torch.testing.assert_close(*grads, rtol=0.02, atol=1e-4)
