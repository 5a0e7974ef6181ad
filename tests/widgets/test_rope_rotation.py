"""RoPE's rotation without a browser: numbers against the module, the picture, the controls driven."""

import math

import pytest
import torch

from gptlib.rope import rope_tables
from gptlib.widgets.kit.palette import BLUE, VERMILLION
from gptlib.widgets.rope_rotation import HEAD_SIZE, RopeRotation, alt, compute, render, summary


@pytest.mark.parametrize("pair", [0, 3, 7])
def test_angles_are_those_of_the_tables(pair):
    cos, _ = rope_tables(torch.arange(201), HEAD_SIZE)
    state = compute(20, 13, pair)
    assert state.score == pytest.approx(cos[13, pair].item(), abs=1e-4)
    assert state.curve == pytest.approx(cos[:, pair].numpy(), abs=1e-4)
    assert state.mean == pytest.approx(cos.mean(dim=1).numpy(), abs=1e-4)
    assert math.cos(state.query_angle - state.key_angle) == pytest.approx(state.score, abs=1e-9)


def test_the_score_depends_on_the_distance_alone():
    assert compute(0, 9, 2).score == pytest.approx(compute(150, 9, 2).score)
    assert compute(0, 9, 2).score != pytest.approx(compute(0, 10, 2).score)


@pytest.mark.parametrize("arguments", [(0, 0, 8), (0, 0, -1), (201, 0, 0), (0, 201, 0), (-1, 0, 0)])
def test_wrong_input_is_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        compute(*arguments)


def test_both_arrows_are_drawn(painted):
    picture = render(compute(1, 1, 0))
    assert painted(picture, BLUE).any() and painted(picture, VERMILLION).any()
    assert "score 0.540" in summary(compute(1, 1, 0)) and "query 1 positions later" in alt(compute(1, 1, 0))


def test_controls_redraw():
    widget = RopeRotation()
    before = widget.image.png
    widget.distance.value = 30
    assert widget.state.distance == 30 and widget.image.png != before
    widget.pair.value = 7
    assert widget.state.score > 0.9 and widget.message.value == ""
    widget.key_position.value = 100
    assert widget.state.key_position == 100 and widget.image.png == render(widget.state)
