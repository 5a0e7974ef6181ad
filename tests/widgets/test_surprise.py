"""Surprise without a browser: colours and contrast, escaped text, losses of tables and models, controls."""

import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import NGram, evaluate
from gptlib.tokenizer import ByteTokenizer, CharTokenizer
from gptlib.widgets.surprise import (
    DARKEST,
    MAX_CHARACTERS,
    Surprise,
    brightness,
    colour,
    compute,
    figure,
    ink,
    losses_of_model,
    losses_of_ngram,
    page,
    picture,
    summary,
    wrapped,
)

HOSTILE = '<img src=x onerror="alert(1)">'
NAN = float("nan")


def constant(loss):
    return lambda text: [NAN, *[loss] * (len(text) - 1)]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


# --- numbers


def test_means_are_over_what_was_predicted():
    state = compute("abc", [NAN, math.log(2), math.log(8)])
    assert state.loss == pytest.approx(math.log(4))
    assert state.bits == pytest.approx(2) and state.perplexity == pytest.approx(4)
    assert summary(state) == "model: 1.39 nats = 2.00 bits per character, as 4.0 equal choices"


def test_one_character_is_nothing_to_predict():
    state = compute("a", [NAN])
    assert math.isnan(state.loss) and summary(state) == "model: nothing to predict"
    assert "nothing to predict" in page(state) and picture([state])


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
    steps = [brightness(colour(loss)) for loss in np.linspace(0, DARKEST, 33)]
    assert all(a > b for a, b in zip(steps, steps[1:], strict=False)) and steps[0] == pytest.approx(1)
    assert colour(DARKEST) == colour(50.0) == colour(math.inf)


def test_letters_stand_out_on_every_colour():
    for loss in [*np.linspace(0, 10, 81), NAN]:
        background = colour(loss)
        low, high = sorted((brightness(background), brightness(ink(background))))
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
        name = re.search(rf'class="s (c\w+)"[^>]*>{character}<', text).group(1)
        assert f".here .{name}{{background:rgb{colour(loss)};color:rgb{ink(colour(loss))}}}" in text


def test_text_and_name_stay_text():
    text = page(compute(HOSTILE + "</style>&'", [1.0] * (len(HOSTILE) + 10), HOSTILE))
    assert "<img" not in text and text.count("</style>") == 1 and "onerror=&quot;" in text
    assert 'data-loss="&quot;: 1.00' in text and "&amp;" in text and 'data-loss="&lt;: 1.00' in text


# --- the picture


def test_lines_break_where_the_text_does_and_at_the_margin():
    lines = wrapped(compute("ab\ncdefg\n", [1.0] * 9), columns=3)
    assert ["".join(c for c, _ in line) for line in lines] == ["ab\n", "cde", "fg\n"]


def test_the_picture_shows_the_colours_where_they_belong():
    canvas = pixels(picture([compute("  ", [0.0, 8.0])]))
    assert tuple(canvas[33, 11]) == colour(0.0) and tuple(canvas[33, 23]) == colour(8.0)


def test_the_static_figure_is_a_small_png():
    states = [compute("To be, or not to be\n" * 5, [1.5] * 100, name) for name in ("one", "two")]
    png = figure(*states).data
    assert png.startswith(b"\x89PNG") and len(png) < 60_000 and pixels(png).shape[1] <= 1000
    assert pixels(png).shape[0] > pixels(figure(states[0]).data).shape[0] + 100


# --- models


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


def tiny_model(dropout=0.0):
    return GPT(GPTConfig(6, 8, 1, 1, 8, dropout=dropout), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("length", [1, 2, 8, 9])
def test_a_models_losses_are_those_of_evaluate(length):
    model, tokenizer = tiny_model(), CharTokenizer("abcdef")
    text = ("fedcba" * 3)[:length]
    losses = losses_of_model(model, tokenizer, 8)(text)
    assert len(losses) == length and math.isnan(losses[0])
    if length > 1:
        assert np.nanmean(losses) == pytest.approx(evaluate(model, tokenizer.encode(text), 8), abs=1e-6)


@pytest.mark.parametrize("length", [10, 12, 13, 16, 17, 40])
@pytest.mark.parametrize("block_size", [1, 2, 5, 8])
def test_a_long_text_is_read_in_overlapping_windows(length, block_size):
    model, tokenizer = tiny_model().eval(), CharTokenizer("abcdef")
    ids = torch.randint(0, 6, (length,), generator=torch.Generator().manual_seed(length))
    losses = losses_of_model(model, tokenizer, block_size)(tokenizer.decode(ids.tolist()))
    step = max(1, block_size // 2)
    for i in range(1, length):
        windows = [s for s in range(0, length, step) if s < i <= s + block_size]
        start = min(windows)  # the one that gives it the longest context
        with torch.no_grad():
            expected = -model(ids[None, start:i])[0, -1].log_softmax(-1)[ids[i]].item()
        assert losses[i] == pytest.approx(expected, abs=1e-5)


def test_dropout_is_off_meanwhile_and_the_mode_comes_back():
    model, tokenizer = tiny_model(dropout=0.5).train(), CharTokenizer("abcdef")
    losses_of = losses_of_model(model, tokenizer, 8)
    assert losses_of("abcdef")[1:] == losses_of("abcdef")[1:] and model.training


def test_tokens_of_several_characters_are_refused():
    with pytest.raises(ValueError, match="3 tokens for 2 characters"):
        losses_of_model(tiny_model(), ByteTokenizer(), 8)("aé")


# --- the widget, driven


def test_model_and_text_can_be_changed():
    surprise = Surprise({"good": constant(0.5), "bad": constant(4.0)}, "first\ntext")
    assert surprise.text.value == "first\\ntext" and surprise.state.loss == 0.5
    surprise.model.value = "bad"
    assert surprise.state.loss == 4.0 and "bad: 4.00 nats" in surprise.page.value
    surprise.text.value = "a\\nb"
    assert surprise.state.text == "a\nb" and surprise.state.name == "bad" and surprise.message.value == ""
    assert surprise.page.value == page(surprise.state, surprise.name)


def test_texts_that_fail_leave_a_message_and_the_last_page():
    def losses_of(text):
        if "!" in text:
            raise RuntimeError(f"{HOSTILE}\nsecond line")
        return constant(1.0)(text)

    surprise = Surprise({"model": losses_of}, "fine")
    before = surprise.page.value
    surprise.text.value = ""
    assert "the text is empty" in surprise.message.value and surprise.page.value == before
    surprise.text.value = "boom!"
    assert "RuntimeError: &lt;img" in surprise.message.value and "second" not in surprise.message.value
    assert surprise.page.value == before and surprise.error
    surprise.text.value = "well"
    assert surprise.error == surprise.message.value == "" and surprise.page.value != before


def test_an_unknown_character_is_named():
    tokenizer = CharTokenizer("ab")
    table = NGram(1).fit([0, 1, 0], 2)
    surprise = Surprise({"1-gram": losses_of_ngram(table, tokenizer)}, "ab")
    surprise.text.value = "aö"
    assert "unknown character" in surprise.error and surprise.state.text == "ab"


def test_a_text_that_is_cut_says_so():
    surprise = Surprise({"model": constant(1.0)}, "ab")
    surprise.text.value = "x" * 1000
    assert "1000 characters" in surprise.message.value and surprise.error == ""


def test_two_widgets_do_not_share_their_styles():
    first, second = (Surprise({"model": constant(1.0)}, "ab") for _ in range(2))
    assert f'class="{first.name}"' in first.page.value and first.name != second.name


def test_repr_is_short_and_always_the_same():
    assert repr(Surprise({"m": constant(1.0)}, "ab")) == "Surprise: run this notebook to use it"
