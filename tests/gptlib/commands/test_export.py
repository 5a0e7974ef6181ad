"""What transformers loads."""

import pytest
import torch
from tiny_commands import complaint, contents, run

from gptlib.checkpoint import best_checkpoint, load_checkpoint


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
