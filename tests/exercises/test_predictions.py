"""Guesses and truths: nothing is told before a guess, all after it, in whatever order the cells run."""

import pytest

from gptlib.exercises import Predictions, predictions
from gptlib.exercises.predictions import sealed
from gptlib.exercises.scale import axis, page, picture, place, sentence


class Handle:
    """Stands for what IPython's display returns."""

    def __init__(self, content):
        self.content = content

    def update(self, content, raw):
        self.content = content


class Shown(list):
    """Widgets, and handles of outputs; `handles` has one for each widget too."""

    def __init__(self):
        self.handles = []


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would show, in order: widgets, and handles of outputs."""
    shown = Shown()

    def display(content, raw=False, display_id=False):
        handle = Handle(content)
        shown.append(handle if raw else content)
        shown.handles.append(handle)
        return handle

    monkeypatch.setattr(predictions, "in_kernel", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    return shown


def test_without_a_notebook_lines_are_printed(capsys):
    own = Predictions()
    own.guess("loss", 2.5)
    own.guess("heads", None)
    own.guess("size", "pass")
    own.reveal("loss", 1.25, "nats")
    own.reveal("heads", 12_345)
    own.reveal("size", 7, more="seven of them")
    loss, heads, *size = capsys.readouterr().out.splitlines()
    assert loss == "loss: you guessed 2.5, it is 1.25 nats: 2 times too high"
    assert heads.startswith("heads: no guess yet. Guess in the field above") and "12,345" not in heads
    assert size == ["size: you passed; it is 7", "seven of them"]
    own.board()
    header, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header == ["guess", "truth", "ratio"]
    assert rows == [["loss", "2.5", "1.25", "2.00"], ["heads", "no", "guess", "yet"], ["size", "passed", "7"]]


@pytest.mark.parametrize("value", ["2.5", True, float("nan"), float("inf"), [1]])
def test_a_guess_must_be_a_number(value):
    with pytest.raises(ValueError, match="is no number: write a guess such as 0.5, or None"):
        Predictions().guess("loss", value)


def test_a_truth_waits_for_the_guess_when_all_cells_have_run(shown):
    own = Predictions()
    own.guess("loss", None, low=0, high=5, unit="nats")
    own.reveal("loss", 1.234, "nats", more="and 5.678")
    own.board()
    field, answer, board = shown
    for text in (*answer.content.values(), *board.content.values()):
        assert "1.234" not in text and "5.678" not in text
    assert f'data-sealed="{sealed("1.234 nats", "and 5.678")}"' in answer.content["text/html"]
    field.slider.value = 2  # not yet a guess
    assert field.text.value == "2" and "no guess yet" in answer.content["text/plain"]
    field.guess_button.click()
    assert "you guessed 2, it is 1.234 nats: 62 % too high\nand 5.678" in answer.content["text/plain"]
    assert "your guess 2" in answer.content["text/html"] and "measured 1.234" in answer.content["text/html"]
    assert "1.62" in board.content["text/html"] and "62 % too high." in field.message.value
    assert all(control.disabled for control in field.controls)
    assert shown.handles[0].content["text/plain"] == "you guessed 2, it is 1.234 nats: 62 % too high"


def test_a_guess_before_the_answer_can_be_changed_until_it_comes(shown):
    own = Predictions()
    own.guess("loss", None)
    (field,) = shown
    field.text.value = "3"  # Enter
    assert "Your guess is 3." in field.message.value and not field.text.disabled
    field.text.value = "4"
    own.guess("loss", None)  # the cell runs again: the guess stays
    own.reveal("loss", 5)
    assert "you guessed 4, it is 5" in shown[-1].content["text/plain"] and shown[1].text.disabled


def test_who_passes_sees_the_answer(shown):
    own = Predictions()
    own.guess("loss", None)
    own.reveal("loss", 5)
    field, answer = shown
    field.pass_button.click()
    assert answer.content["text/plain"] == "loss: you passed; it is 5"
    assert "your guess" not in answer.content["text/html"] and "measured 5" in answer.content["text/html"]
    own.guess("loss", 6)  # written into the cell after all
    assert "you guessed 6" in answer.content["text/plain"]


@pytest.mark.parametrize(
    "guess, truth, said",
    [
        (40, 50, "20 % too low"),
        (50.0, 50, "right"),
        (101, 100, "1 % too high"),
        (1.669, 1.67, "less than 1 % too low"),
        (300, 100, "3 times too high"),
        (1, 37, "37 times too low"),
        (1, 0.0, "1 too high"),
        (-2, 3, "5 too low"),
        (-4, -5, "20 % too high"),
    ],
)
def test_how_far_off_a_guess_is(guess, truth, said):
    assert sentence(guess, truth).endswith(f": {said}")


@pytest.mark.parametrize(
    "values, ends",
    [
        ([50, 40], (None, None, False)),
        ([50, 400], (0, 100, False)),
        ([0.0, 1], (None, None, False)),
        ([-3.0, 2], (None, None, False)),
        ([1, 5000], (None, None, False)),
        ([1, 5000], (10, 100, True)),
        ([0, 0], (None, None, False)),
        ([0.0, 5], (1, 100, True)),
    ],
)
def test_both_marks_lie_on_the_scale(values, ends):
    start, end, log = axis(values, *ends)
    places = [place(value, start, end, log) for value in values]
    assert all(30 <= x <= 530 for x in places)
    assert (values[0] < values[1]) == (places[0] < places[1])
    assert (
        picture(*values, *ends).count("<text") == 4 and picture("pass", values[1], *ends).count("<text") == 3
    )


def test_texts_are_escaped_and_the_picture_is_left_out_for_screen_readers():
    text = page("<b>", 1, 2, "<i>", "<u>")
    assert "<i>" not in text and "<u>" not in text and "<b>&lt;b&gt;</b>" in text
    assert 'aria-hidden="true"' in text


def test_a_seal_tells_answers_apart():
    assert len({sealed("1.5"), sealed("1.6"), sealed("1.5 nats"), sealed("1.5", "more")}) == 4
    assert sealed("1.5", "more").split("-") == [sealed("1.5"), sealed("more")]
