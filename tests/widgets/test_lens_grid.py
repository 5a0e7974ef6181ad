"""The lens without a browser: the best guesses, escaped text, the chosen cell, controls."""

import re

import numpy as np
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.inspection import lens
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets.lens_grid import (
    MAX_TOKENS,
    LensGrid,
    colour,
    compute,
    first_right,
    lens_of_model,
    page,
    render,
    told,
)
from gptlib.widgets.surprise import ink, luminance

VOCABULARY = ("a", "b", "<", "\n", " ", "e", "f")
HOSTILE = '<img src=x onerror="alert(1)">'


def probabilities(depth=3, T=4, seed=1):
    return torch.randn(depth, T, 7, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1).numpy()


def read(text):
    return list(text), probabilities(T=len(text)), VOCABULARY


def test_each_cell_has_its_five_best():
    p = probabilities()
    state = compute("ab<\n", p, VOCABULARY)
    for layer in range(3):
        for t in range(4):
            order = sorted(range(7), key=lambda i: -p[layer, t, i])[:5]
            assert [token for token, _ in state.best[layer][t]] == [VOCABULARY[i] for i in order]
            assert state.best[layer][t][0][1] == pytest.approx(p[layer, t].max())
    assert (state.layer, state.position) == (2, 3)


def test_when_a_guess_is_settled():
    p = np.zeros((4, 1, 7))
    for layer, token in enumerate((0, 1, 2, 2)):
        p[layer, 0, token] = 1
    assert first_right(compute("a", p, VOCABULARY), 0) == 2
    p[1] = p[0] = p[2]
    assert first_right(compute("a", p, VOCABULARY), 0) == 0


@pytest.mark.parametrize(
    ("tokens", "p", "complaint"),
    [
        ("", np.zeros((2, 0, 7)), "empty"),
        ("ab", probabilities(T=3), "3, 7.* for 2 tokens of 7"),
        ("ab", probabilities(T=2)[0], r"\[2, 7\]"),
    ],
)
def test_wrong_input_is_refused(tokens, p, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(tokens, p, VOCABULARY)


def test_long_texts_keep_their_end():
    state = compute("ab" * 40, probabilities(T=80), VOCABULARY)
    assert len(state.tokens) == MAX_TOKENS and f"last {MAX_TOKENS}" in state.notes[0]
    whole = compute("ab" * 20 + "abab", probabilities(T=80)[:, -44:], VOCABULARY)
    assert state.best[2][-1] == whole.best[2][-1]


def test_letters_stand_out_and_more_is_darker():
    steps = [luminance(colour(p)) for p in np.linspace(0, 1, 26)]
    assert all(a > b for a, b in zip(steps, steps[1:], strict=False)) and steps[0] == pytest.approx(1)
    for p in np.linspace(0, 1, 51):
        low, high = sorted((luminance(colour(p)), luminance(ink(colour(p)))))
        assert (high + 0.05) / (low + 0.05) >= 4.5
    assert colour(-1) == colour(0) and colour(2) == colour(1)


def test_the_page_tells_five_best_escapes_and_needs_no_script():
    state = compute("ab<\n", probabilities(), VOCABULARY)
    text = page(state, "here")
    tips = re.findall(r'data-best="([^"]*)"', text)
    assert len(tips) == 12 and all(tip.count("%") == 5 for tip in tips)
    assert (
        tips[0].startswith("after block 1 = logits, after a (0): ") and "embeddings, after a (0)" in tips[8]
    )
    assert "<script" not in text and "http" not in text and text.count(' chosen"') == 1
    assert ".here .s:hover::after{content:attr(data-best)" in text and "⏎" in text
    hostile = compute([HOSTILE], probabilities(T=1), (HOSTILE, *VOCABULARY[1:]), HOSTILE)
    assert "<img" not in page(hostile)


def test_the_picture_shows_the_colours(pixels):
    p = np.zeros((2, 2, 7))
    p[:, :, 4] = 1e-9
    p[1, 0, 0] = 1.0
    canvas = pixels(render(compute("ab", p, VOCABULARY)))
    assert any((canvas == np.array(colour(1.0))).all(axis=-1).flatten())


def test_controls_move_the_chosen_cell():
    grid = LensGrid({"one": read, "two": read}, "ab<")
    assert (grid.depth.value, grid.position.value, grid.depth.max, grid.position.max) == (2, 2, 2, 2)
    grid.depth.value, grid.position.value = 0, 1
    assert (grid.state.layer, grid.state.position) == (0, 1)
    assert 'role="status">embeddings, after b (1)' in grid.page.value
    grid.text.value = "a"
    assert grid.state.position == 0 and grid.position.max == 0 and grid.error == ""
    grid.text.value = ""
    assert "the text is empty" in grid.message.value and grid.state.tokens == ("a",)
    grid.text.value, grid.model.value = "ab", "two"
    assert grid.state.name == "two" and grid.page.value == page(grid.state, grid.css_class)


def test_a_models_lens_is_the_lens():
    tokenizer = CharTokenizer("abc\n")
    gpt = GPT(GPTConfig(4, 8, n_layer=2, n_head=2, n_embd=8), torch.Generator().manual_seed(1)).eval()
    tokens, p, vocabulary = lens_of_model(gpt, tokenizer, lens)("abcabcabca")
    assert len(tokens) == 8 and "".join(tokens) == "cabcabca"[-8:] and list(vocabulary) == list("\nabc")
    expected = lens(gpt, torch.tensor([tokenizer.encode("cabcabca")]))[:, 0].softmax(dim=-1)
    np.testing.assert_allclose(p, expected.numpy())
    grid = LensGrid({"gpt": lens_of_model(gpt, tokenizer, lens)}, "ab")
    grid.text.value = "aö"
    assert "unknown character" in grid.message.value and "".join(grid.state.tokens) == "ab"
    assert told(grid.state, 2, 1).startswith("after block 1 = logits, after b (1)")
