"""The biography of a weight without a browser: numbers against AdamW, words, picture, the controls driven."""

import math

import numpy as np
import pytest
import torch

from gptlib.optimizer import AdamW
from gptlib.widgets.weight_biography import (
    LEFT,
    LINE_HEIGHT,
    PANELS,
    RIGHT,
    WeightBiography,
    compute,
    lines,
    number,
    page,
    render,
    ticks,
)

SETTINGS = dict(lr=0.003, betas=(0.8, 0.99), weight_decay=0.3)


def gradients(n=200, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def life(name="w[0, 0]", n=200, seed=0):
    return compute(name, gradients(n, seed).tolist(), 0.5, **SETTINGS)


def test_every_number_is_adamws():
    w = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    optimizer, ours = AdamW([w], **SETTINGS), life()
    for i, g in enumerate(gradients()):
        w.grad = g[None]
        optimizer.step()
        state = optimizer.state[w]
        assert ours.m[i] == pytest.approx(state["exp_avg"].item(), abs=1e-12)
        assert ours.v[i] == pytest.approx(state["exp_avg_sq"].item(), abs=1e-12)
        assert ours.weights[i + 1] == pytest.approx(w.item(), abs=1e-12)
    np.testing.assert_allclose(np.diff(ours.weights), ours.steps + ours.decays, atol=1e-15)


def test_the_first_step_by_hand():
    one = compute("w", [0.5], 2.0, lr=0.1, betas=(0.9, 0.999), weight_decay=0.01)
    assert one.m[0] == pytest.approx(0.05) and one.v[0] == pytest.approx(0.00025)
    assert one.steps[0] == pytest.approx(-0.1) and one.decays[0] == pytest.approx(-0.002)
    words = dict(lines(one, 1))
    assert words["mean"] == "m ← 0.9 · 0 + 0.1 · 0.5 = 0.05"
    assert words["corrected"].startswith("m̂ = 0.05 / 0.1 = 0.5 ")
    assert words["step"] == "−0.1 · 0.5 / 0.5 = −0.1     (100% of lr)"
    assert words["decay"] == "−0.1 · 0.01 · 2 = −0.002"
    assert words["weight"] == "2.00000 → 1.89800"


def test_each_step_goes_on_from_the_last():
    ours = life()
    assert dict(lines(ours, 7))["mean"].startswith(f"m ← 0.8 · {number(ours.m[5])} + 0.2 · ")
    assert number(-1.5e-7) == "−1.5e−07"


@pytest.mark.parametrize(
    ("values", "weight", "complaint"),
    [
        ([], 0.0, "give one number for each step"),
        ([[1.0]], 0.0, "give one number for each step"),
        ([math.nan], 0.0, "must be finite"),
        ([1.0], math.inf, "must be finite"),
    ],
)
def test_wrong_input_is_refused(values, weight, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute("w", values, weight)
    with pytest.raises(ValueError, match="no weights"):
        WeightBiography([])


@pytest.mark.parametrize("step", [0, 201, -1])
def test_steps_outside_the_life_are_refused(step):
    for show in (page, render):
        with pytest.raises(ValueError, match=f"step={step} must lie between 1 and 200"):
            show(life(), step)


def test_names_are_escaped():
    assert "<b>x" not in page(life("<b>x"), 1) and "&lt;b&gt;x" in page(life("<b>x"), 1)


def test_the_picture_marks_the_step(pixels):
    for step in (20, 180):
        top, bottom = PANELS["step and decay"]
        panel = pixels(render(life(), step))[top + 2 : bottom - 2, LEFT + 6 : RIGHT - 6].sum(axis=(0, 2))
        marked = panel.argmin() + LEFT + 6  # the darkest column
        assert abs(marked - LEFT - (RIGHT - LEFT) * step / 200) < 2
    assert render(compute("always the same", [0.0] * 3, 0.0), 2)


def test_the_static_figure_holds_the_arithmetic(pixels):
    plain, with_words = (pixels(render(life(), 7, words)) for words in (False, True))
    assert len(with_words) == len(plain) + 7 * LINE_HEIGHT
    assert (with_words[len(plain) :] < 100).any()


def test_controls_redraw():
    biography = WeightBiography([life("a"), life("b", seed=1)])
    assert biography.step.max == 200 and "Step 1 of a" in biography.page.value
    biography.step.value = 37
    assert "Step 37 of a" in biography.page.value and biography.image.png == render(biography.life, 37)
    biography.weight.value = "b"
    assert biography.life.name == "b" and "Step 37 of b" in biography.page.value
    biography.step.max = 500
    biography.step.value = 300
    assert "step=300" in biography.message.value and "Step 37 of b" in biography.page.value
    biography.step.value = 200
    assert biography.message.value == "" and "Step 200" in biography.page.value


@pytest.mark.parametrize(
    ("low", "high", "at_most", "round_numbers"),
    [
        (-0.06, 0.02, 5, [-0.06, -0.04, -0.02, 0, 0.02]),
        (0.019, 0.0201, 3, [0.019, 0.0195, 0.02]),
        (-3e-7, 1, 3, [0, 0.5, 1]),
        (-1.0, 1.0, 3, [-1, 0, 1]),
    ],
)
def test_the_axis_has_round_numbers(low, high, at_most, round_numbers):
    assert ticks(low, high, at_most) == round_numbers
