"""What transformers loads."""

import dataclasses

import pytest
import torch
from tiny_commands import complaint, contents, run

from gptlib.checkpoint import Checkpoint, best_checkpoint, load_checkpoint, save_checkpoint
from gptlib.config import TrainConfig
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.trainer import Trainer


def logits_of(checkpoint, folder, ids):
    """Ours, and those of transformers."""
    transformers = pytest.importorskip("transformers")
    with torch.no_grad():
        theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()(ids).logits
        return checkpoint.build_model()(ids), theirs


def test_export_is_loaded_by_transformers(finished, trained_bpe, tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    for name, run_folder in (("char", finished), ("bpe", trained_bpe)):
        assert run("export", run_folder, tmp_path / "to" / name) == 0
        out, checkpoint = capsys.readouterr().out, load_checkpoint(best_checkpoint(run_folder))
        ids = torch.randint(
            checkpoint.tokenizer.vocab_size, (2, 16), generator=torch.Generator().manual_seed(1)
        )
        torch.testing.assert_close(*logits_of(checkpoint, tmp_path / "to" / name, ids), atol=1e-5, rtol=0)
        assert ("the char tokenizer has no place in GPT-2's format" in out) == (name == "char")
    text = "O Romeo, Romeo!\n\n  wherefore's 123 Äé🙂\n\n"
    theirs = transformers.GPT2Tokenizer.from_pretrained(tmp_path / "to" / "bpe")
    ours = checkpoint.tokenizer
    assert theirs(text)["input_ids"] == ours.encode(text)
    before = contents(tmp_path)
    assert run("export", finished, tmp_path / "to" / "char") == 2
    assert "exists already: nothing was overwritten" in complaint(capsys) and contents(tmp_path) == before


def test_a_modern_model_is_loaded_as_llama(tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    switches = dict(bias=False, position="rope", norm="rms", mlp="swiglu", n_kv_head=1, tied=False)
    model = ModernGPT(ModernConfig(11, 8, 2, 2, 16, **switches), torch.Generator().manual_seed(1)).eval()
    for name, one in (("llama", model), ("neither", ModernGPT(dataclasses.replace(model.config, cap=15.0)))):
        state = Trainer(one, TrainConfig(3)).state(1, 1.0, 1)
        checkpoint = Checkpoint(state, one.config, TrainConfig(3), CharTokenizer("abcdefghijk"))
        save_checkpoint(tmp_path / name, checkpoint)
    assert run("export", tmp_path / "llama", tmp_path / "to") == 0
    out = capsys.readouterr().out
    assert "in Llama's format" in out and "LlamaForCausalLM.from_pretrained" in out
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "to").eval()
    ids = torch.randint(11, (2, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, atol=1e-5, rtol=0)
    assert run("export", tmp_path / "neither", tmp_path / "no") == 2
    assert complaint(capsys) == "error: Llama has cap=0.0, this model cap=15.0\n"
    assert not (tmp_path / "no").exists()
