"""Merge theatre without a browser: its steps, escaped bytes, the comparison with tiktoken, controls."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib.tokenizer import BPETokenizer
from gptlib.widgets.kit.palette import rgb
from gptlib.widgets.merge_theatre import (
    LINE,
    MAX_BYTES,
    WIDTH,
    MergeTheatre,
    against_tiktoken,
    compute,
    description,
    escaped,
    page,
    render,
    summary,
    tint,
    with_gpt2,
)

HOSTILE = '<img src=x onerror="alert(1)"> <img src=x onerror="alert(1)">'


def test_the_example_on_paper():
    state = compute("aaabdaaabac")
    assert [step.joined for step in state.steps] == [None, (97, 97), (97, 98), (256, 257)]
    assert [step.ids for step in state.steps][-1] == [258, 100, 258, 97, 99]
    assert state.steps[0].counts[0] == ((97, 97), 4) and state.spelling[258] == b"aaab"
    assert summary(state, 3) == "3 of 3 merges: 11 bytes, 5 tokens"
    assert description(state, 0) == "The bytes of the text. Next: a and a, which occur 4 times."
    assert description(state, 3) == "Joined aa and ab: token 258. No pair occurs twice any more."


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.booleans())
def test_every_step_spells_the_text_and_is_tiktokens(text, cut):
    state = compute(text, cut)
    for number, step in enumerate(state.steps):
        assert b"".join(state.spelling[i] for i in step.ids) == text.encode()
        assert against_tiktoken(state, number).endswith("the same ones")
    assert all(n < 2 for _, n in state.steps[-1].counts)


def test_cut_text_learns_what_the_tokenizer_learns():
    text = "the cat, the hat, the bat; that cat"
    state = compute(text, cut=True)
    trained = BPETokenizer.train(text, 256 + len(state.steps) - 1)
    assert [step.joined for step in state.steps[1:]] == list(trained.merges)
    assert state.steps[-1].ids == trained.encode(text)


def test_a_difference_from_tiktoken_is_told():
    state = compute("abab ab")
    broken = replace(state, spelling=(*state.spelling[:256], b"ba"))
    assert against_tiktoken(broken, 1).endswith("other ones")


def test_gpt2s_tokens():
    assert with_gpt2("Hello world", BPETokenizer.gpt2()).endswith("2 tokens: Hello | ␣world")


def test_bytes_are_escaped():
    assert escaped("a é\n~".encode()) == "a␣\\xc3\\xa9\\x0a~"
    text = page(compute(HOSTILE), 0) + page(compute(HOSTILE), len(compute(HOSTILE).steps) - 1)
    assert "<img" not in text and "&lt;" in text


def test_a_long_text_is_cut_between_characters():
    state = compute("é" * 200)
    assert state.text == "é" * (MAX_BYTES // 2) and "first 160 are shown" in state.notes[0]


@pytest.mark.parametrize("text, message", [("", "the text is empty"), ("a\ud800", "lone surrogate")])
def test_what_cannot_be_encoded_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        compute(text)


def test_the_picture_has_a_row_for_each_step(pixels):
    """In which every token has its tint: 256 of "aa", 257 of "ab", 258 of "aaab"."""
    canvas = pixels(render(compute("aaabdaaabac")))
    assert canvas.shape == (4 * LINE + 8, WIDTH, 3)
    rows = [canvas[LINE * i + 6 : LINE * (i + 1)] for i in range(4)]
    tinted = [[(row == rgb(tint(i))).all(-1).any() for i in (256, 257, 258)] for row in rows]
    assert tinted == [[False] * 3, [True, False, False], [True, True, False], [False, False, True]]


def test_the_widget_follows_its_controls():
    theatre = MergeTheatre("aaabdaaabac")
    assert theatre.step.max == 3 and "11 bytes, 11 tokens" in theatre.page.value
    assert theatre.back.disabled and not theatre.forward.disabled
    theatre.forward.click()
    assert theatre.step.value == 1 and "1 of 3 merges" in theatre.page.value
    theatre.step.value = 3
    assert theatre.forward.disabled and "5 tokens" in theatre.page.value
    theatre.forward.click()
    theatre.back.click()
    assert theatre.step.value == 2
    theatre.step.value = 3
    assert "5 tokens, the same ones" in theatre.compared.value
    theatre.text.value = "to be or not to be\\n"
    assert theatre.step.value == 0 and theatre.state.text == "to be or not to be\n"
    theatre.cut.value = True
    assert theatre.state.cut and len(theatre.state.steps[0].parts) == 7
    theatre.text.value = ""
    assert "the text is empty" in theatre.message.value and theatre.state.text == "to be or not to be\n"
    theatre.text.value = "x" * 500
    assert theatre.error == "" and "500 bytes" in theatre.message.value
    theatre.text.value = "a\ud800"
    assert "lone surrogate" in theatre.message.value
