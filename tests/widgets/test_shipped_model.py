"""The models that come with the book."""

import json

import pytest
import torch

from gptlib.files import DATA
from gptlib.widgets.shipped_model import growing_model, trained_model


def test_the_shipped_model_comes_in_eval_mode_with_its_tokenizer():
    trained = trained_model()
    assert not trained.model.training and trained.model.config.vocab_size == trained.tokenizer.vocab_size


def test_a_missing_model_is_named_in_one_line():
    with pytest.raises(
        FileNotFoundError, match=r"^there is no trained model data/checkpoints/nowhere; .*best.*$"
    ):
        trained_model("nowhere")


def test_the_small_models_training_is_kept():
    """Ten steps of the first seed and the ends of five; at the end it guesses as a trained model does."""
    models = growing_model()
    assert [step for seed, step in models if seed == 1] == [0, 8, 16, 32, 64, 128, 256, 512, 1024, 2000]
    assert [seed for seed, step in models if step == 2000] == [1, 2, 3, 4, 5]
    recorded = json.loads((DATA / "runs" / "inspection.json").read_text(encoding="utf-8"))["growth"]
    first, last = models[1, 0].model, models[1, 2000].model
    assert first.lm_head.weight is first.wte.weight and not last.training
    prompt = models[1, 2000].tokenizer.encode("KING:\nI will no")
    guesses = {
        step: trained.model(torch.tensor([prompt]))[0, -1].argmax().item()
        for (seed, step), trained in models.items()
        if seed == 1
    }
    assert models[1, 2000].tokenizer.decode([guesses[2000]]) == "t" and guesses[0] != guesses[2000]
    assert set(step for _, step in models) <= set(recorded["steps"])
