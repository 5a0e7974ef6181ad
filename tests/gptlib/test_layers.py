"""Every layer against torch.nn: values and gradients, two precisions, odd shapes, autocast."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gptlib.layers import Dropout, Embedding, LayerNorm, Linear, gelu, gelu_exact

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-12)]
SHAPES = [(6,), (1, 6), (5, 6), (2, 3, 6), (2, 1, 3, 6), (0, 6)]


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_same(ours, theirs, x, tolerance):
    """Equal outputs for x, and after a backward pass equal gradients of x and of every parameter, by name."""
    our_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    our_y, their_y = ours(our_x), theirs(their_x)
    torch.testing.assert_close(our_y, their_y, rtol=tolerance, atol=tolerance)
    weights = randn(*our_y.shape, dtype=our_y.dtype, seed=9)
    (our_y * weights).sum().backward()
    (their_y * weights).sum().backward()
    torch.testing.assert_close(our_x.grad, their_x.grad, rtol=tolerance, atol=tolerance)
    assert_same_gradients(ours, theirs, tolerance)


def assert_same_gradients(ours, theirs, tolerance):
    ours = dict(ours.named_parameters()) if isinstance(ours, nn.Module) else {}
    theirs = dict(theirs.named_parameters()) if isinstance(theirs, nn.Module) else {}
    assert ours.keys() == theirs.keys()
    for name, p in ours.items():
        torch.testing.assert_close(p.grad, theirs[name].grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias, dtype, tolerance):
    ours, theirs = Linear(6, 5, bias).to(dtype), nn.Linear(6, 5, bias).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    assert_same(ours, theirs, randn(*shape, dtype=dtype), tolerance)


def test_linear_starts_with_outputs_as_large_as_inputs():
    torch.manual_seed(0)
    layer = Linear(400, 300)
    assert layer.weight.shape == (300, 400) and not layer.bias.any()
    assert layer(randn(1000, 400, seed=3)).std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(shape, bias, dtype, tolerance):
    ours, theirs = LayerNorm(6, bias).to(dtype), nn.LayerNorm(6, bias=bias).to(dtype)
    with torch.no_grad():
        theirs.weight.copy_(randn(6, dtype=dtype, seed=1))
        if bias:
            theirs.bias.copy_(randn(6, dtype=dtype, seed=2))
    ours.load_state_dict(theirs.state_dict())
    assert_same(ours, theirs, randn(*shape, dtype=dtype) * 3 + 100, tolerance * 10)


def test_layer_norm_of_equal_numbers_is_its_shift():
    layer = LayerNorm(4)
    with torch.no_grad():
        layer.bias.fill_(0.5)
    assert torch.equal(layer(torch.full((2, 4), 7.0)), torch.full((2, 4), 0.5))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (0,), (1, 2, 4)])
def test_embedding(shape, dtype, tolerance):
    ours, theirs = Embedding(11, 3).to(dtype), nn.Embedding(11, 3).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    idx = torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(idx), theirs(idx))
    for layer in (ours, theirs):  # a row that is looked up twice gets both gradients
        (layer(torch.stack([idx, idx])) ** 2).sum().backward()
    assert_same_gradients(ours, theirs, tolerance)


def test_embedding_refuses_unknown_ids_on_a_cpu():
    with pytest.raises(IndexError):
        Embedding(4, 2)(torch.tensor([4]))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_gelu(dtype, tolerance):
    x = torch.linspace(-12, 12, 997, dtype=dtype)
    assert_same(gelu, lambda x: F.gelu(x, approximate="tanh"), x, tolerance)
    assert_same(gelu_exact, F.gelu, x, tolerance)
    assert 1e-4 < (gelu(x) - gelu_exact(x)).abs().max() < 5e-4


def test_gelu_in_float16_is_right_everywhere_and_its_gradient_up_to_255():
    x = torch.tensor([-1000.0, -200.0, -1.0, 1.0, 200.0, 1000.0], dtype=torch.float16, requires_grad=True)
    y = gelu(x)
    assert (y - F.gelu(x, approximate="tanh")).abs().max() < 0.002
    y.sum().backward()
    assert x.grad.isnan().tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (5, 33), (2, 3, 65)])
def test_half_precision_stays_within_two_eps(shape, dtype):
    """Outputs and gradients, against the same numbers in float64, as shares of the largest entry."""
    x, dim = randn(*shape, seed=1).to(dtype), shape[-1]
    pairs = [(Linear(dim, 5), nn.Linear(dim, 5)), (LayerNorm(dim), nn.LayerNorm(dim))]
    for ours, theirs in pairs:
        with torch.no_grad():
            for number, p in enumerate(ours.parameters()):
                p.copy_(randn(*p.shape, seed=2 + number) / dim**0.5)
        theirs.load_state_dict(ours.to(dtype).state_dict())
        assert_close_in_eps(ours, theirs.double(), x)
    assert_close_in_eps(gelu, lambda x: F.gelu(x, approximate="tanh"), x)
    assert_close_in_eps(gelu_exact, F.gelu, x)


def assert_close_in_eps(half, wide, x, eps=2):
    weights = randn(*half(x).shape, seed=9).to(x.dtype)
    results = []
    for layer, cast in ((half, lambda t: t), (wide, lambda t: t.double())):
        inputs = cast(x).clone().requires_grad_()
        parameters = list(layer.parameters()) if isinstance(layer, nn.Module) else []
        y = layer(inputs)
        results.append((y, *torch.autograd.grad(y, (inputs, *parameters), cast(weights))))
    for a, b in zip(*results, strict=True):
        assert a.dtype == x.dtype
        assert (a.double() - b).abs().max() <= eps * torch.finfo(x.dtype).eps * b.abs().max().clamp(min=1)


def test_dropout_keeps_the_mean_and_scales_what_it_keeps():
    torch.manual_seed(0)
    layer, x = Dropout(0.3), torch.ones(200_000)
    y = layer(x)
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_dropout_passes_gradients_where_it_kept_the_number():
    torch.manual_seed(0)
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_dropout_does_nothing_in_eval_mode_or_at_zero():
    x = randn(3, 4)
    assert torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


@pytest.mark.parametrize("p", [-0.1, 1, 1.5])
def test_impossible_dropout(p):
    with pytest.raises(ValueError, match=f"dropout={p}"):
        Dropout(p)


def test_under_autocast_matrix_products_run_in_bfloat16():
    x, linear, norm = randn(4, 6), Linear(6, 5), LayerNorm(5)
    torch_linear = nn.Linear(6, 5)
    torch_linear.load_state_dict(linear.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        y = linear(x)
        assert y.dtype == torch_linear(x).dtype == torch.bfloat16
        torch.testing.assert_close(y, torch_linear(x), rtol=0.02, atol=0.02)
        assert norm(y).dtype in (torch.bfloat16, torch.float32)
    (y.float() ** 2).sum().backward()
    assert linear.weight.grad.dtype == linear.bias.grad.dtype == torch.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)])
def test_layer_norm_of_numbers_whose_squares_do_not_fit(dtype, tolerance):
    x, layer = 3000 * randn(8, 64), LayerNorm(64)
    y = LayerNorm(64).to(dtype)(x.to(dtype))
    assert y.dtype == dtype and (y.float() - layer(x)).abs().max() < tolerance


def test_dropout_in_half_precision_draws_in_float32():
    torch.manual_seed(0)
    y = Dropout(0.003)(torch.ones(1_000_000, dtype=torch.bfloat16))  # bfloat16 would draw multiples of 1/256
    assert y.dtype == torch.bfloat16 and (y == 0).float().mean().item() == pytest.approx(0.003, abs=0.0003)
