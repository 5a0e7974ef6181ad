"""What a step has to compute and to move: by the book's list, by PyTorch's counter, by a formula."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gptlib.config import PRESETS
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import cross_entropy
from gptlib.roofline import least_seconds, step_bytes, step_flops, step_products

SHAPES = [GPTConfig(11, 8, 3, 2, 16), GPTConfig(65, 5, 1, 1, 4), GPTConfig(7, 12, 2, 4, 32, bias=False)]


@pytest.mark.parametrize("config", SHAPES)
def test_the_flops_are_those_that_pytorch_counts(config):
    model = GPT(config)
    for block in model.h:
        block.attn.fused = False
    idx = torch.randint(config.vocab_size, (3, config.block_size))
    with FlopCounterMode(display=False) as counter:
        cross_entropy(model(idx), idx).backward()
    assert step_flops(config, 3) == counter.get_total_flops()


@pytest.mark.parametrize("config", SHAPES)
def test_the_bytes_are_those_of_the_matrices(config):
    moved = 0
    for many, m, k, n in step_products(config, 2):
        a, b = torch.empty(m, k), torch.empty(k, n)
        moved += many * (a.nbytes + b.nbytes + (a @ b).nbytes)
    assert step_bytes(config, 2) == 3 * moved
    assert step_bytes(config, 2, width=2) * 2 == step_bytes(config, 2)


def test_twice_the_windows_are_twice_the_flops_but_not_twice_the_bytes():
    """The weights are read once for all windows."""
    config = PRESETS["char-cpu"].model
    assert step_flops(config, 32) == 2 * step_flops(config, 16)
    assert step_bytes(config, 32) < 2 * step_bytes(config, 16)


def test_the_longer_of_two_times():
    assert least_seconds(10.0, 1.0, peak=5.0, bandwidth=1.0) == 2.0
    assert least_seconds(10.0, 6.0, peak=5.0, bandwidth=2.0) == 3.0
