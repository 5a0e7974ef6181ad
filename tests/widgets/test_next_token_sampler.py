"""The next-token sampler without a browser: distributions, draws, its cache, the controls driven."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets.kit.palette import BLUE, VERMILLION
from gptlib.widgets.next_token_sampler import (
    BAR_WIDTH,
    HEIGHT,
    TOP,
    NextTokenSampler,
    bars,
    compute,
    logits_from_model,
    percent,
    render,
    sampler_for_model,
    summary,
)

FIVE = torch.tensor([8.0, 1.0, 4.0, 2.0, 1.0]).log()
TOKENIZER = CharTokenizer.from_text("abcdefghijklmnop\n ")


def model(block_size=8):
    config = GPTConfig(vocab_size=18, block_size=block_size, n_layer=2, n_head=2, n_embd=16)
    gpt = GPT(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in gpt.parameters():
            p.mul_(8 if p.ndim == 2 else 1)
    return gpt.eval()


def counted(gpt, calls):
    forward = gpt.forward
    gpt.forward = lambda idx, cache=None: calls.append(idx.shape[1]) or forward(idx, cache)
    return gpt


def test_before_and_after_the_filters_by_hand():
    state = compute("x", "abcde", FIVE, top_k=3)
    assert state.labels == ("a", "c", "d", "b", "e")
    np.testing.assert_allclose(state.raw, [8 / 16, 4 / 16, 2 / 16, 1 / 16, 1 / 16], rtol=1e-6)
    np.testing.assert_allclose(state.filtered, [8 / 14, 4 / 14, 2 / 14, 0, 0], rtol=1e-6)
    assert state.possible == 3 and summary(state) == "3 of 5 tokens can come"
    assert compute("x", "abcde", FIVE, top_p=0.7).possible == 2
    assert compute("x", "abcde", FIVE, temperature=0).filtered == (1, 0, 0, 0, 0)
    half = compute("x", "abcde", FIVE, temperature=0.5).filtered
    np.testing.assert_allclose(half, np.array([64, 16, 4, 1, 1]) / 86, rtol=1e-6)


def test_the_tokens_that_are_not_shown_are_counted():
    state = compute("x", "abcdefghijklmnop", torch.zeros(16))
    assert len(state.tokens) == 12 and state.others == 4 and state.raw_others == pytest.approx(4 / 16)
    assert summary(state).endswith("the 4 not shown have 25.0 % before the filters, 25.0 % after")


@pytest.mark.parametrize(
    ("logits", "settings", "complaint"),
    [
        (FIVE, dict(temperature=-1.0), "temperature=-1.0"),
        (FIVE, dict(top_k=0), "top_k=0"),
        (FIVE, dict(top_p=0.0), "top_p=0.0"),
        (FIVE[:4], {}, r"logits of shape \[4\] for 5 labels"),
        (torch.full((5,), math.nan), {}, "finite"),
    ],
)
def test_wrong_input_is_refused(logits, settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute("x", "abcde", logits, **settings)


def test_small_shares_never_read_as_none():
    assert [percent(p) for p in (0, 1e-9, 0.001, 0.5)] == ["0 %", "< 0.1 %", "0.1 %", "50.0 %"]


def test_labels_and_texts_are_escaped_and_drawn():
    tokenizer = CharTokenizer.from_text("<&>")
    sampler = NextTokenSampler(lambda ids: torch.zeros(3), tokenizer, "<")
    sampler.take(0)
    assert "<b>&lt;</b>" in sampler.page.value and "&amp;" in sampler.page.value
    assert render(compute("\n" * 90, ["\n", "\x07", "<b>"], torch.zeros(3)))


def test_the_picture_has_bars_of_the_right_length_and_a_frame(painted):
    def lengths(state):
        blue = painted(render(state), BLUE).sum(axis=1)
        return [blue[TOP + HEIGHT * i : TOP + HEIGHT * (i + 1)].max() for i in range(5)]

    state = compute("x", "abcde", FIVE)
    np.testing.assert_allclose(lengths(state), BAR_WIDTH * np.array([8, 4, 2, 1, 1]) / 16, atol=3)
    assert lengths(compute("x", "abcde", FIVE, top_k=1)) == [pytest.approx(BAR_WIDTH, abs=3), 0, 0, 0, 0]
    assert not painted(render(state), VERMILLION).any()
    framed = painted(render(replace(state, drawn=state.tokens[2])), VERMILLION)
    rows = np.flatnonzero(framed.sum(axis=1) > 600)
    assert TOP + 2 * HEIGHT <= rows.min() and rows.max() < TOP + 3 * HEIGHT


def test_draws_follow_the_bars():
    sampler = NextTokenSampler(lambda ids: FIVE, CharTokenizer.from_text("abcde"), "a")
    sampler.top_k.value = 3
    counts = np.zeros(5)
    for seed in range(600):
        sampler.seed.value = seed
        sampler.press()
        counts[sampler.state.drawn] += 1
        sampler.undo()
    p = np.array([8, 0, 4, 2, 0]) / 14
    assert (np.abs(counts / 600 - p) <= 4 * np.sqrt(p * (1 - p) / 600)).all(), counts


def test_each_position_draws_anew():
    sampler = NextTokenSampler(lambda ids: torch.zeros(18), TOKENIZER, "a")
    for _ in range(10):
        sampler.press()
        sampler.press()
    assert len(set(sampler.text)) > 3


def test_press_draws_then_continues_and_back_takes_it_back():
    sampler = NextTokenSampler(lambda ids: FIVE + len(ids), CharTokenizer.from_text("abcde"), "ab")
    assert sampler.back.disabled and sampler.button.description == "Draw" and sampler.text == ""
    sampler.press()
    drawn = sampler.state.drawn
    label = "abcde"[drawn]
    assert sampler.ids == [0, 1] and sampler.button.description == f"Continue with {label}"
    assert sum("◀ drawn" in bars.value for bars in sampler.bars) == 1
    sampler.press()
    assert sampler.ids == [0, 1, drawn] and sampler.text == label and sampler.state.drawn is None
    sampler.press()
    sampler.undo()  # forgets the draw only
    assert sampler.state.drawn is None and sampler.text == label
    sampler.undo()
    assert sampler.text == "" and sampler.back.disabled
    sampler.undo()  # nothing to take back
    sampler.press()
    assert sampler.state.drawn == drawn  # the same seed and position
    sampler.temperature.value = 1.00000001  # as a page may send it back
    assert sampler.state.drawn == drawn
    sampler.temperature.value = 0
    assert sampler.state.drawn is None  # drawn from another distribution
    sampler.press()
    sampler.seed.value = 2
    assert sampler.state.drawn is None  # drawn with another seed


def test_a_click_on_a_token_takes_it():
    sampler = NextTokenSampler(lambda ids: FIVE, CharTokenizer.from_text("abcde"), "a")
    assert [choice.description for choice in sampler.choices[:5]] == ["a", "c", "d", "b", "e"]
    assert sampler.choices[5].disabled and sampler.bars[5].value == ""
    sampler.choices[2].click()
    assert sampler.text == "d"
    sampler.take(11)
    assert sampler.text == "d"
    sampler.button.click()
    sampler.button.click()
    assert len(sampler.text) == 2
    sampler.back.click()
    assert sampler.text == "d"


def test_the_model_is_asked_once_for_each_text():
    asked = []
    sampler = NextTokenSampler(
        lambda ids: asked.append(tuple(ids)) or FIVE, CharTokenizer.from_text("abcde"), "a"
    )
    sampler.temperature.value, sampler.top_k.value, sampler.top_p.value = 0.5, 2, 0.5
    sampler.take(0)
    sampler.undo()
    sampler.take(0)
    assert asked == [(0,), (0, 0)]


def test_a_drawn_token_that_is_not_shown_is_named():
    logits = torch.zeros(18)
    logits[:13] = 0.01
    sampler = NextTokenSampler(lambda ids: logits, TOKENIZER, "a")
    for seed in range(40):
        sampler.seed.value = seed
        sampler.press()
        if sampler.state.drawn not in sampler.state.tokens:
            assert "which is not among those shown" in sampler.note.value
            return
    raise AssertionError("none of 40 draws was outside the rows")


def test_bad_prompts_leave_a_message_and_the_text():
    with pytest.raises(ValueError, match="unknown character"):
        sampler_for_model(model(), TOKENIZER, "X")
    sampler = sampler_for_model(model(), TOKENIZER, "abc")
    sampler.prompt.value = "abX"
    assert "unknown character" in sampler.error and "unknown character" in sampler.message.value
    assert sampler.state.text == "abc"
    sampler.prompt.value = ""
    assert "the prompt is empty" in sampler.message.value
    sampler.prompt.value = r"a\nb"
    assert sampler.error == sampler.message.value == "" and sampler.state.text == "a\nb"


def test_a_model_that_fails_leaves_a_message():
    def fails(ids):
        if len(ids) > 1:
            raise RuntimeError("out of order")
        return FIVE

    sampler = NextTokenSampler(fails, CharTokenizer.from_text("abcde"), "a")
    sampler.take(0)
    assert "RuntimeError: out of order" in sampler.message.value and sampler.text == ""


def test_logits_with_the_cache_are_those_without():
    """Steps on, back, aside, and beyond the window, against the model alone."""
    gpt = model()
    logits_of = logits_from_model(gpt)
    texts = [
        [1, 2, 3],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4],
        [1, 2, 3],
        [1, 2, 9, 9],
        [7],
        list(range(12)),
    ]
    for ids in [*texts, [7], [7, 8], list(range(8)), list(range(9)), list(range(8))]:
        with torch.no_grad():
            expected = gpt(torch.tensor([ids[-8:]]))[0, -1]
        torch.testing.assert_close(logits_of(ids), expected, rtol=1e-5, atol=1e-5)


def test_the_cache_saves_the_work():
    calls = []
    sampler = sampler_for_model(counted(model(), calls), TOKENIZER, "abc")
    for _ in range(8):
        sampler.take(0)
    assert calls == [3, 1, 1, 1, 1, 1, 8, 8, 8]


def test_a_cache_is_not_trusted_after_a_failure():
    gpt = model()
    logits_of, forward = logits_from_model(gpt), gpt.forward
    logits_of([1, 2, 3, 4])

    def breaks(idx, cache=None):
        forward(idx, cache)
        raise RuntimeError("interrupted")

    gpt.forward = breaks
    with pytest.raises(RuntimeError):
        logits_of([1, 9, 9])
    gpt.forward = forward
    with torch.no_grad():
        expected = gpt(torch.tensor([[1, 2, 3, 4, 5]]))[0, -1]
    torch.testing.assert_close(logits_of([1, 2, 3, 4, 5]), expected, rtol=1e-5, atol=1e-5)


def test_rows_keep_their_width():
    """Buttons are not squeezed on a narrow page, and the bars' boxes end in one line whatever they say."""
    sampler = NextTokenSampler(lambda ids: FIVE, CharTokenizer.from_text("abcde"), "a")
    sampler.press()
    assert {choice.layout.flex for choice in sampler.choices} == {"0 0 auto"}
    widths = [re.search(r"width:(\d+)px;box-sizing", drawing.value).group(1) for drawing in sampler.bars[:5]]
    assert len(set(widths)) == 1


def test_rows_say_what_was_cut_off():
    state = compute("x", "abcde", FIVE, top_k=1)
    assert "cut off" not in bars(state, 0) and "✕ cut off" in bars(state, 1)
