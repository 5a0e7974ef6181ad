"""GPT against Hugging Face's GPT-2, its start, its names, its size and its errors."""

import dataclasses
import json
import math
from pathlib import Path
from urllib.error import URLError

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from gptlib.checkpoint import load_checkpoint
from gptlib.files import DATA
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import cross_entropy
from gptlib.tokenizer import BPETokenizer, load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SMALL = GPTConfig(vocab_size=31, block_size=16, n_layer=2, n_head=3, n_embd=24)


def tokens(*shape, vocab_size=31, seed=0):
    return torch.randint(0, vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def gpt2(config: GPTConfig, dtype=torch.float32) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.block_size,
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_embd=config.n_embd,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    for p in model.parameters():  # larger than at the start, so that a slip shows
        nn.init.normal_(p, mean=0.1 if p.ndim == 1 else 0, std=0.2)
    return model.to(dtype).eval()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        GPTConfig(vocab_size=7, block_size=5, n_layer=1, n_head=1, n_embd=4),
        GPTConfig(vocab_size=100, block_size=33, n_layer=3, n_head=4, n_embd=32),
    ],
)
def test_logits_and_gradients_equal_gpt2(config, dtype, tolerance):
    theirs = gpt2(config, dtype)
    ours = GPT.from_gpt2_state_dict(theirs.state_dict(), config.n_head)
    assert ours.config == config and ours.wte.weight.dtype == dtype
    for B, T in [(1, 1), (3, 2), (2, config.block_size)]:
        idx = tokens(B, T, vocab_size=config.vocab_size)
        logits, expected = ours(idx), theirs(idx).logits
        assert logits.shape == (B, T, config.vocab_size)
        torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    loss, expected = cross_entropy(logits, idx), torch.nn.functional.cross_entropy(expected.mT, idx)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(
        ours.wte.weight.grad, theirs.transformer.wte.weight.grad, rtol=tolerance, atol=tolerance
    )


def test_from_gpt2_state_dict_with_and_without_prefix_and_masks():
    theirs = gpt2(SMALL)
    plain = theirs.transformer.state_dict()
    masks = {f"h.{i}.attn.{name}": torch.ones(1) for i in range(2) for name in ("bias", "masked_bias")}
    idx = tokens(2, 9)
    for state in (theirs.state_dict(), plain, plain | masks):
        torch.testing.assert_close(
            GPT.from_gpt2_state_dict(state, 3)(idx), theirs(idx).logits, rtol=1e-4, atol=1e-4
        )


def test_state_dicts_that_do_not_fit():
    state = gpt2(SMALL).transformer.state_dict()
    with pytest.raises(ValueError, match="no GPT-2 state dict"):
        GPT.from_gpt2_state_dict({"layer.weight": torch.ones(2)}, 2)
    with pytest.raises(ValueError, match=r"missing \['h.1.ln_1.weight'\], unexpected \['h.1.ln_9.weight'\]"):
        GPT.from_gpt2_state_dict(
            {name.replace("h.1.ln_1.w", "h.1.ln_9.w"): t for name, t in state.items()}, 3
        )
    with pytest.raises(ValueError, match="n_embd=24 .*n_head=5"):
        GPT.from_gpt2_state_dict(state, 5)


@pytest.mark.parametrize(
    ("n_layer", "n_head", "n_embd", "parameters"),
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_parameter_counts_of_the_gpt2_family(n_layer, n_head, n_embd, parameters):
    with torch.device("meta"):
        model = GPT(GPTConfig(50257, 1024, n_layer, n_head, n_embd))
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_names_are_gpt2s():
    names = set(GPT(SMALL).state_dict())
    theirs = {name.removeprefix("transformer.") for name in gpt2(SMALL).state_dict()}
    assert names == {name for name in theirs if not name.endswith((".attn.bias", ".attn.masked_bias"))}


def test_one_table_is_used_twice():
    model = GPT(SMALL)
    assert model.lm_head.weight is model.wte.weight
    model(tokens(1, 4)).sum().backward()
    assert len(list(model.parameters())) == len({id(p) for p in model.parameters()}) == 2 + 2 * 12 + 2
    again = GPT(SMALL)
    again.load_state_dict(model.state_dict())
    assert again.lm_head.weight is again.wte.weight


def test_start():
    config = GPTConfig(vocab_size=500, block_size=300, n_layer=8, n_head=4, n_embd=128)
    model = GPT(config, torch.Generator().manual_seed(0))
    for name, p in model.named_parameters():
        if p.ndim == 2:
            expected = 0.02 / math.sqrt(16) if name.endswith("c_proj.weight") else 0.02
            assert p.std().item() == pytest.approx(expected, rel=0.03), name
            assert abs(p.mean().item()) < expected / 20, name
        else:
            assert (p == float("ln_" in name and name.endswith("weight"))).all(), name
    loss = cross_entropy(model(tokens(4, 300, vocab_size=500)), tokens(4, 300, vocab_size=500, seed=1)).item()
    assert loss == pytest.approx(math.log(500), abs=0.1)


def test_the_generator_fixes_the_start():
    def parameters(seed):
        model = GPT(SMALL, torch.Generator().manual_seed(seed))
        return torch.cat([p.flatten() for p in model.parameters()])

    torch.manual_seed(1)
    one = parameters(5)
    torch.manual_seed(2)
    assert torch.equal(one, parameters(5))
    assert not torch.equal(one, parameters(6))


def test_without_biases():
    model = GPT(dataclasses.replace(SMALL, bias=False))
    assert not [name for name, _ in model.named_parameters() if "bias" in name]
    assert model(tokens(1, 3)).shape == (1, 3, 31)


def test_no_position_sees_the_future():
    model = GPT(SMALL).eval()
    idx = tokens(1, 16)
    logits = model(idx)
    for j in range(16):
        changed = idx.clone()
        changed[0, j] = (changed[0, j] + 1) % 31
        difference = (model(changed) - logits).abs().amax(dim=(0, 2))
        assert (difference[:j] == 0).all() and difference[j] > 0


def test_dropout_is_off_in_eval_mode():
    model = GPT(dataclasses.replace(SMALL, dropout=0.5))
    assert not torch.equal(model(tokens(1, 4)), model(tokens(1, 4)))
    model.eval()
    assert torch.equal(model(tokens(1, 4)), model(tokens(1, 4)))


def test_too_long_a_context():
    with pytest.raises(ValueError, match="T=17 exceeds block_size=16"):
        GPT(SMALL)(tokens(1, 17))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(n_embd=25), "n_embd=25 is not divisible by n_head=3.*try n_embd=24"),
        (dict(n_embd=2), "n_embd=2 is not divisible by n_head=3.*try n_embd=3"),
        (dict(vocab_size=0), "vocab_size=0 must be a whole number of at least 1"),
        (dict(block_size=-1), "block_size=-1 must be"),
        (dict(n_layer=0), "n_layer=0 must be"),
        (dict(n_head=0), "n_head=0 must be"),
        (dict(n_embd=2.5), "n_embd=2.5 must be"),
        (dict(n_layer="6"), "n_layer='6' must be"),
        (dict(dropout=1.0), "dropout=1.0 must be at least 0 and below 1"),
        (dict(dropout=-0.1), "dropout=-0.1 must be"),
    ],
)
def test_impossible_configurations_name_the_field(change, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # else the types are noticed before
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.n_layer = 3


@pytest.mark.slow
def test_gpt2_small_in_full_size():
    """Random weights, GPT-2's own start, 124,439,808 of them; batch and context varied."""
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config()).eval()
    ours = GPT.from_gpt2_state_dict(theirs.state_dict(), n_head=12).eval()
    assert ours.config == GPTConfig(50257, 1024, 12, 12, 768)
    assert sum(p.numel() for p in ours.parameters()) == 124_439_808
    shapes = {torch.float32: [(1, 1), (3, 17), (1, 256)], torch.float64: [(2, 33)]}
    for dtype, tolerance in [(torch.float32, 1e-4), (torch.float64, 1e-10)]:
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        for B, T in shapes[dtype]:
            idx = tokens(B, T, vocab_size=50257)
            with torch.no_grad():
                assert (ours(idx) - theirs(idx).logits).abs().max() < tolerance


def cells_of_the_notebook(*beginnings: str) -> list[str]:
    """The text of the cells of chapter 07 that hold these words."""
    notebook = json.loads((ROOT / "notebooks" / "07_gpt.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [next(source for source in sources if words in source) for words in beginnings]


@pytest.fixture
def optional_cell(tmp_path):
    """A function that runs the cell for the real GPT-2 with a place, on an empty data folder."""
    writing, cell = cells_of_the_notebook("def write(", 'GPT2 = ""')
    names = {"GPT": GPT, "torch": torch, "json": json, "Path": Path, "BPETokenizer": BPETokenizer}
    names |= {"load_file": load_file, "DATA": tmp_path / "data", "CACHE": tmp_path / "cache"}
    (tmp_path / "data" / "gpt2").mkdir(parents=True)
    exec(writing.split("prompt = ")[0], names)

    def run(place=""):
        exec(cell.replace('GPT2 = ""', f"GPT2 = {str(place)!r}"), names)

    return run


def test_the_optional_cell_reads_a_published_folder(optional_cell, tmp_path, capsys):
    """A folder of the published form, with a small random model."""
    torch.manual_seed(0)
    published = GPT2LMHeadModel(GPT2Config(n_positions=64, n_layer=2, n_head=2, n_embd=8))
    published.save_pretrained(tmp_path / "gpt2")
    optional_cell(tmp_path / "gpt2")
    count, text = capsys.readouterr().out.split("\n", 1)
    assert int(count.removesuffix(" weights").replace(",", "")) == sum(
        p.numel() for p in published.parameters()
    )
    assert text.startswith("The best way to understand something is to")
    # the text is what Hugging Face's own greedy loop gives
    tokenizer = BPETokenizer.gpt2()
    ids = torch.tensor([tokenizer.encode("The best way to understand something is to")])
    with torch.no_grad():
        for _ in range(30):
            ids = torch.cat([ids, published.eval()(ids).logits[:, -1:].argmax(dim=-1)], dim=1)
    assert text.rstrip("\n") == tokenizer.decode(ids[0].tolist()).rstrip("\n")


def test_the_optional_cell_says_what_is_missing(optional_cell, tmp_path, capsys, monkeypatch):
    optional_cell()
    said = capsys.readouterr().out
    assert "The real GPT-2 is not here: data/gpt2 lacks config.json and model.safetensors" in said

    def no_network(url, path):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    optional_cell("openai-community/gpt2")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "no folder, and the hub did not give config.json" in said

    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}", encoding="utf-8")
    optional_cell(tmp_path / "half")
    assert "lacks model.safetensors" in capsys.readouterr().out


def test_the_notebooks_class_carries_the_shipped_weights(capsys):
    """What the cell loads gives the logits of the book's own loader."""
    (cell,) = cells_of_the_notebook("def shipped_gpt(")
    names = {"GPT": GPT, "GPTConfig": GPTConfig, "torch": torch, "json": json, "DATA": DATA}
    exec(cell, names := names | {"load_file": load_file, "load_tokenizer": load_tokenizer})
    theirs = load_checkpoint(DATA / "checkpoints" / "char-gpu-best").build_model()
    idx = tokens(2, 20, vocab_size=65)
    with torch.no_grad():
        torch.testing.assert_close(names["trained"](idx), theirs(idx))
