"""The softmax playground without a browser: numbers against PyTorch, the picture, the controls driven."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gptlib.widgets.kit.palette import BLUE, VERMILLION
from gptlib.widgets.softmax_playground import ROW, TOP, SoftmaxPlayground, compute, render, summary


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 5.0])
@pytest.mark.parametrize("logits", [[0.0, 0.0], [2.0, -1.0, 0.5], [1000.0, 0.0, -1000.0, 999.0]])
def test_numbers_equal_pytorch(logits, temperature):
    target = len(logits) - 1
    state = compute("abcd"[: len(logits)], logits, temperature, target)
    scores = (torch.tensor(logits, dtype=torch.float64) / temperature).requires_grad_()
    loss = F.cross_entropy(scores, torch.tensor(target))
    loss.backward()
    p = scores.detach().softmax(-1)
    np.testing.assert_allclose(state.probabilities, p.numpy(), atol=1e-12)
    np.testing.assert_allclose(state.gradient, scores.grad.numpy(), atol=1e-12)
    entropy = torch.distributions.Categorical(probs=p).entropy().item()
    assert state.loss == pytest.approx(loss.item()) and state.entropy == pytest.approx(entropy, abs=1e-5)
    assert state.choices == pytest.approx(math.exp(state.entropy))


def test_equal_scores_are_as_many_choices_as_labels():
    state = compute("abcde", [3.0] * 5)
    assert state.choices == pytest.approx(5) and state.loss == pytest.approx(math.log(5))
    assert "as 5.0 equal choices" in summary(state)


def test_a_sure_model_has_no_entropy_and_no_minus_zero():
    state = compute("ab", [1e4, 0.0])
    assert "entropy 0.00" in summary(state) and "-0.00" not in summary(state)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("a", [1.0]), "1 labels"),
        (("abcdefghi", [0.0] * 9), "9 labels"),
        (("ab", [1.0, 2.0, 3.0]), "2 labels, 3 scores"),
        (("ab", [1.0, math.nan]), "finite"),
        (("ab", [1.0, math.inf]), "finite"),
        (("ab", [1.0, 2.0], 0), "temperature=0"),
        (("ab", [1.0, 2.0], -1), "temperature=-1"),
        (("ab", [1.0, 2.0], 1, 2), "target=2"),
        (("ab", [1.0, 2.0], 1, -1), "target=-1"),
    ],
)
def test_wrong_input_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(*arguments)


def test_the_bars_are_as_long_as_the_numbers(painted):
    picture = render(compute("abc", [math.log(6), math.log(3), math.log(1)], target=1))
    blue, orange = (
        [painted(picture, colour)[TOP + ROW * i : TOP + ROW * (i + 1)].sum() for i in range(3)]
        for colour in (BLUE, VERMILLION)
    )
    assert blue[0] / blue[1] == pytest.approx(2, rel=0.03) and blue[0] / blue[2] == pytest.approx(6, rel=0.1)
    assert orange[1] == max(orange)  # p - y of the target is -0.7, the others 0.6 and 0.1
    assert orange[0] / orange[2] == pytest.approx(6, rel=0.2)


def test_strange_labels_are_drawn():
    assert render(compute(["a very long label", "\n", "\x07", "<b>"], [0, 1, 2, 3]))


def test_controls_redraw():
    playground = SoftmaxPlayground(["e", " ", "\n"], [2.0, 1.0, 0.0])
    before = playground.image.png
    playground.temperature.value = 0.5
    assert playground.state.temperature == 0.5 and playground.image.png != before
    assert playground.state.probabilities[0] == pytest.approx(1 / (1 + math.exp(-2) + math.exp(-4)))
    playground.scores[1].value = 5.0
    assert playground.state.logits.tolist() == [2.0, 5.0, 0.0]
    playground.target.value = 2
    assert playground.state.target == 2 and playground.state.gradient[2] < 0
    assert playground.image.png == render(playground.state) and playground.message.value == ""
    assert playground.target.options[1] == ("␣", 1) and playground.scores[2].description == "score of ⏎"


def test_a_score_outside_the_sliders_range_is_kept():
    assert SoftmaxPlayground("ab", [10.0, -20.0]).state.logits.tolist() == [10.0, -20.0]
