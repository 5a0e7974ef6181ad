"""What `predictions.guess` becomes on a page."""

import math
import re

from web.guesses import Guess, guesses, without_guesses


def test_calls_are_read():
    call = 'predictions.guess("a", None, low=0.1, high=10, unit="MB", log=True)'
    source = f'{call}\nx = 1\npredictions.guess("b", None)'
    assert guesses(source) == [Guess("a", 0.1, 10, "MB", True), Guess("b")]
    assert without_guesses(source) == "x = 1"
    assert without_guesses("%matplotlib inline\nx = 1") == "%matplotlib inline\nx = 1"


def test_a_slider_stands_where_there_is_a_range():
    html = Guess("a", 0.1, 10, log=True).html()
    assert [float(x) for x in re.findall(r'(?:min|max|value)="([^"]*)"', html)] == [-1, 1, 0]
    assert "data-log" in html and math.isclose(float(re.search(r' step="([\d.]+)"', html)[1]), 0.01)
    assert "slider" not in Guess("b").html() and "data-log" not in Guess("b", 0, 1).html()
