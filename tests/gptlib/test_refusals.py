"""Input that makes no sense: a named error that says which value, before anything is written."""

import math
import os
from dataclasses import replace

import jaxtyping
import pytest
import torch
from small_run import checkpoint

from gptlib.checkpoint import CheckpointError
from gptlib.config import TrainConfig
from gptlib.data import Batches, split
from gptlib.generation import generate
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import NGram, cross_entropy, evaluate
from gptlib.shards import ShardError, TokenShards, write_shards
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, load_tokenizer
from gptlib.training import train

NAN, INF = math.nan, math.inf
TWO = GPTConfig(11, 8, 1, 2, 16)
ROW, IDX = list(range(11)) * 4, torch.zeros(1, 1, dtype=torch.long)
BYTES = [*range(256)]


@pytest.fixture(autouse=True)
def without_type_checks(monkeypatch):
    """Readers run without them; with them, a wrong type is noticed before."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def model() -> GPT:
    return GPT(TWO, torch.Generator().manual_seed(0))


def trained(tokens=ROW, val=ROW, **settings):
    return train(model(), tokens, val, TrainConfig(**{"max_steps": 1, "batch_size": 2} | settings))


def continued(idx=IDX, length=2, **settings):
    return generate(model(), idx, length, **settings)


def from_gpt2(n_head=2, **changes):
    weights = {name.removeprefix("transformer."): t for name, t in model().to_gpt2_state_dict().items()}
    return GPT.from_gpt2_state_dict(weights | {k.replace("__", "."): v for k, v in changes.items()}, n_head)


def in_linear_layout():
    weights = model().to_gpt2_state_dict()
    return GPT.from_gpt2_state_dict(
        {n: t.T if ".h." in n and t.ndim == 2 else t for n, t in weights.items()}, 2
    )


REFUSED = {
    # tokenizers
    "char: no text": (lambda: CharTokenizer.from_text(""), "the text is empty"),
    "char: bytes": (lambda: CharTokenizer("abc").encode(b"abc"), "unknown character 97"),
    "char: id -1": (lambda: CharTokenizer("abc").decode([-1]), "token id -1 is outside 0 … 2"),
    "byte: id 256": (lambda: ByteTokenizer().decode([256]), "token id 256 is outside 0 … 255"),
    "byte: half a character": (
        lambda: ByteTokenizer().encode("a\ud800"),
        "position 1 holds the lone surrogate",
    ),
    "bpe: 255 tokens": (lambda: BPETokenizer.train("abc", 255), "vocab_size=255 is below 256"),
    "bpe: a later token": (lambda: BPETokenizer([(256, 5)]), "token 256 joins 256 and 5"),
    "bpe: a negative token": (lambda: BPETokenizer([(-1, 5)]), "token 256 joins -1 and 5"),
    "bpe: a byte twice": (lambda: BPETokenizer([], [0, *BYTES[:255]]), "each of the 256 bytes once"),
    "bpe: too few bytes": (lambda: BPETokenizer([], [1, 2]), "each of the 256 bytes once"),
    # data
    "split: all": (lambda: split(ROW, 1), "val_fraction=1 must lie between"),
    "split: nan": (lambda: split(ROW, NAN), "val_fraction=nan must lie between"),
    "batches: no window": (lambda: Batches(ROW, 0, 4), "batch_size=0 must be a whole number of at least 1"),
    "batches: 2.0": (lambda: Batches(ROW, 2.0, 4), "batch_size=2.0 must be"),
    "batches: True": (lambda: Batches(ROW, True, 4), "batch_size=True must be"),
    "batches: seed": (lambda: Batches(ROW, 2, 4, seed=-1), "seed=-1 must be"),
    "batches: no process": (lambda: Batches(ROW, 2, 4, world_size=0), "world_size=0 must be"),
    "batches: rank": (lambda: Batches(ROW, 2, 4, rank=2, world_size=2), "rank=2 is outside 0 … 1"),
    "batches: half a rank": (lambda: Batches(ROW, 2, 4, rank=0.5, world_size=2), "rank=0.5 must be"),
    "batches: fractions": (lambda: Batches([0.5] * 20, 2, 4), "float64 .20.: they must be whole numbers"),
    "batches: float tensor": (lambda: Batches(torch.rand(20), 2, 4), "float32 .20.: they must be whole"),
    "batches: a table": (lambda: Batches(torch.zeros(20, 3).long(), 2, 4), r"int64 \[20, 3\]"),
    "batches: no tokens": (lambda: Batches([], 2, 4), "0 tokens are too few for block_size=4"),
    # loss
    "loss: fewer targets": (
        lambda: cross_entropy(torch.zeros(2, 4, 3), torch.zeros(2, 1).long()),
        r"logits \[2, 4, 3\] and targets \[2, 1\] do not belong together",
    ),
    "ngram: -1": (lambda: NGram(-1), "order=-1 must be a whole number"),
    "ngram: 1.5": (lambda: NGram(1.5), "order=1.5 must be a whole number"),
    "ngram: no vocabulary": (lambda: NGram(2).fit(ROW, 0), "vocab_size=0 must be at least 1"),
    "ngram: a foreign token": (lambda: NGram(2).fit([0, 7, 1], 5), "whole numbers in 0 … 4"),
    "ngram: a negative one": (lambda: NGram(2).fit([0, -1, 1], 5), "whole numbers in 0 … 4"),
    "ngram: fractions": (lambda: NGram(1).fit([0.5, 1.5], 5), "whole numbers in 0 … 4"),
    "ngram: judges foreign": (lambda: NGram(1).fit(ROW, 11).loss([1, 99]), "whole numbers in 0 … 10"),
    "ngram: foreign context": (lambda: NGram(2).fit(ROW, 11).probabilities([99]), "in 0 … 10"),
    "ngram: too few": (lambda: NGram(3).fit([1, 2], 5), "2 tokens are too few"),
    "evaluate: one token": (lambda: evaluate(model(), [1], 8), "1 tokens: a loss needs at least two"),
    "evaluate: no window": (lambda: evaluate(model(), ROW, 0), "block_size=0 and batch_size=64"),
    "evaluate: no batch": (lambda: evaluate(model(), ROW, 8, 0), "block_size=8 and batch_size=0"),
    "evaluate: long windows": (lambda: evaluate(model(), ROW, 9), "T=9 exceeds block_size=8"),
    "evaluate: fractions": (lambda: evaluate(model(), [0.5, 1.5, 2.5], 8), "must be whole numbers"),
    "evaluate: a table": (lambda: evaluate(model(), torch.zeros(4, 4).long(), 8), r"int64 \[4, 4\]"),
    # the model
    "config: text": (lambda: replace(TWO, n_layer="2"), "n_layer='2' must be a whole number"),
    "config: dropout": (lambda: replace(TWO, dropout=NAN), "dropout=nan must be"),
    "config: bias": (lambda: replace(TWO, bias=1), "bias=1 must be True or False"),
    "gpt-2: Linear's layout": (in_linear_layout, r"c_attn.weight is \[16, 48\] where \[48, 16\] is expected"),
    "gpt-2: n_inner": (
        lambda: from_gpt2(h__0__mlp__c_fc__weight=torch.zeros(16, 30)),
        r"h.0.mlp.c_fc.weight is \[30, 16\] where \[64, 16\]",
    ),
    "gpt-2: wpe's width": (lambda: from_gpt2(wpe__weight=torch.zeros(8, 5)), r"wpe.weight is \[8, 5\]"),
    "gpt-2: untied": (lambda: from_gpt2(lm_head__weight=torch.zeros(11, 16)), "differs from wte.weight"),
    "gpt-2: a stranger": (lambda: from_gpt2(h__0__adapter=torch.zeros(1)), r"unexpected \['h.0.adapter'\]"),
    "gpt-2: heads": (lambda: from_gpt2(n_head=0), "n_head=0 must be"),
    "gpt-2: nothing": (lambda: GPT.from_gpt2_state_dict({}, 2), "no GPT-2 state dict"),
    # generation
    "generate: nan": (lambda: continued(temperature=NAN), "temperature=nan must not be negative, and finite"),
    "generate: -1": (lambda: continued(temperature=-1), "temperature=-1 must not be negative"),
    "generate: top_k": (lambda: continued(top_k=2.0), "top_k=2.0 must be at least 1, and a whole number"),
    "generate: top_p": (lambda: continued(top_p=NAN), "top_p=nan must lie in"),
    "generate: length": (lambda: continued(length=1.5), "max_new_tokens=1.5 must not be negative"),
    "generate: no prompt": (lambda: continued(idx=IDX[:, :0]), "the prompt is empty"),
    "generate: a row": (lambda: continued(idx=IDX[0]), r"idx must be \[B, T\], not \[1\]"),
    # training
    "train: rate": (lambda: trained(learning_rate=NAN), "learning_rate=nan must be a finite number"),
    "train: decay": (lambda: trained(weight_decay=NAN), "weight_decay=nan must be a finite number"),
    "train: clipping": (lambda: trained(grad_clip=-1), "grad_clip=-1 must be at least 0"),
    "train: betas": (lambda: trained(betas=(1.5, 2)), r"betas=\(1.5, 2\) must be two numbers"),
    "train: betas nan": (lambda: trained(betas=(NAN, 0.9)), "betas=.*must be two numbers"),
    "train: optimizer": (
        lambda: trained(optimizer="sgd"),
        "optimizer='sgd' is unknown: choose from adamw, muon",
    ),
    "train: Muon": (lambda: trained(optimizer="Muon"), "optimizer='Muon' is unknown"),
    "train: precision": (lambda: trained(precision="int8"), "precision='int8' is unknown"),
    "train: steps": (lambda: trained(max_steps=1.5), "max_steps=1.5 must be a whole number"),
    "train: True steps": (lambda: trained(max_steps=True), "max_steps=True must be a whole number"),
    "train: seed": (lambda: trained(seed=1 << 64), "seed=18446744073709551616 must be below"),
    "train: rising rate": (
        lambda: trained(learning_rate=1e-4, min_learning_rate=1e-3),
        "min_learning_rate=0.001 is above learning_rate=0.0001: lower it, too",
    ),
    "train: foreign token": (lambda: trained(tokens=[11] * 40), "tokens lie in 11 … 11.* vocab_size=11"),
    "train: negative token": (lambda: trained(tokens=[-1] * 40), "tokens lie in -1 … -1"),
    "train: foreign validation": (lambda: trained(val=[1, 99]), "tokens lie in 1 … 99"),
    "train: fractions": (lambda: trained(tokens=[0.5] * 40), "must be whole numbers in a row"),
    "train: short validation": (lambda: trained(val=[1]), "1 validation tokens: at least 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ids", [[1.7], "ab", [None], [[0]], torch.zeros(2, 2).long()])
def test_ids_that_are_no_whole_numbers_are_no_other_token(ids):
    with pytest.raises(TypeError):
        CharTokenizer("abc").decode(ids)


TOKENIZER_FILES = {
    "": "JSONDecodeError",
    "[]": "TypeError",
    "[" * 100_000: "RecursionError",
    '{"kind": "words"}': "unknown kind 'words'",
    '{"kind": "char", "characters": 5}': "TypeError",
    '{"kind": "bpe", "merges": [[1]], "byte_order": null, "special": []}': "ValueError",
    '{"kind": "bpe", "merges": [["a", "b"]], "byte_order": null, "special": []}': "TypeError",
    '{"kind": "bpe", "merges": [[-1, 2]], "byte_order": null, "special": []}': "joins -1 and 2",
    '{"kind": "bpe", "merges": [], "byte_order": [300], "special": []}': "each of the 256 bytes once",
    '{"kind": "bpe", "merges": [], "byte_order": null, "special": [5]}': "is not a tokenizer file",
}


@pytest.mark.parametrize("text", TOKENIZER_FILES, ids=TOKENIZER_FILES.values())
def test_tokenizer_files_that_make_no_sense(text, tmp_path):
    (tmp_path / "t.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="t.json is not a tokenizer file") as refused:
        load_tokenizer(tmp_path / "t.json")
    assert TOKENIZER_FILES[text] in str(refused.value)


@pytest.mark.parametrize(("value", "name"), [(NAN, "wte.weight"), (INF, "h.1.mlp.c_proj.weight")])
def test_weights_that_are_not_finite_build_no_model(value, name):
    saved = checkpoint()
    weights = {n: t.clone() for n, t in saved.state.model.items()}
    weights[name].view(-1)[3] = value
    with pytest.raises(CheckpointError, match=f"{name} is not finite"):
        replace(saved, state=replace(saved.state, model=weights)).build_model()


SHARDS = {
    "one string": ("abc", "set", "documents is one string"),
    "nothing": ([], "set", "no text to write"),
    "an empty document": ([""], "set", "no text to write"),
    "empty documents": (["", ""], "set", "no text to write"),
    "a folder that is a link": (["abc"], "link", "link cannot be given to a finished folder by a rename"),
    "the working directory": (["abc"], ".", "cannot be given to a finished folder"),
    "a mount point": (["abc"], os.sep + "proc", "cannot be given to a finished folder"),
    "a full folder": (["abc"], "full", "full exists and is not empty"),
    "a file": (["abc"], "full/file", "file exists and is not empty"),
}


@pytest.mark.skipif(os.name == "nt", reason="links and /proc are POSIX")
@pytest.mark.parametrize("case", SHARDS)
def test_shards_that_cannot_be_written_are_refused_before_encoding(case, tmp_path, monkeypatch):
    documents, folder, message = SHARDS[case]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)

    def watched():
        yield from documents
        assert "no text" in message, "was encoded first"

    with pytest.raises(ShardError, match=message):
        write_shards(documents if isinstance(documents, str) else watched(), folder, BPETokenizer.gpt2())
    assert {path.name for path in tmp_path.iterdir()} == {"full", "link"}


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "{}", '{"dtype": "int8"}', '{"dtype": []}'])
def test_shard_manifests_that_make_no_sense(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ShardError, match="manifest.json is damaged"):
        TokenShards(tmp_path)
