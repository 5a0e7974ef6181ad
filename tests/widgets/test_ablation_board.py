"""The ablation board without a browser: paired costs, colours, escaped text, buttons, what is kept."""

import math

import numpy as np
import pytest

from gptlib.widgets.ablation_board import (
    MOST,
    AblationBoard,
    Measured,
    alt,
    colour,
    compute,
    figure,
    page,
    render,
    summary,
    wrapped,
)
from gptlib.widgets.surprise import ink, luminance

NAN = float("nan")
HOSTILE = '<img src=x onerror="alert(1)">'


def measure(text, off, how):
    """Each head that is off costs a nat; 0.0 costs nothing clear."""
    cost = sum(1.0 for head in off if head != (0, 0))
    noise = np.array([0.1, -0.1, 0.1, -0.1]) * ((0, 0) in off)
    return Measured(1.5 + cost + noise, [NAN, *[1.0 + cost] * (len(text) - 1)], f"{text}|{len(off)}")


def test_costs_are_paired():
    whole, cut = (
        Measured(np.array([1.0, 5.0]), [NAN, 1.0], ""),
        Measured(np.array([2.0, 5.5]), [NAN, 3.0], "x"),
    )
    state = compute("ab", whole, cut, [(0, 1)], "mean")
    assert state.cost == pytest.approx((0.75, 0.25)) and state.clear and state.loss == 3.75
    assert summary(state) == "1 head off (mean): loss 3.750 nats, +0.750 ± 0.250"
    assert summary(compute("ab", whole, whole, [], "mean")) == "all heads are on: loss 3.000 nats"
    unclear = compute("ab", whole, Measured(np.array([2.0, 4.5]), [NAN, 1.0], ""), [(0, 1), (1, 1)], "zero")
    assert not unclear.clear and summary(unclear).endswith(
        "2 heads off (zero): loss 3.250 nats, +0.250 ± 0.750, no clear change"
    )


@pytest.mark.parametrize(
    ("text", "cut", "complaint"),
    [
        ("a", Measured(np.ones(2), [NAN], ""), "too short"),
        ("ab", Measured(np.ones(2), [NAN], ""), "1 losses for 2"),
        ("ab", Measured(np.ones(3), [NAN, 1.0], ""), "2 and 3 windows"),
    ],
)
def test_what_does_not_fit_is_refused(text, cut, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(text, Measured(np.ones(2), [NAN, 1.0], ""), cut, [], "mean")


def test_colours_tell_rise_from_fall():
    assert colour(0.0) == (255, 255, 255) == colour(NAN)
    assert colour(MOST) == colour(99.0) and colour(-MOST) == colour(-99.0) and colour(2.0) != colour(-2.0)
    for change in np.linspace(-5, 5, 101):
        low, high = sorted((luminance(colour(change)), luminance(ink(colour(change)))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_page_tells_each_change_and_escapes():
    whole, cut = measure("a<\n", (), "mean"), measure("a<\n", ((1, 1),), "mean")
    text = page(compute("a<\n", whole, cut, [(1, 1)], "mean"), "here")
    assert 'data-loss="&lt;: 1.00 nats with all heads, 2.00 without"' in text
    assert 'data-loss="a: not predicted"' in text and text.count("<br>") == 1
    assert "<script" not in text and "http" not in text and ".here .place .s:hover::after" in text
    hostile = compute(
        "ab", whole := measure("ab", (), ""), Measured(whole.losses, whole.surprises, HOSTILE), [], "mean"
    )
    assert "<img" not in page(hostile)


def test_lines_break_where_the_text_does():
    assert wrapped("ab\ncd") == [[0, 1, 2], [3, 4]] and wrapped("a\n") == [[0, 1]]
    assert [len(line) for line in wrapped("x" * 130)] == [64, 64, 2]


def test_buttons_switch_heads_off():
    board = AblationBoard(measure, 2, 2, "ROMEO:\n")
    assert (
        board.off == ()
        and board.state.loss == 1.5
        and list(board.buttons) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    )
    board.buttons[0, 1].value = False
    board.buttons[1, 1].value = False
    assert board.off == ((0, 1), (1, 1)) and board.state.cost == (2.0, 0.0) and "+2.000" in board.page.value
    board.buttons[0, 0].value = False
    assert board.state.cost[0] == pytest.approx(2.0) and board.state.cost[1] > 0
    board.all_on.click()
    assert board.off == () and board.state.loss == 1.5 and all(b.value for b in board.buttons.values())
    assert {b.description for b in board.buttons.values()} == {"0.0", "0.1", "1.0", "1.1"}


def test_what_was_measured_is_kept():
    calls = []

    def counted(*given):
        calls.append(given)
        return measure(*given)

    board = AblationBoard(counted, 1, 2, "ab")
    assert calls == [("ab", (), "mean")]
    board.buttons[0, 1].value = False
    board.buttons[0, 1].value = True
    board.buttons[0, 1].value = False
    assert calls[1:] == [("ab", ((0, 1),), "mean")]
    board.how.value = "zero"
    assert calls[2:] == [("ab", ((0, 1),), "zero")]  # with all heads on, nothing is replaced


def test_the_text_and_the_place_can_be_chosen():
    board = AblationBoard(measure, 1, 1, "abc")
    board.place.value = 3
    assert 'role="status">c: 1.00 nats' in board.page.value
    board.text.value = "a\\nb"
    assert board.state.text == "a\nb" and board.place.max == 3
    board.text.value = "a"
    assert "too short" in board.message.value and board.state.text == "a\nb"


def test_a_failing_model_is_a_line():
    def failing(text, off, how):
        if off:
            raise RuntimeError("no such head")
        return measure(text, off, how)

    board = AblationBoard(failing, 1, 1, "ab")
    board.buttons[0, 0].value = False
    assert "no such head" in board.message.value and board.state.off == ()


def test_the_picture_shows_what_is_off(pixels):
    board = AblationBoard(measure, 2, 2, "ab")
    on = pixels(render(board.state, 2, 2))
    board.buttons[1, 0].value = False
    off = pixels(render(board.state, 2, 2))
    y, x = 2 * (28 + 26) + 8, 2 * 10 + 40
    assert (
        on.shape == off.shape
        and not (on[y - 6 : y + 30, x - 30 : x + 30] == off[y - 6 : y + 30, x - 30 : x + 30]).all()
    )
    assert "Heads that are off: 1.0." in alt(board.state) and figure(board).metadata["alt"] == alt(
        board.state
    )
    assert math.isnan(board.state.before[0])
