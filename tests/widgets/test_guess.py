"""The field for a guess without a browser: what is typed, what the slider does, what is handed over."""

import pytest

from gptlib.widgets.guess import GuessField, number, slider


@pytest.mark.parametrize("log", [False, True])
def test_the_slider_follows_what_is_typed_as_far_as_it_goes(log):
    guesses = []
    field = GuessField("loss", guesses.append, low=1, high=1000, log=log)
    for text, value in (("250", 250), ("5000", 1000), ("0", 1), ("-2", 1)):
        field.text.value = text
        assert round(field.slider.value) == value and field.text.value == text
    assert guesses == [250, 5000, 0, -2]


def test_what_is_no_number_is_said():
    guesses = []
    field = GuessField("<b>", guesses.append)
    assert field.slider is None
    field.guess_button.click()
    assert "Write a number first" in field.message.value
    field.text.value = "<b>"
    assert "&lt;b&gt;" in field.message.value and guesses == []
    field.text.value = "Pass"
    assert guesses == ["pass"] and "<b>" in repr(field)


@pytest.mark.parametrize(
    "text, value",
    [("40", 40), (" 1,000 ", 1000), ("1,234,567.5", 1234567.5), ("0,5", 0.5), (".5", 0.5), ("20 %", 20)]
    + [("-3", -3), ("\u22123", -3), ("3e8", 3e8), ("2 nats", 2), ("", None), ("ten", None), ("1.2.3", None)],
)
def test_numbers_as_they_are_typed(text, value):
    assert number(text) == value


def test_sliders_go_over_their_range():
    whole, share, log = (slider(*ends) for ends in ((0, 100, False), (0, 1, False), (1, 10_000, True)))
    assert (whole.step, whole.value, share.step) == (1, 50, 0.01)
    assert (log.min, log.max, round(log.value)) == (0, 4, 100)
