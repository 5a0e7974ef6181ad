"""Surprise without a browser: colours and contrast, escaped text, losses of tables, controls."""

import math
import re

import numpy as np
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import NGram
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets.surprise import (
    DARKEST,
    MAX_CHARACTERS,
    Surprise,
    colour,
    compute,
    ink,
    losses_of_model,
    losses_of_ngram,
    luminance,
    page,
    render,
    summary,
    wrapped,
)

HOSTILE = '<img src=x onerror="alert(1)">'
NAN = float("nan")


def constant(loss):
    return lambda text: [NAN, *[loss] * (len(text) - 1)]


# --- numbers


def test_means_are_over_what_was_predicted():
    state = compute("abc", [NAN, math.log(2), math.log(8)])
    assert state.loss == pytest.approx(math.log(4))
    assert state.bits == pytest.approx(2) and state.perplexity == pytest.approx(4)
    assert summary(state) == "model: 1.39 nats = 2.00 bits per character, as 4.0 equal choices"


def test_one_character_is_nothing_to_predict():
    state = compute("a", [NAN])
    assert math.isnan(state.loss) and summary(state) == "model: nothing to predict"
    assert "nothing to predict" in page(state) and render([state])


def test_a_long_text_is_cut_and_says_so():
    state = compute("ab" * 400, [1.0] * 800)
    assert len(state.text) == len(state.losses) == MAX_CHARACTERS
    assert "800 characters" in state.notes[0] and f"first {MAX_CHARACTERS}" in state.notes[0]


@pytest.mark.parametrize(
    ("text", "losses", "complaint"),
    [
        ("", [], "empty"),
        ("abc", [1.0, 2.0], "2 losses for 3 characters"),
        ("ab", [[1.0, 2.0]], "2 losses for 2 characters|one for each"),
        ("ab", [NAN, -0.5], "-0.500 nats"),
    ],
)
def test_wrong_input_is_refused(text, losses, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(text, losses)


# --- colours


def test_more_loss_is_darker_in_grey_too():
    steps = [luminance(colour(loss)) for loss in np.linspace(0, DARKEST, 33)]
    assert all(a > b for a, b in zip(steps, steps[1:], strict=False)) and steps[0] == pytest.approx(1)
    assert colour(DARKEST) == colour(50.0) == colour(math.inf)


def test_letters_stand_out_on_every_colour():
    for loss in [*np.linspace(0, 10, 81), NAN]:
        background = colour(loss)
        low, high = sorted((luminance(background), luminance(ink(background))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, loss  # what WCAG 2 asks for text


def test_what_was_not_predicted_looks_like_no_loss():
    assert colour(NAN) not in {colour(loss) for loss in np.linspace(0, 10, 81)}


# --- the page


def test_pointing_at_a_character_tells_its_loss():
    text = page(compute("ab\n", [NAN, math.log(4), 0.0]), "here")
    told = re.findall(r'data-loss="([^"]*)">([^<]*)<', text)
    assert told == [("a: not predicted", "a"), ("b: 1.39 nats, p = 0.25", "b"), ("⏎: 0.00 nats, p = 1", "⏎")]
    assert ".here .s:hover::after{content:attr(data-loss)" in text
    assert "script" not in text and "http" not in text and text.count("<br>") == 1


def test_each_character_has_the_colour_of_its_loss():
    text = page(compute("ab", [2.0, 6.0]), "here")
    for character, loss in (("a", 2.0), ("b", 6.0)):
        name = re.search(rf'class="s (c\w+)[^"]*"[^>]*>{character}<', text).group(1)
        assert f".here .{name}{{background:rgb{colour(loss)};color:rgb{ink(colour(loss))}}}" in text


def test_text_and_name_stay_text():
    text = page(compute(HOSTILE + "</style>&'", [1.0] * (len(HOSTILE) + 10), HOSTILE))
    assert "<img" not in text and text.count("</style>") == 1 and "onerror=&quot;" in text
    assert 'data-loss="&quot;: 1.00' in text and "&amp;" in text and 'data-loss="&lt;: 1.00' in text


def test_a_character_can_be_chosen_without_a_mouse():
    surprise = Surprise({"model": lambda text: [NAN, *[0.25] * (len(text) - 1)]}, "queen")
    assert surprise.place.max == 5 and 'role="status">q: not predicted<' in surprise.page.value
    surprise.place.value = 4
    assert 'role="status">e: 0.25 nats, p = 0.78<' in surprise.page.value and surprise.state.chosen == 3
    assert surprise.page.value.count(' chosen"') == 1
    surprise.text.value = "ab"
    assert surprise.place.max == 2 and 'role="status">b: 0.25 nats' in surprise.page.value


def test_what_is_told_stays_within_the_page():
    """It hangs at the left edge of the box, not at its character, which may be the last of a line."""
    text = page(compute("ab", [NAN, 1.0]), "here")
    assert ".here .surprise{" in text and "position:relative" in text.split(".here .text")[0]
    assert ".here .s{cursor:default}" in text  # not positioned itself


# --- the picture


def test_lines_break_where_the_text_does_and_at_the_margin():
    lines = wrapped(compute("ab\ncdefg\n", [1.0] * 9), columns=3)
    assert ["".join(c for c, _ in line) for line in lines] == ["ab\n", "cde", "fg\n"]


def test_the_picture_shows_the_colours_where_they_belong(pixels):
    state = compute("  ", [0.0, 8.0])
    canvas = pixels(render([state]))
    assert tuple(canvas[33, 11]) == colour(0.0) and tuple(canvas[33, 23]) == colour(8.0)
    assert len(pixels(render([state, state]))) > len(canvas) + 50  # one below the other


# --- n-gram tables


def test_a_tables_losses_are_those_of_the_table():
    text = "the cat sat on the mat and the cat ate the rat"
    tokenizer = CharTokenizer.from_text(text)
    table = NGram(3).fit(tokenizer.encode(text), tokenizer.vocab_size)
    losses = losses_of_ngram(table, tokenizer)("the rat")
    assert math.isnan(losses[0]) and len(losses) == 7
    p = table.probabilities(tokenizer.encode("th"))[tokenizer.encode("e")[0]]
    assert losses[2] == pytest.approx(-math.log(p))
    assert np.nanmean(losses) == pytest.approx(table.loss(tokenizer.encode("the rat")))
    assert np.isnan(losses_of_ngram(table, tokenizer)("t")).tolist() == [True]


@pytest.mark.parametrize("length", [1, 2, 8, 9, 10, 31])
def test_losses_of_a_model_have_at_least_half_a_window_of_context(length):
    tokenizer = CharTokenizer.from_text("abcdefgh")
    gpt = GPT(
        GPTConfig(8, block_size=8, n_layer=1, n_head=2, n_embd=8), torch.Generator().manual_seed(1)
    ).eval()
    text = ("abhgfceddcba" * 3)[:length]
    losses, ids = losses_of_model(gpt, tokenizer)(text), tokenizer.encode(text)
    assert len(losses) == length and math.isnan(losses[0])
    for place in range(
        1, length
    ):  # windows begin at 0, 4, 8 …, and the first that reaches a place predicts it
        start = 4 * math.ceil(max(0, place - 8) / 4)
        log_p = gpt(torch.tensor([ids[start:place]]))[0, -1].log_softmax(-1)
        assert losses[place] == pytest.approx(-log_p[ids[place]].item(), abs=1e-5)


# --- the widget


def test_model_and_text_can_be_changed():
    surprise = Surprise({"good": constant(0.5), "bad": constant(4.0)}, "first\ntext")
    assert surprise.text.value == "first\\ntext" and surprise.state.loss == 0.5
    surprise.model.value = "bad"
    assert surprise.state.loss == 4.0 and "bad: 4.00 nats" in surprise.page.value
    surprise.text.value = "a\\nb"
    assert surprise.state.text == "a\nb" and surprise.state.name == "bad" and surprise.message.value == ""
    assert surprise.page.value == page(surprise.state, surprise.css_class)


def test_texts_without_losses_are_named():
    tokenizer = CharTokenizer("ab")
    table = NGram(1).fit([0, 1, 0], 2)
    surprise = Surprise({"1-gram": losses_of_ngram(table, tokenizer)}, "ab")
    surprise.text.value = "aö"
    assert "unknown character" in surprise.message.value and surprise.state.text == "ab"
    surprise.text.value = ""
    assert "the text is empty" in surprise.message.value and surprise.state.text == "ab"


def test_a_text_that_is_cut_says_so():
    surprise = Surprise({"model": constant(1.0)}, "ab")
    surprise.text.value = "x" * 1000
    assert "1000 characters" in surprise.message.value and surprise.error == ""
