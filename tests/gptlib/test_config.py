"""The settings of a run: what makes no sense is refused; the presets."""

import dataclasses

import pytest
import torch

from gptlib.config import PRESETS, TrainConfig
from gptlib.gpt import GPT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(batch_size=6, micro_batch_size=4), "batch_size=6 is not divisible by micro_batch_size=4"),
        (dict(max_steps=0), "max_steps=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(micro_batch_size=0), "micro_batch_size=0"),
        (dict(learning_rate=0.0), "learning_rate=0.0"),
        (dict(warmup_steps=-1), "warmup_steps=-1"),
        (dict(eval_interval=-1), "eval_interval=-1"),
        (dict(log_interval=-5), "log_interval=-5"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)


def test_presets():
    assert set(PRESETS) == {"char-cpu", "bpe-cpu", "char-gpu", "char-gpu-race", "char-gpu-best", "gpt2-124m"}
    vocabularies = {"char": 65, "bpe": 1024, "gpt2": 50_257}
    for name, preset in PRESETS.items():
        assert preset.tokenizer == name.split("-")[0], name
        assert preset.model.vocab_size == vocabularies[preset.tokenizer], name
        assert 0 < preset.train.warmup_steps < preset.train.max_steps, name
        assert preset.train.min_learning_rate < preset.train.learning_rate, name
        assert preset.train.eval_interval and preset.train.log_interval, name
        assert preset.train.sample_interval or name == "char-gpu-race", name  # a race does not stop to write
        with torch.device("meta"):
            gpt = GPT(preset.model)
        small = sum(p.numel() for p in gpt.parameters()) < 11_000_000
        assert small or name == "gpt2-124m", name
    gpu = PRESETS["char-gpu"]
    assert dataclasses.astuple(gpu.model)[:5] == (65, 256, 6, 6, 384)
    assert gpu.model.dropout > 0 and gpu.train.optimizer == "adamw" and gpu.train.precision == "auto"
