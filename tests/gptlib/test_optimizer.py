"""Optimizers fed the same recorded gradients as torch.optim's; clipping; the schedule."""

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from gptlib.muon import Muon, OptimizerPair, orthogonalise
from gptlib.optimizer import (
    SGD,
    Adam,
    AdamW,
    clip_grad_norm,
    cosine_schedule,
)

SHAPES = [(7, 5), (5,), (1,), (2, 3, 4), (3, 9), (7, 5)]
MATRICES = [(7, 5), (5, 7), (6, 6), (7, 5), (1, 4)]
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


def parameters(shapes, dtype):
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for shape in shapes
    ]


def follow(ours, theirs, pairs, steps, tolerance, rate=None):
    """Give both the same gradients, step by step, and demand the same weights after each step.

    Gradients shrink and grow over the steps, some entries are 0, and now and then a parameter has none.
    """
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for i, (p, q) in enumerate(pairs):
            g = torch.randn(p.shape, generator=generator, dtype=torch.float64) * 10 ** (
                2 * math.sin(step / 50) - 1
            )
            g = torch.where(torch.rand(p.shape, generator=generator) < 0.1, 0.0, g).to(p.dtype)
            p.grad, q.grad = (None, None) if (step + i) % 13 == 5 else (g, g.clone())
        if rate:
            for group in (*ours.param_groups, *theirs.param_groups):
                group["lr"] = rate(step)
        ours.step()
        theirs.step()
        if step < 5 or step % 100 == 99 or step == steps - 1:
            for p, q in pairs:
                assert (p - q).abs().max() <= tolerance * q.abs().max(), (
                    f"step {step}, shape {tuple(p.shape)}"
                )


SETTINGS = [
    (SGD, torch.optim.SGD, dict(lr=0.01)),
    (SGD, torch.optim.SGD, dict(lr=0.01, momentum=0.9)),
    (SGD, torch.optim.SGD, dict(lr=0.01, momentum=0.9, weight_decay=0.1)),
    (Adam, torch.optim.Adam, dict(lr=0.01)),
    (Adam, torch.optim.Adam, dict(lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1)),
    (AdamW, torch.optim.AdamW, dict(lr=0.01)),
    (AdamW, torch.optim.AdamW, dict(lr=0.003, betas=(0.9, 0.99), weight_decay=0.3)),
    (AdamW, torch.optim.AdamW, dict(lr=0.01, betas=(0.0, 0.5), weight_decay=0.0)),
]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float64", "float32"])
@pytest.mark.parametrize(("ours", "theirs", "settings"), SETTINGS)
def test_a_thousand_steps_equal_torch(ours, theirs, settings, dtype, tolerance):
    pairs = list(zip(parameters(SHAPES, dtype), parameters(SHAPES, dtype), strict=True))
    ours, theirs = ours([p for p, _ in pairs], **settings), theirs([q for _, q in pairs], **settings)
    follow(ours, theirs, pairs, 1000, tolerance)


def test_the_rate_may_change_at_every_step():
    pairs = list(zip(parameters(SHAPES, torch.float64), parameters(SHAPES, torch.float64), strict=True))
    ours, theirs = AdamW([p for p, _ in pairs]), torch.optim.AdamW([q for _, q in pairs])
    follow(ours, theirs, pairs, 300, 1e-10, rate=lambda step: 0.01 * (1 + math.cos(step / 30)))


def test_parameter_groups():
    p, q = parameters(SHAPES, torch.float64), parameters(SHAPES, torch.float64)

    def groups(params):
        return [
            {"params": params[:2], "weight_decay": 0.0},
            {"params": params[2:], "lr": 0.1, "betas": (0.5, 0.6)},
        ]

    ours = AdamW(groups(p), lr=0.01, weight_decay=0.2)
    theirs = torch.optim.AdamW(groups(q), lr=0.01, weight_decay=0.2)
    follow(ours, theirs, list(zip(p, q, strict=True)), 100, 1e-10)


def test_a_tensor_as_learning_rate_is_no_obstacle():
    """A checkpoint of a captured run holds one."""
    p, q = parameters(SHAPES, torch.float64), parameters(SHAPES, torch.float64)
    rate = torch.tensor(0.02, dtype=torch.float64)
    ours, theirs = AdamW(p, lr=rate), AdamW(q, lr=0.02)
    for scale in (1.0, 0.1):
        rate.fill_(0.02 * scale)
        theirs.param_groups[0]["lr"] = 0.02 * scale
        for a, b in zip(p, q, strict=True):
            a.grad, b.grad = torch.ones_like(a), torch.ones_like(b)
        ours.step(), theirs.step()
    for a, b in zip(p, q, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.01, momentum=0.9),
        lambda p: Adam(p, 0.01),
        lambda p: AdamW(p, 0.01, weight_decay=0.1),
        lambda p: Muon(p, 0.01),
        lambda p: OptimizerPair(Muon(p[:3], 0.01), AdamW(p[3:], 0.02)),
    ],
    ids=["sgd", "adam", "adamw", "muon", "pair"],
)
def test_state_dict_round_trip(make):
    def run(optimizer, params, steps):
        for step in steps:
            for p in params:
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step), dtype=p.dtype)
            optimizer.step()

    whole, halved = parameters(MATRICES, torch.float64), parameters(MATRICES, torch.float64)
    run(make(whole), whole, range(20))
    first = make(halved)
    run(first, halved, range(10))
    state = copy.deepcopy(first.state_dict())
    second = make(halved)
    second.load_state_dict(state)
    run(second, halved, range(10, 20))
    assert all(torch.equal(p, q) for p, q in zip(whole, halved, strict=True))


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (SGD, torch.optim.SGD, dict(lr=0.01, momentum=0.9)),
        (Adam, torch.optim.Adam, dict(lr=0.01)),
        (AdamW, torch.optim.AdamW, dict(lr=0.01)),
    ],
)
@pytest.mark.parametrize("ours_first", [True, False])
def test_torch_and_we_read_each_others_state(ours, theirs, settings, ours_first):
    p, q = parameters(SHAPES, torch.float64), parameters(SHAPES, torch.float64)
    ours, theirs = ours(p, **settings), theirs(q, **settings)
    first, second = (ours, theirs) if ours_first else (theirs, ours)
    for step in range(3):
        for a in p if ours_first else q:
            a.grad = torch.full_like(a, 1.0 + step)
        first.step()
    for a, b in zip(p, q, strict=True):
        (b if ours_first else a).data.copy_(a if ours_first else b)
    state = copy.deepcopy(first.state_dict())["state"]
    second.load_state_dict({"state": state, "param_groups": second.state_dict()["param_groups"]})
    follow(ours, theirs, list(zip(p, q, strict=True)), 20, 1e-10)


def test_without_any_gradient_nothing_happens():
    for make in (SGD, Adam, AdamW, Muon):
        params = parameters(MATRICES, torch.float32)
        before = [p.detach().clone() for p in params]
        make(params).step()
        assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))


def test_the_compiler_is_not_imported():
    """As torch's wrappers would: it takes seconds at the start of every run."""
    code = """if True:
        import sys, torch, gptlib.cli
        from gptlib.muon import Muon
        from gptlib.optimizer import AdamW
        for kind in (AdamW, Muon):
            weight = torch.nn.Parameter(torch.eye(3))
            optimizer = kind([weight])
            weight.sum().backward()
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
            optimizer.zero_grad()
        assert "torch._dynamo" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_zero_grad_forgets():
    params = parameters(MATRICES, torch.float32)
    pair = OptimizerPair(Muon(params[:3]), AdamW(params[3:]))
    for p in params:
        p.grad = torch.ones_like(p)
    pair.zero_grad()
    assert all(p.grad is None for p in params)
    assert len(pair.param_groups) == 2


# --- Muon


def test_muon_equals_torch(monkeypatch):
    """torch.optim.Muon orthogonalises in bfloat16; here it is kept from rounding, to compare all the rest."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    p, q = parameters(MATRICES, torch.float64), parameters(MATRICES, torch.float64)
    settings = dict(lr=0.02, momentum=0.95, weight_decay=0.1)
    follow(Muon(p, **settings), torch.optim.Muon(q, **settings), list(zip(p, q, strict=True)), 200, 1e-10)


def test_muon_follows_torch_as_it_is():
    p, q = parameters(MATRICES[:4], torch.float32), parameters(MATRICES[:4], torch.float32)
    settings = dict(lr=0.02, momentum=0.95, weight_decay=0.1)
    follow(Muon(p, **settings), torch.optim.Muon(q, **settings), list(zip(p, q, strict=True)), 20, 0.02)


@pytest.mark.parametrize("shape", [(8, 8), (20, 7), (7, 20), (3, 16, 12)])
def test_orthogonalised_singular_values(shape):
    G = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    X = orthogonalise(G)
    values = torch.linalg.svdvals(X)
    assert values.min() > 0.4 and values.max() < 1.3
    assert values[torch.linalg.svdvals(G) > 0.1 * torch.linalg.svdvals(G).max()].min() > 0.65
    U, _, Vh = torch.linalg.svd(G, full_matrices=False)
    off_diagonal = U.mT @ X @ Vh.mT - torch.diag_embed(torch.diagonal(U.mT @ X @ Vh.mT, dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < 1e-10  # G's own directions


def test_muon_takes_matrices_only():
    with pytest.raises(ValueError, match=r"matrices only.*\(5,\)"):
        Muon(parameters([(5,)], torch.float32))


# --- clipping and the schedule


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 50.0, 1e6, math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clipping_equals_torch(max_norm, dtype):
    p, q = parameters(SHAPES, dtype), parameters(SHAPES, dtype)
    for i, (a, b) in enumerate(zip(p, q, strict=True)):
        if i != 2:
            a.grad, b.grad = a.detach() * 3, b.detach() * 3
    norm, expected = clip_grad_norm(p, max_norm), torch.nn.utils.clip_grad_norm_(q, max_norm)
    torch.testing.assert_close(norm, expected)
    assert p[2].grad is None
    for a, b in zip(p, q, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_clipping_takes_what_parameters_gives_and_no_gradients():
    model = nn.Linear(3, 2)
    assert clip_grad_norm(model.parameters(), 1.0) == 0
    model(torch.ones(3)).sum().backward()
    clip_grad_norm(model.parameters(), 0.5)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, abs=1e-5)


def test_schedule():
    def rate(step):
        return cosine_schedule(step, max_lr=1.0, min_lr=0.1, warmup_steps=10, max_steps=110)

    assert [rate(0), rate(4), rate(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(10) == pytest.approx(1.0)
    assert rate(60) == pytest.approx(0.55)  # half-way down
    assert rate(35) == pytest.approx(0.1 + 0.45 * (1 + math.sqrt(0.5)))
    assert [rate(110), rate(111), rate(10**6)] == [0.1] * 3
    down = [rate(step) for step in range(10, 112)]
    assert down == sorted(down, reverse=True)


def test_schedule_without_warm_up():
    settings = dict(max_lr=1.0, min_lr=0.0, warmup_steps=0, max_steps=4)
    expected = [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]
    assert [cosine_schedule(step, **settings) for step in range(5)] == pytest.approx(expected)
    assert cosine_schedule(3, max_lr=1.0, min_lr=0.0, warmup_steps=4, max_steps=4) == 1.0


@pytest.mark.parametrize("kind, count", [(SGD, 3), (Adam, 4), (AdamW, 4), (Muon, 3)])
def test_settings_that_make_no_sense_are_named(kind, count):
    weights = parameters([(2, 3)], torch.float32)
    settings = kind(weights).defaults
    assert len(settings) == count
    kind(weights, **settings)  # the control
    for name in settings:
        values = [math.nan, math.inf, -0.1]
        if name == "betas":
            values = [(value, 0.9) for value in values] + [(0.9, value) for value in [*values, 1.0]]
        for value in values:
            with pytest.raises(ValueError, match=f"^{name}=.* must be at least 0 and below"):
                kind(weights, **{name: value})
