"""The slider through a training without a browser: rungs, pictures, escaped text, the control."""

import numpy as np
import pytest

from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.time_slider import Moment, TimeSlider, alt, compute, page, render, rung, summary

LADDER = [("guessing", 4.17), ("letters", 3.35), ("pairs", 2.49)]
HOSTILE = '<img src=x onerror="alert(1)">'


def moment(step=0, loss=4.2, sample="x", weights=None):
    weights = np.zeros((2, 2, 3, 3)) if weights is None else weights
    return Moment(step, loss, ("a", "\n", "<"), weights, ("b", " ", "c"), "KING:\n", sample)


MOMENTS = [moment(), moment(16, 3.4, "e e"), moment(64, 2.6, "the"), moment(2000, 1.6, "the king")]


def test_rungs_in_words():
    words = [rung(compute(MOMENTS, place, LADDER)) for place in range(4)]
    assert words == [
        "above every rung, the highest is guessing",
        "past guessing, not yet past letters",
        "past letters, not yet past pairs",
        "past pairs",
    ]
    assert summary(compute(MOMENTS, 3, LADDER)) == "Step 2,000: loss 1.600 nats, past pairs."


def test_wrong_input_is_refused():
    for place in (-1, 4):
        with pytest.raises(ValueError, match=f"place={place}"):
            compute(MOMENTS, place, LADDER)
    with pytest.raises(ValueError, match="must fall"):
        compute(MOMENTS, 0, LADDER[::-1])


def test_the_page_shows_guesses_and_a_sample_escaped():
    text = page(compute([moment(sample=HOSTILE)], 0, LADDER))
    assert "<code>a⏎&lt;</code>" in text and "<code>b␣c</code>" in text and "<img" not in text
    assert 'role="status"' in text and "<script" not in text


def test_the_picture_follows_step_and_weights(pixels):
    weights = np.zeros((2, 2, 3, 3))
    weights[1, 1] = 1.0
    pictures = [pixels(render(compute([moment(weights=w), MOMENTS[3]], 0, LADDER))) for w in (None, weights)]
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).any()
    left = [pixels(render(compute(MOMENTS, place, LADDER)))[:, :860] for place in (0, 3)]
    assert (left[0] != left[1]).any()
    assert "Step 64" in alt(compute(MOMENTS, 2, LADDER))


def test_labels_of_near_rungs_do_not_cover_each_other(monkeypatch):
    heights = []

    def text(pen, x, y, words, *rest):
        heights.extend([y] if words.startswith("order") else [])

    monkeypatch.setattr(Pen, "text", text)
    render(compute(MOMENTS, 0, [("order 3", 2.05), ("order 4", 1.77), ("order 5", 1.67)]))
    assert len(heights) == 3 and np.diff(heights).min() > 13


def test_the_slider_moves_through_the_moments():
    asked = []

    def moment_at(place):
        asked.append(place)
        return MOMENTS[place]

    slider = TimeSlider(moment_at, 4, LADDER)
    assert asked == [0, 1, 2, 3] and slider.state.moment.step == 0
    slider.place.value = 2
    assert slider.state.moment.step == 64 and "Step 64" in slider.page.value
    assert slider.image.png == render(slider.state) and "Step 64" in slider.image.value
    assert asked == [0, 1, 2, 3]
