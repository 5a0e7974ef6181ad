"""The trajectory explorer without a browser: walks against PyTorch, the picture, the controls driven."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gptlib.widgets.kit.palette import BLUE, VERMILLION
from gptlib.widgets.trajectory_explorer import (
    CURVATURE,
    LOSSES,
    MINIMUM,
    RULES,
    START,
    VALLEY,
    Settings,
    TrajectoryExplorer,
    compute,
    render,
    summary,
    walk,
)

TORCH = {
    "SGD": lambda p, s: torch.optim.SGD(p, s.lr, weight_decay=s.weight_decay),
    "momentum": lambda p, s: torch.optim.SGD(p, s.lr, momentum=s.beta1, weight_decay=s.weight_decay),
    "RMSprop": lambda p, s: torch.optim.RMSprop(p, s.lr, alpha=s.beta2, weight_decay=s.weight_decay),
    "Adam": lambda p, s: torch.optim.Adam(p, s.lr, (s.beta1, s.beta2), weight_decay=s.weight_decay),
    "AdamW": lambda p, s: torch.optim.AdamW(p, s.lr, (s.beta1, s.beta2), weight_decay=s.weight_decay),
}


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("rule", RULES)
def test_walks_equal_pytorch(rule, decay):
    settings = replace(RULES[rule], weight_decay=decay, beta1=0.8)
    ours = walk(rule, settings, 60).weights
    w = torch.tensor(START, requires_grad=True)
    optimizer = TORCH[rule]([w], settings)
    for step in range(60):
        np.testing.assert_allclose(ours[step], w.detach().numpy(), atol=1e-6)
        w.grad = torch.tensor(CURVATURE * (w.detach().numpy() - MINIMUM))
        optimizer.step()


def test_walks_are_those_of_the_chapter():
    arrivals = {rule: walk(rule, settings).arrival for rule, settings in RULES.items()}
    assert arrivals == {"SGD": 223, "momentum": 85, "RMSprop": None, "Adam": 83, "AdamW": 83}


def test_without_the_correction_the_first_step_is_three_times_as_long():
    with_it, without = (walk("Adam", replace(RULES["Adam"], bias_correction=c), 1) for c in (True, False))
    first = [np.abs(w.weights[1] - START) for w in (with_it, without)]
    np.testing.assert_allclose(first[0], 0.3, rtol=1e-6)
    np.testing.assert_allclose(first[1], 0.3 * 0.1 / math.sqrt(0.001), rtol=1e-6)


def test_where_decay_leaves_the_weights():
    """Coupled: where gradient and decay cancel. Decoupled: no weight stays far above 1 / decay."""
    for rule in ("SGD", "momentum", "Adam"):
        end = walk(rule, replace(RULES[rule], weight_decay=0.5)).weights[-1]
        np.testing.assert_allclose(end, [6 / 1.5, 1 / 1.005], atol=0.01)
    for decay, x in ((0.1, 6), (0.3, 1 / 0.3), (0.5, 2)):
        settings = replace(RULES["AdamW"], weight_decay=decay, beta2=0.99)
        assert abs(walk("AdamW", settings, 3000).weights[-1, 0] - x) < 0.01


def test_a_rate_that_is_too_high_diverges_and_is_drawn():
    assert not walk("SGD", Settings(0.0199)).diverged
    state = compute("SGD", Settings(0.05))
    assert (
        state.walk.diverged and len(state.walk.losses) < 40 and "SGD diverges: after" in summary(state.walk)
    )
    assert state.walk.arrival is None and np.isfinite(state.walk.losses).all() and render(state)
    assert render(compute("momentum", Settings(10.0), other="SGD"))


@pytest.mark.parametrize(
    ("rule", "settings", "steps", "complaint"),
    [
        ("Lion", Settings(0.1), 80, "rule='Lion'"),
        ("SGD", Settings(0.0), 80, "lr=0.0"),
        ("SGD", Settings(math.nan), 80, "lr=nan"),
        ("Adam", Settings(0.1, beta1=1.0), 80, "beta1=1.0"),
        ("Adam", Settings(0.1, beta2=-0.1), 80, "beta2=-0.1"),
        ("Adam", Settings(0.1, weight_decay=-1.0), 80, "weight_decay=-1.0"),
        ("Adam", Settings(0.1), 0, "steps=0"),
        ("Adam", Settings(0.1), 301, "steps=301"),
    ],
)
def test_wrong_input_is_refused(rule, settings, steps, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(rule, settings, steps)
    with pytest.raises(ValueError, match="steps=10001"):
        walk("SGD", Settings(0.01), 10_001)


def test_the_picture_shows_as_many_steps_as_asked(painted):
    few, many, compared = (
        render(compute("Adam", RULES["Adam"], steps, other))
        for steps, other in ((3, None), (60, None), (60, "SGD"))
    )
    assert painted(few, BLUE).sum() < painted(many, BLUE).sum()
    for left, top, right, bottom in (VALLEY, LOSSES):
        frame = (slice(top, bottom), slice(left, right))
        assert painted(many, VERMILLION)[frame].sum() == 0 < painted(compared, VERMILLION)[frame].sum()


def test_controls_redraw():
    explorer = TrajectoryExplorer("SGD", against="momentum")
    assert explorer.beta1.disabled and explorer.beta2.disabled and explorer.bias_correction.disabled
    assert explorer.state.other.rule == "momentum" and explorer.image.png == render(explorer.state)
    explorer.weight_decay.value = 0.5
    assert explorer.state.walk.settings.weight_decay == 0.5 == explorer.state.other.settings.weight_decay
    explorer.rule.value = "Adam"
    assert not explorer.beta1.disabled and explorer.lr.value == 0.3 and explorer.state.walk.rule == "Adam"
    assert explorer.state.walk.settings == replace(RULES["Adam"], weight_decay=0.5)
    for name, value in (("lr", 0.1), ("beta1", 0.5), ("beta2", 0.9), ("bias_correction", False)):
        before = explorer.image.png
        getattr(explorer, name).value = value
        assert getattr(explorer.state.walk.settings, name) == value and explorer.image.png != before
    explorer.steps.value, explorer.against.value = 17, ""
    assert explorer.state.steps == 17 and explorer.state.other is None and explorer.message.value == ""


def test_choosing_a_rule_draws_once(monkeypatch):
    import gptlib.widgets.trajectory_explorer as module

    explorer, drawn = TrajectoryExplorer("SGD"), []
    monkeypatch.setattr(module, "render", lambda state: drawn.append(state.walk.rule) or b"")
    explorer.rule.value = "Adam"
    assert drawn == ["Adam"]


def test_a_number_that_cannot_be_used_leaves_a_message_and_the_last_picture():
    explorer = TrajectoryExplorer()
    before = explorer.image.png
    explorer.beta1.max = 2
    explorer.beta1.value = 1.5
    assert "beta1=1.5" in explorer.message.value and explorer.image.png == before
    explorer.beta1.value = 0.9
    assert explorer.message.value == ""
