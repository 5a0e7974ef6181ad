"""The block against nn.TransformerEncoderLayer and Hugging Face's GPT-2 block."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from gptlib.attention import causal_mask
from gptlib.block import MLP, Block
from gptlib.generation import LayerCache

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def shaken(module: nn.Module, dtype) -> nn.Module:
    """Random numbers everywhere, so that a bias or a scale that is left out shows."""
    for i, p in enumerate(module.parameters()):
        nn.init.normal_(
            p, mean=0.5 if p.ndim == 1 else 0, std=0.3, generator=torch.Generator().manual_seed(i)
        )
    return module.to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_block_equals_torch(bias, dtype, tolerance):
    B, T, C, n_head = 3, 7, 12, 3
    ours = shaken(Block(C, n_head, 8, bias=bias), dtype)
    theirs = nn.TransformerEncoderLayer(
        C,
        n_head,
        4 * C,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True,
        norm_first=True,
        bias=bias,
    ).to(dtype)
    names = {
        "self_attn.in_proj_": "attn.c_attn.",
        "self_attn.out_proj.": "attn.c_proj.",
        "linear1.": "mlp.c_fc.",
        "linear2.": "mlp.c_proj.",
        "norm1.": "ln_1.",
        "norm2.": "ln_2.",
    }

    def ours_named(name: str) -> str:
        for theirs_begins, ours_begins in names.items():
            name = name.replace(theirs_begins, ours_begins)
        return name

    weights = ours.state_dict()
    theirs.load_state_dict({name: weights[ours_named(name)] for name in theirs.state_dict()})
    x, their_x = (randn(B, T, C, dtype=dtype).requires_grad_() for _ in range(2))
    y, expected = ours(x), theirs(their_x, src_mask=~causal_mask(T), is_causal=True)
    torch.testing.assert_close(y, expected, rtol=tolerance, atol=tolerance)
    (y**2).mean().backward()
    (expected**2).mean().backward()
    torch.testing.assert_close(x.grad, their_x.grad, rtol=tolerance * 10, atol=tolerance * 10)
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    for name, p in theirs.named_parameters():
        torch.testing.assert_close(
            gradients[ours_named(name)], p.grad, rtol=tolerance * 10, atol=tolerance * 10
        )


def test_block_equals_gpt2():
    config = GPT2Config(n_embd=12, n_head=4, n_positions=8, attn_implementation="eager")
    theirs = shaken(GPT2Block(config, layer_idx=0), torch.float64).eval()
    ours = Block(12, 4, 8).double().eval()
    state = {n: t for n, t in theirs.state_dict().items() if n not in ("attn.bias", "attn.masked_bias")}
    matrices = [name for name, t in state.items() if t.ndim == 2]  # GPT-2 stores them as [n_in, n_out]
    ours.load_state_dict(state | {name: state[name].T for name in matrices})
    x = randn(2, 8, 12, dtype=torch.float64)
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.float64).masked_fill(~causal_mask(8), -torch.inf)
    expected = theirs(x, attention_mask=mask)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(ours(x), expected, rtol=1e-12, atol=1e-12)


def test_names_follow_gpt2():
    assert {name for name, _ in Block(8, 2, 4).named_parameters()} == {
        f"{part}.{kind}"
        for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
        for kind in ("weight", "bias")
    }


def test_a_block_that_adds_nothing_lets_everything_pass():
    """With both projections into the residual stream at 0, pre-norm leaves x as it is."""
    block = shaken(Block(8, 2, 6), torch.float32)
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        nn.init.zeros_(projection.weight), nn.init.zeros_(projection.bias)
    x = randn(2, 6, 8) * 50
    assert torch.equal(block(x), x)


def test_mlp_works_on_each_position_by_itself():
    mlp = shaken(MLP(6), torch.float64)
    assert mlp.c_fc.weight.shape == (24, 6)
    x = randn(2, 5, 6, dtype=torch.float64)
    alone = torch.stack([mlp(x[:, t : t + 1])[:, 0] for t in range(5)], dim=1)
    torch.testing.assert_close(mlp(x), alone, rtol=1e-12, atol=1e-12)


def test_cache_and_dropout_reach_the_parts():
    block = Block(8, 2, 6, dropout=0.25).double()
    assert {part.p for part in block.modules() if type(part).__name__ == "Dropout"} == {0.25}
    block.eval()
    x, cache = randn(1, 6, 8, dtype=torch.float64), LayerCache(6)
    parts = [block(part, cache) for part in x.split(2, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), block(x), rtol=1e-12, atol=1e-12)
