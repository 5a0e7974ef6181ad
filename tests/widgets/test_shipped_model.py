"""The models that come with the book."""

import pytest

from gptlib.widgets.shipped_model import trained_model


def test_the_shipped_model_comes_in_eval_mode_with_its_tokenizer():
    trained = trained_model()
    assert not trained.model.training and trained.model.config.vocab_size == trained.tokenizer.vocab_size


def test_a_missing_model_is_named_in_one_line():
    with pytest.raises(
        FileNotFoundError, match=r"^there is no trained model data/checkpoints/nowhere; .*best.*$"
    ):
        trained_model("nowhere")
