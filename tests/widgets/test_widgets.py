"""The widgets without a browser: states and pictures from arrays; controls driven by setting their values.

Runs with ipywidgets 7.7.1 (Colab) as well as with 8.x.
"""

import io
import json
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import ByteTokenizer, CharTokenizer
from gptlib.widgets import CHECKPOINTS, book_style, trained_model
from gptlib.widgets.attention_explorer import (
    AttentionExplorer,
    explorer_for_model,
    figure,
    picture,
    reading,
    weights_of_model,
)
from gptlib.widgets.attention_state import MAX_TOKENS, compute, shade
from gptlib.widgets.kit.text import typed, untyped, visible
from gptlib.widgets.playground import Playground, page, playground_for_model
from gptlib.widgets.run_plot import plot_run, spread

HOSTILE = '<img src=x onerror="alert(1)">'
CHARACTERS = "\n !,:BEMORWabcdefghijklmnopqrstuvwxyz"


def causal_weights(T, n_layer=1, n_head=1, seed=0):
    weights = np.tril(np.random.default_rng(seed).random((n_layer, n_head, T, T)) + 0.01)
    return weights / weights.sum(-1, keepdims=True)


def tiny_model():
    return GPT(GPTConfig(len(CHARACTERS), 80, 3, 2, 16), torch.Generator().manual_seed(0)).eval()


def tiny_explorer(prompt="ROMEO:\nso", **choice):
    return explorer_for_model(tiny_model(), CharTokenizer(CHARACTERS), prompt, **choice)


# --- the explorer's numbers


def test_uniform_attention_has_the_statistics_known_by_hand():
    weights = (np.tri(4) / np.tri(4).sum(-1, keepdims=True))[None, None]
    state = compute(list("abcd"), weights)
    by_hand = (0 + 1 + np.log2(3) + 2) / 4  # n equal weights have log2 n bits
    assert state.entropy[0, 0] == pytest.approx(by_hand) == pytest.approx(state.uniform_entropy)
    assert (
        state.distance[0, 0]
        == pytest.approx((0 + 0.5 + 1 + 1.5) / 4)
        == pytest.approx(state.uniform_distance)
    )


def test_a_head_that_looks_at_the_token_before_has_no_entropy_and_distance_one():
    weights = np.eye(5, k=-1)
    weights[0, 0] = 1
    state = compute(list("abcde"), weights[None, None])
    assert state.entropy[0, 0] == 0 and state.distance[0, 0] == pytest.approx(4 / 5)


def test_without_the_mask_uniform_is_over_the_whole_prompt():
    state = compute(list("abcd"), np.full((1, 1, 4, 4), 0.25), causal=False)
    assert state.uniform_entropy == 2 and state.entropy[0, 0] == 2
    assert any("mask is off" in note for note in state.notes)


def test_shade_tells_masked_from_zero_and_marks_the_uniform_weight_as_half():
    weights = np.array([[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])[None, None]
    state = compute(list("abc"), weights)
    brightness = shade(state)[0, 0]
    assert np.isnan(brightness[0, 1]) and brightness[1, 0] == 0
    assert brightness[2, 0] == pytest.approx(3**-0.5)
    against = shade(replace(state, against_uniform=True))[0, 0]
    assert (
        against[2] == pytest.approx(0.5)
        and against[1, 1] == pytest.approx(0.5 + 1 / 6)
        and against[1, 0] == 0
    )


def test_long_prompts_are_cut_and_say_so():
    state = compute(["a"] * 100, causal_weights(100))
    assert len(state.tokens) == MAX_TOKENS and state.weights.shape[-1] == MAX_TOKENS
    assert any("100 tokens" in note and "first 64" in note for note in state.notes)
    np.testing.assert_allclose(state.weights.sum(-1), 1)


def test_a_leaking_mask_is_named_and_shown():
    weights = np.full((1, 1, 3, 3), 1 / 3)
    state = compute(list("abc"), weights, causal=True)
    assert any("leaks" in note and "67 %" in note for note in state.notes)
    assert not np.isnan(shade(state)).any()


@pytest.mark.parametrize(
    ("weights", "tokens", "complaint"),
    [
        (np.ones((3, 3)), "abc", "n_layer, n_head, T, T"),
        (np.ones((1, 1, 3, 3)), "abc", "sum to 1"),
        (np.full((1, 1, 3, 3), np.nan), "abc", "sum to 1"),
        (causal_weights(3), "ab", "a token for each"),
        (np.ones((1, 1, 0, 0)), "", "a token for each"),
    ],
)
def test_wrong_weights_are_refused(weights, tokens, complaint):
    with pytest.raises(ValueError, match=complaint):
        compute(list(tokens), weights)


# --- its pictures


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_picture_shows_the_weights_where_they_belong():
    weights = np.zeros((1, 1, 3, 3))
    weights[0, 0, [0, 1, 2], [0, 0, 2]] = 1
    canvas = np.asarray(picture(compute(list("abc"), weights))).astype(int)
    yellow = canvas[..., 0] - canvas[..., 2] > 150  # much red, little blue: the bright end of cividis
    rows, columns = np.nonzero(yellow[:, :-78])  # without the colour bar
    cell, left, top = 36, columns.min(), rows.min()
    cells = {((r - top) // cell, (c - left) // cell) for r, c in zip(rows, columns, strict=True)}
    assert cells == {(0, 0), (1, 0), (2, 2)}  # row: query; column: key


def test_one_head_has_no_mosaic_and_many_have():
    one = picture(compute(list("abc"), causal_weights(3)))
    many = picture(compute(list("abc"), causal_weights(3, 2, 2)))
    assert many.width > one.width + 300


def test_the_static_figure_is_a_small_png():
    state = compute(list("ROMEO: But, soft!"), causal_weights(17, 6, 6))
    png = figure(state).data
    assert png.startswith(b"\x89PNG") and len(png) < 60_000 and pixels(png).shape[1] <= 1000


def test_long_and_strange_labels_are_drawn():
    tokens = ["a very long token indeed", "", "\n", "\x07", "中", HOSTILE]
    canvas = picture(compute(tokens, causal_weights(6)))
    assert canvas.width < 460  # cut after ten characters


def test_reading_shades_the_keys_of_each_query():
    weights = np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 0.1, 0.9]])[None, None]
    text = reading(compute(list("abc"), weights), "here")
    rule = re.search(r"\.here:has\(\.q1:hover\)[^{]*\{([^}]*)\}", text).group(1)
    assert rule == '--s0:0.50;--l0:"25%";--s1:0.87;--l1:"75%"'
    assert "script" not in text and "http" not in text


def test_reading_against_uniform_gives_ratios():
    weights = np.array([[1, 0], [0.25, 0.75]])[None, None]
    text = reading(replace(compute(list("ab"), weights), against_uniform=True), "here")
    rule = re.search(r"\.here:has\(\.q1:hover\)[^{]*\{([^}]*)\}", text).group(1)
    assert '--l0:"0.5×"' in rule and '--l1:"1.5×"' in rule


def test_tokens_stay_text():
    text = reading(compute([HOSTILE, "</style>", "&"], causal_weights(3)))
    assert "<img" not in text and text.count("</style>") == 1
    assert "&lt;img␣src=x␣onerror=&quot;alert(1)&quot;&gt;" in text and "&amp;" in text


def test_whitespace_is_visible_and_control_characters_are_spelled_out():
    assert visible(" a\n\t") == "␣a⏎⇥" and visible("") == "∅" and visible("\x07") == "\\x07"
    assert visible("\u202e") == "\\u202e"  # it would turn the direction of what follows
    assert untyped(typed("two\nlines")) == "two\nlines" and "\n" not in typed("two\nlines")


# --- the explorer, driven


def test_layer_head_and_comparison_redraw_without_running_the_model():
    calls = []

    def weights_of(text, causal):
        calls.append(text)
        return list(text), causal_weights(len(text), 2, 3)

    explorer = AttentionExplorer(weights_of, "hello")
    before = explorer.image.value
    explorer.layer.value, explorer.head.value = 1, 2
    assert (explorer.state.layer, explorer.state.head) == (1, 2)
    assert "Layer 1, head 2" in explorer.reading.value and explorer.image.value != before
    before = explorer.image.value
    explorer.show.value = True
    assert explorer.state.against_uniform and explorer.image.value != before and "×" in explorer.reading.value
    assert calls == ["hello"]


def test_a_new_prompt_runs_the_model():
    explorer = tiny_explorer(layer=2, head=1)
    explorer.prompt.value = "ROMEO:\\nbe"
    assert explorer.state.tokens == tuple("ROMEO:\nbe") and (explorer.state.layer, explorer.state.head) == (
        2,
        1,
    )
    assert explorer.error == "" and explorer.message.value == "" and "⏎" in explorer.reading.value
    expected = weights_of_model(tiny_model(), CharTokenizer(CHARACTERS))("ROMEO:\nbe", True)[1]
    np.testing.assert_allclose(explorer.state.weights, expected, atol=1e-6)


def test_the_weights_are_those_inside_the_model():
    model, tokenizer = tiny_model(), CharTokenizer(CHARACTERS)
    seen = []
    for block in model.h:
        block.attn.register_forward_pre_hook(lambda attn, inputs: seen.append(attn.weights(inputs[0])[0]))
    with torch.no_grad():
        model(torch.tensor([tokenizer.encode("so be it")]))
    weights = weights_of_model(tiny_model(), tokenizer)("so be it", True)[1]
    np.testing.assert_allclose(weights, torch.stack(seen).numpy(), atol=1e-6)


def test_the_model_keeps_its_mode():
    model = tiny_model().train()
    weights_of_model(model, CharTokenizer(CHARACTERS))("so", True)
    assert model.training


def test_the_mask_can_be_taken_off_and_put_back():
    explorer = tiny_explorer()
    with_mask = explorer.state.weights
    assert np.triu(with_mask, 1).max() == 0
    explorer.mask.value = False
    assert np.triu(explorer.state.weights, 1).min() >= 0 and explorer.state.weights[0, 0, 0, -1] > 0
    assert "mask is off" in explorer.message.value
    explorer.mask.value = True
    np.testing.assert_array_equal(explorer.state.weights, with_mask)
    assert explorer.message.value == ""


def test_a_long_prompt_is_cut_in_the_widget_even_beyond_the_context():
    explorer = tiny_explorer()
    explorer.prompt.value = "abc" * 100
    assert len(explorer.state.tokens) == MAX_TOKENS
    assert "300 tokens" in explorer.message.value and "first 64" in explorer.message.value


def test_empty_and_unknown_prompts_leave_a_message_and_the_last_picture():
    explorer = tiny_explorer("so")
    before = explorer.image.value
    explorer.prompt.value = ""
    assert "prompt is empty" in explorer.message.value and explorer.image.value == before
    explorer.prompt.value = "sö"
    assert "unknown character &#x27;ö&#x27; at position 1" in explorer.message.value
    assert explorer.state.tokens == ("s", "o") and explorer.image.value == before
    explorer.head.value = 1  # the picture still follows the choice of a head, and the message stays
    assert explorer.image.value != before and "unknown character" in explorer.message.value
    explorer.prompt.value = "be"
    assert explorer.error == "" and explorer.message.value == ""


def test_whatever_the_callable_raises_becomes_a_line():
    def weights_of(text, causal):
        if text == "boom":
            raise RuntimeError(f"{HOSTILE}\nsecond line")
        return list(text), causal_weights(len(text))

    explorer = AttentionExplorer(weights_of, "fine")
    explorer.prompt.value = "boom"
    assert "RuntimeError: &lt;img" in explorer.message.value and "second" not in explorer.message.value


def test_two_explorers_do_not_share_their_styles():
    first, second = tiny_explorer(), tiny_explorer()
    assert f'class="{first.name}"' in first.reading.value and first.name != second.name


def test_repr_is_short_and_always_the_same():
    assert (
        repr(tiny_explorer()) == repr(tiny_explorer("be")) == "AttentionExplorer: run this notebook to use it"
    )


# --- the playground


def test_the_playground_hands_its_settings_over_and_shows_the_text():
    calls = []

    def stream_text(*settings):
        calls.append(settings)
        yield from ("<b>", " and\n", HOSTILE)

    playground = Playground(stream_text, prompt="a\nb")
    playground.temperature.value, playground.top_k.value = 0.5, 10
    playground.length.value, playground.seed.value = 60, 7
    playground.button.click()
    assert calls == [("a\nb", 0.5, 10, 60, 7)]
    playground.top_k.value = 0
    playground.button.click()
    assert playground.top_k.label == "all" and calls[1] == ("a\nb", 0.5, None, 60, 7)
    assert playground.text == "<b> and\n" + HOSTILE
    assert playground.page.value == page("a\nb", playground.text) and "<img" not in playground.page.value
    assert playground.message.value == "" and not playground.button.disabled


def test_the_playground_shows_text_while_it_is_written(monkeypatch):
    clock = iter(np.arange(0, 100, 0.06))
    monkeypatch.setattr("gptlib.widgets.playground.time.monotonic", lambda: next(clock))
    playground = Playground(lambda *settings: iter("abcdefgh"))
    pages, disabled = [], []

    def note(change):
        pages.append(change.new)
        disabled.append(playground.button.disabled)

    playground.page.observe(note, "value")
    playground.write()
    assert len(pages) >= 4 and "abc" in pages[1] and disabled[0]


def test_the_playground_writes_with_a_model_and_repeats_itself_with_a_seed():
    playground = playground_for_model(tiny_model(), CharTokenizer(CHARACTERS), prompt="so")
    playground.length.value = 40
    playground.write()
    first = playground.text
    playground.write()
    assert len(first) == 40 and playground.text == first
    playground.seed.value = 2
    playground.write()
    assert playground.text != first


def test_the_playground_follows_temperature_and_top_k():
    playground = playground_for_model(tiny_model(), CharTokenizer(CHARACTERS), prompt="so", temperature=0.0)
    playground.length.value = 20
    playground.write()
    likeliest = playground.text
    playground.temperature.value, playground.top_k.value, playground.seed.value = 1.0, 1, 2
    playground.write()
    assert playground.text == likeliest


def test_the_playground_completes_characters_of_several_bytes():
    model = GPT(GPTConfig(256, 40, 1, 1, 8), torch.Generator().manual_seed(0)).eval()
    playground = playground_for_model(model, ByteTokenizer(), prompt="é")
    playground.length.value = 20
    playground.write()
    assert playground.message.value == "" and not playground.text.endswith("\ufffd")


def test_the_playground_asks_for_a_prompt_before_it_runs_anything():
    playground = Playground(lambda *settings: iter("x"), prompt="")
    playground.write()
    assert "prompt is empty" in playground.message.value and playground.text == ""


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "prompt is empty"), ("Zoë", "unknown character &#x27;Z&#x27; at position 0")]
)
def test_the_playground_explains_bad_prompts(prompt, message):
    playground = playground_for_model(tiny_model(), CharTokenizer(CHARACTERS), prompt="so")
    playground.prompt.value = prompt
    playground.write()
    assert message in playground.message.value and playground.text == "" and not playground.button.disabled


# --- the run's picture, the style, the shipped model


def records():
    rows = [
        {"step": s, "seconds": s / 10, "train_loss": 4 - s / 50, "learning_rate": 1e-3}
        for s in range(10, 110, 10)
    ]
    return rows + [{"step": 50, "val_loss": 3.2}, {"step": 100, "val_loss": 2.5}]


def test_the_run_plot_shows_losses_rungs_and_rate():
    book_style()
    drawn = plot_run(records(), {"uniform": 4.174, "4-gram": 1.774, "5-gram": 1.669}, "a run")
    top, bottom = drawn.axes
    train, val = top.lines[:2]
    assert list(train.get_ydata())[0] == 3.8 and list(val.get_xdata()) == [50, 100]
    labels = [text.get_text() for text in top.texts]
    assert labels == ["uniform 4.17", "4-gram 1.77", "5-gram 1.67"]
    assert val.get_label() == "validation, lowest 2.500"
    heights = sorted(text.xyann[1] for text in top.texts)
    assert min(np.diff(heights)) >= 0.069  # no two labels overlap
    assert top.get_ylabel() == "loss (nats per token)" and bottom.get_xlabel() == "step"
    plt.close(drawn)


def test_a_run_without_training_losses_is_refused():
    with pytest.raises(ValueError, match="none of the 1 records holds a train_loss"):
        plot_run([{"step": 1, "val_loss": 2.0}], {}, "")


def test_spread_moves_up_only_what_is_too_close():
    assert spread([5.0, 0.0, 0.1], 1.0) == [5, 0, 1] and spread([], 1.0) == []


def test_no_font_of_the_style_is_below_ten_points():
    book_style()
    names = (
        "font.size",
        "axes.titlesize",
        "axes.labelsize",
        "xtick.labelsize",
        "ytick.labelsize",
        "legend.fontsize",
    )
    assert all(plt.rcParams[name] >= 10 for name in names)


def test_a_missing_model_is_named_in_one_line():
    with pytest.raises(FileNotFoundError, match=r"^there is no trained model data/checkpoints/nowhere; .*$"):
        trained_model("nowhere")


def test_the_shipped_model_explores_its_own_kind_of_text():
    if not (CHECKPOINTS / "char-gpu-best").is_dir():
        pytest.skip("data/checkpoints/char-gpu-best is not here")
    trained = trained_model()
    explorer = explorer_for_model(trained.model, trained.tokenizer, "ROMEO:\nBut, soft!")
    config = json.loads((CHECKPOINTS / "char-gpu-best" / "config.json").read_text())["model"]
    assert explorer.state.weights.shape[:2] == (config["n_layer"], config["n_head"])
    assert explorer.state.entropy.min() < 0.5 * explorer.state.uniform_entropy  # it has learned to choose
