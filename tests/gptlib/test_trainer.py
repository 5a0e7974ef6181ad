"""One step: accumulation, clipping, who decays, precision."""

import dataclasses
import math

import pytest
import torch
from tiny_model import corpus, model

from gptlib.config import TrainConfig
from gptlib.data import Batches
from gptlib.muon import OptimizerPair
from gptlib.optimizer import AdamW
from gptlib.trainer import Trainer, choose_precision, eager_step
from gptlib.training import train

CONFIG = TrainConfig(
    max_steps=12, batch_size=4, warmup_steps=3, eval_interval=4, log_interval=1, learning_rate=1e-2
)


# --- one step


@pytest.mark.parametrize("micro", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulated_gradients_equal_those_of_one_batch(micro, optimizer):
    config = dataclasses.replace(CONFIG, batch_size=12, grad_clip=0.0, optimizer=optimizer)
    whole = Trainer(model().double(), config)
    parts = Trainer(model().double(), dataclasses.replace(config, micro_batch_size=micro))
    x, y = Batches(corpus(), 12, 8).at(0)
    loss, norm, _ = eager_step(whole, x, y)
    loss_of_parts, norm_of_parts, _ = eager_step(parts, x, y)
    assert loss_of_parts.item() == pytest.approx(loss.item(), rel=1e-6)  # summed for the record, in float32
    assert norm_of_parts.item() == pytest.approx(norm.item(), rel=1e-10)
    for p, q in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert (p.grad - q.grad).abs().max() <= 1e-10 * p.grad.abs().max()


def test_gradients_do_not_pile_up_over_steps_and_are_clipped():
    config = dataclasses.replace(CONFIG, grad_clip=0.01)
    trainer = Trainer(model(), config)
    batches = Batches(corpus(), 4, 8)
    for step in range(3):
        norm = eager_step(trainer, *batches.at(step)).norm
        clipped = torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm()
        assert norm > 0.1 and clipped.item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_who_decays_and_who_does_not(name):
    gpt = model()
    trainer = Trainer(gpt, dataclasses.replace(CONFIG, optimizer=name, weight_decay=0.3))
    assert isinstance(trainer.optimizer, AdamW if name == "adamw" else OptimizerPair)
    decay = {
        id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]
    }
    count = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
    assert len(decay) == count == len(list(gpt.parameters()))  # everyone once
    for parameter_name, p in gpt.named_parameters():
        assert decay[id(p)] == (0.3 if p.ndim == 2 else 0.0), parameter_name


# --- precision


@pytest.mark.parametrize(
    ("wanted", "has_bf16", "chosen"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float16),  # a T4: it would emulate bfloat16, slowly
        ("fp32", True, torch.float32),
        ("fp16", True, torch.float16),
        ("bf16", True, torch.bfloat16),
    ],
)
def test_precision_follows_what_the_gpu_truly_has(wanted, has_bf16, chosen, monkeypatch):
    def is_bf16_supported(including_emulation=True):
        return has_bf16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert choose_precision(wanted, torch.device("cuda")) == chosen


def test_precision_that_the_device_does_not_have(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla T4")
    with pytest.raises(ValueError, match="'bf16'.*Tesla T4.*'fp16'"):
        choose_precision("bf16", torch.device("cuda"))
    with pytest.raises(ValueError, match="'fp16' needs a CUDA GPU"):
        choose_precision("fp16", torch.device("cpu"))


def test_precision_on_a_cpu():
    assert choose_precision("auto", torch.device("cpu")) == torch.float32
    assert choose_precision("bf16", torch.device("cpu")) == torch.bfloat16
    result = train(model(), corpus(), corpus(), dataclasses.replace(CONFIG, precision="bf16"))
    assert math.isfinite(result.val_loss)
    trainer = Trainer(model(), dataclasses.replace(CONFIG, precision="bf16"))
    assert trainer.predict(corpus()[None, :8]).dtype == torch.bfloat16
    assert next(trainer.model.parameters()).dtype == torch.float32
