"""Warm-up, stable, decay; the tail average."""

import pytest
import torch

from gptlib.config import TrainConfig
from gptlib.modern import ModernGPT
from gptlib.modern_config import ModernConfig
from gptlib.modern_training import TailAverage, WithSchedule, stable_schedule, warmup_stable_decay
from gptlib.trainer import eager_step
from gptlib.training import train

SHAPE = ModernConfig(11, 8, 1, 2, 16, position="rope")
TEXT = torch.arange(300) ** 2 % 11


def test_up_level_down():
    how = dict(max_lr=1.0, min_lr=0.1, warmup_steps=5, max_steps=100, decay_share=0.2)
    rates = [stable_schedule(step, **how) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(rates[5:80]) == {1.0} and rates[-1] == pytest.approx(0.1)
    falls = [a - b for a, b in zip(rates[79:], rates[80:], strict=False)]
    assert max(falls) == pytest.approx(min(falls)) == pytest.approx(0.9 / 20)


def test_the_rates_arrive():
    seen = []

    def step(trainer, x, y):
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
        return eager_step(trainer, x, y)

    config = TrainConfig(
        8, batch_size=2, warmup_steps=2, optimizer="muon", learning_rate=0.01, eval_interval=0
    )
    train(ModernGPT(SHAPE), TEXT, TEXT[:40], config, step_fn=WithSchedule(step, warmup_stable_decay))
    shares = [warmup_stable_decay(config, s) / 0.01 for s in range(8)]
    assert [rates[0] for rates in seen] == pytest.approx([s * config.muon_learning_rate for s in shares])
    assert [rates[-1] for rates in seen] == pytest.approx([s * config.learning_rate for s in shares])


@pytest.mark.parametrize("after", [0, 3, 5])
def test_the_mean_of_the_last_weights(after):
    model, seen = ModernGPT(SHAPE, torch.Generator().manual_seed(1)), []
    tail = TailAverage(model, after)

    def stop(step):
        seen.append([p.detach().clone() for p in model.parameters()])
        return tail(step)

    train(model, TEXT, TEXT[:40], TrainConfig(6, batch_size=2, warmup_steps=1, eval_interval=0), stop=stop)
    other = ModernGPT(SHAPE)
    tail.put_into(other)
    for i, p in enumerate(other.parameters()):
        torch.testing.assert_close(p.detach(), torch.stack([s[i] for s in seen[after:]]).mean(dim=0))
    assert not torch.equal(other.wte.weight, model.wte.weight) or after == 5
