"""The batched optimizers against the plain ones; what one has saved the other goes on with."""

import copy
import dataclasses
import subprocess
import sys

import pytest
import torch
from tiny_model import corpus, losses, model
from torch import nn

from gptlib.batched import (
    BatchedAdamW,
    BatchedMuon,
    batched,
    batched_clip_grad_norm,
    batched_optimizer,
)
from gptlib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gptlib.config import TrainConfig
from gptlib.muon import Muon, OptimizerPair
from gptlib.optimizer import SGD, AdamW, clip_grad_norm, set_learning_rate
from gptlib.tokenizer import CharTokenizer
from gptlib.trainer import Trainer, eager_step
from gptlib.training import train

MATRICES = [(7, 5), (5, 7), (6, 6), (7, 5), (1, 4)]
SHAPES = [*MATRICES, (5,), (1,), (2, 3, 4)]
CONFIG = TrainConfig(
    max_steps=12, batch_size=4, warmup_steps=3, eval_interval=6, log_interval=1, precision="fp32"
)
KINDS = {
    "AdamW": (AdamW, BatchedAdamW, SHAPES, dict(lr=0.003, betas=(0.9, 0.99), weight_decay=0.3)),
    "AdamW, no means": (AdamW, BatchedAdamW, SHAPES, dict(lr=0.01, betas=(0.0, 0.5), weight_decay=0.0)),
    "Muon": (Muon, BatchedMuon, MATRICES, dict(lr=0.02, momentum=0.95, weight_decay=0.1)),
}


def parameters(shapes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]


def give_gradients(step, *sides):
    """The same gradients to the parameters of all sides; now and then one has none."""
    generator = torch.Generator().manual_seed(step)
    for i, same in enumerate(zip(*sides, strict=True)):
        g = torch.randn(same[0].shape, generator=generator, dtype=torch.float64).to(same[0].dtype)
        for p in same:
            p.grad = None if (step + i) % 13 == 5 else g.clone()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", KINDS)
def test_a_thousand_batched_steps_are_the_plain_ones(name, dtype, tolerance):
    plain, other, shapes, settings = KINDS[name]
    p, q = parameters(shapes, dtype), parameters(shapes, dtype)
    ours, theirs = plain(p, **settings), other(q, **settings)
    for step in range(1000 if plain is AdamW else 200):
        give_gradients(step, p, q)
        if step % 50 == 0:
            for optimizer in (ours, theirs):
                set_learning_rate(optimizer, 1 / (1 + step / 100))
        ours.step()
        theirs.step()
        for a, b in zip(p, q, strict=True):
            assert (a - b).abs().max() <= tolerance * a.abs().max()


@pytest.mark.parametrize("batched_first", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_one_goes_on_with_the_others_state(name, batched_first):
    plain, other, shapes, settings = KINDS[name]
    whole, halved = parameters(shapes), parameters(shapes)
    through = plain(whole, **settings)
    first, second = (other, plain) if batched_first else (plain, other)
    first, second = first(halved, **settings), second(halved, **settings)
    for step in range(20):
        give_gradients(step, whole, halved)
        through.step()
        if step == 10:
            second.load_state_dict(copy.deepcopy(first.state_dict()))
        (first if step < 10 else second).step()
    for a, b in zip(whole, halved, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert first.state_dict()["state"][0].keys() == second.state_dict()["state"][0].keys()


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_the_batched_twin_takes_over_in_the_middle_of_a_run(name, resumed):
    plain, other, shapes, settings = KINDS[name]
    p, q = parameters(shapes), parameters(shapes)
    ours, theirs = plain(p, **settings), plain(q, **settings)
    for step in range(20):
        give_gradients(step, p, q)
        set_learning_rate(ours, 0.5)
        set_learning_rate(theirs, 0.5)
        ours.step()
        theirs.step()
        if resumed and step == 10:  # PyTorch adds entries to the defaults of an optimizer that is loaded
            before, theirs = theirs, plain(q, **settings)
            theirs.load_state_dict(copy.deepcopy(before.state_dict()))
        theirs = batched(theirs)
    assert type(theirs) is other and batched(theirs) is theirs
    assert all(group["max_lr"] == settings["lr"] for group in theirs.param_groups)
    for a, b in zip(p, q, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_what_has_no_batched_version_is_named():
    with pytest.raises(ValueError, match="SGD has no batched version: use AdamW, Muon or a pair of them"):
        batched(SGD(parameters(MATRICES)))
    pair = batched(OptimizerPair(Muon(parameters(MATRICES)), AdamW(parameters(SHAPES))))
    assert [type(part) for part in pair.optimizers] == [BatchedMuon, BatchedAdamW]


def test_a_tensor_as_learning_rate():
    p, q = parameters(SHAPES), parameters(SHAPES)
    rate = torch.tensor(0.02, dtype=torch.float64)
    ours, theirs = BatchedAdamW(p, lr=rate), AdamW(q, lr=0.02)
    for scale in (1.0, 0.1):
        rate.fill_(0.02 * scale)  # in place, as a captured step needs it
        theirs.param_groups[0]["lr"] = 0.02 * scale
        give_gradients(0, p, q)
        ours.step()
        theirs.step()
    for a, b in zip(p, q, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_without_any_gradient_nothing_happens():
    for kind in (BatchedAdamW, BatchedMuon):
        params = parameters(MATRICES)
        before = [p.detach().clone() for p in params]
        kind(params).step()
        assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))
    assert batched_clip_grad_norm(parameters(SHAPES), 1.0) == 0


@pytest.mark.parametrize("max_norm", [0.1, 50.0, float("inf")])
def test_batched_clipping_is_the_plain_one(max_norm):
    p, q = parameters(SHAPES), parameters(SHAPES)
    give_gradients(5, p, q)
    torch.testing.assert_close(batched_clip_grad_norm(p, max_norm), clip_grad_norm(q, max_norm))
    for a, b in zip(p, q, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_training_with_batched_optimizers_is_training(kind):
    config = dataclasses.replace(CONFIG, optimizer=kind)
    plain = train(model().double(), corpus(), corpus(100, 1), config)
    other = train(model().double(), corpus(), corpus(100, 1), config, optimizer_fn=batched_optimizer)
    assert losses(plain) == pytest.approx(losses(other), rel=1e-6)  # added up in float32
    assert plain.val_loss == pytest.approx(other.val_loss, abs=1e-9)


@pytest.mark.parametrize("batched_first", [True, False])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_checkpoint_of_one_is_resumed_by_the_other(kind, batched_first, tmp_path):
    config = dataclasses.replace(CONFIG, optimizer=kind, checkpoint_interval=1)
    first, second = (batched_optimizer, None) if batched_first else (None, batched_optimizer)

    def keep(state, val_loss):
        if state.step == 5 and val_loss is None:
            tokenizer = CharTokenizer.from_text("abcdefghijk")
            save_checkpoint(tmp_path / "five", Checkpoint(state, model().config, config, tokenizer))

    whole = train(model(), corpus(), corpus(100, 1), config, optimizer_fn=first, checkpointer=keep)
    start = load_checkpoint(tmp_path / "five").state
    resumed = train(model(), corpus(), corpus(100, 1), config, optimizer_fn=second, start=start)
    assert losses(resumed)[-7:] == pytest.approx(losses(whole)[-7:], abs=1e-5)
    assert whole.val_loss == pytest.approx(resumed.val_loss, abs=1e-5)


def test_a_trainer_takes_the_optimizer_that_it_is_given():
    trainer = Trainer(model(), CONFIG, batched_optimizer)
    assert type(trainer.optimizer) is BatchedAdamW and type(Trainer(model(), CONFIG).optimizer) is AdamW
    idx = torch.arange(8)[None]
    assert eager_step(trainer, idx, idx).updated


@pytest.mark.parametrize("real_bf16", [True, False])
def test_muon_rounds_to_bf16_only_where_the_gpu_truly_has_it(real_bf16, monkeypatch):
    rounded = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: real_bf16)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda tensor: True))
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: rounded.append(tensor) or tensor)
    weight = torch.nn.Parameter(torch.eye(4))
    weight.grad = torch.arange(16.0).view(4, 4)
    BatchedMuon([weight]).step()
    assert len(rounded) == real_bf16


def test_the_compiler_is_not_imported():
    """As torch's wrappers would: it takes seconds at the start of every run."""
    code = """if True:
        import sys, torch, gptlib.cli
        from gptlib.batched import BatchedAdamW, BatchedMuon
        for kind in (BatchedAdamW, BatchedMuon):
            weight = torch.nn.Parameter(torch.eye(3))
            optimizer = kind([weight])
            weight.sum().backward()
            optimizer.step()
        assert "torch._dynamo" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)
