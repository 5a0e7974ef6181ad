"""Equality with Hugging Face's Llama, and its weights in and out."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from gptlib.llama import from_llama, llama_settings, to_llama
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig


def llama(tied=False, heads=6, kv_heads=2, base=10_000.0, width=40) -> LlamaForCausalLM:
    """A Llama in float64 with random weights. PyTorch's RMSNorm stands in for theirs, which rounds."""
    config = LlamaConfig(
        vocab_size=31,
        hidden_size=24,
        intermediate_size=width,
        num_hidden_layers=3,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=32,
        rms_norm_eps=1e-5,
        rope_theta=base,
        tie_word_embeddings=tied,
        attn_implementation="sdpa",
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(config).double().eval()
    for name, module in list(model.named_modules()):
        if isinstance(module, LlamaRMSNorm):
            exact = torch.nn.RMSNorm(24, eps=1e-5, dtype=torch.float64)
            torch.nn.init.normal_(exact.weight)
            model.set_submodule(name, exact)
    return model


@pytest.mark.parametrize("base", [10_000.0, 500.0])
@pytest.mark.parametrize("heads", [(6, 2), (6, 1), (2, 2)])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_hugging_faces_llama(tied, heads, base):
    theirs = llama(tied, *heads, base)
    ours = from_llama(theirs.state_dict(), heads[0], 32, base).eval()
    assert ours.config.tied == tied and ours.config.n_kv_head == heads[1]
    idx = torch.randint(31, (2, 32), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours(idx), theirs(idx).logits, rtol=0, atol=1e-12)
    if base != 10_000.0:  # a negative control: another base gives other logits
        other = from_llama(theirs.state_dict(), heads[0], 32).eval()
        assert (other(idx) - theirs(idx).logits).abs().max() > 1e-4


@pytest.mark.parametrize("tied", [False, True])
def test_out_and_in_again(tied):
    theirs = llama(tied)
    ours = from_llama(theirs.state_dict(), 6, 32)
    back = to_llama(ours)
    assert back.keys() == theirs.state_dict().keys()
    assert all(torch.equal(back[name], weight) for name, weight in theirs.state_dict().items())


def test_they_load_what_we_wrote():
    config = ModernConfig(31, 32, 2, 6, 24, bias=False, position="rope", norm="rms", mlp="swiglu", tied=False)
    ours = ModernGPT(config, torch.Generator().manual_seed(3)).double().eval()
    theirs = LlamaForCausalLM(LlamaConfig(**llama_settings(config))).double().eval()
    missing = theirs.load_state_dict(to_llama(ours))
    assert not missing.missing_keys and not missing.unexpected_keys
    idx = torch.randint(31, (1, 20), generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(
        ours(idx), theirs(idx).logits, rtol=0, atol=1e-5
    )  # their norm rounds to float32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm", "layer"),
        ("mlp", "gelu"),
        ("position", "learned"),
        ("qk_norm", True),
        ("cap", 15.0),
        ("shortcuts", True),
    ],
)
def test_what_is_no_llama_is_refused(name, value):
    switches = dict(bias=False, position="rope", norm="rms", mlp="swiglu") | {name: value}
    with pytest.raises(ValueError, match=f"{name}="):
        to_llama(ModernGPT(ModernConfig(31, 32, 2, 6, 24, **switches)))


def test_wrong_state_dicts_are_refused():
    with pytest.raises(ValueError, match="no Llama state dict"):
        from_llama({"wte.weight": torch.zeros(3, 4)}, 2, 8)
    weights = llama().state_dict()
    del weights["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(ValueError, match="missing.*h.1.mlp.c_fc.weight"):
        from_llama(weights, 6, 32)
    weights = llama().state_dict() | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(24)}
    with pytest.raises(ValueError, match="unexpected.*q_proj.bias"):
        from_llama(weights, 6, 32)
