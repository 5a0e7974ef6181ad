"""The attention explorer without a browser: numbers, pictures, bad prompts, hostile tokens, a real model."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ipywidgets import Button
from PIL import Image

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import ByteTokenizer, CharTokenizer
from gptlib.widgets.attention_explorer import (
    MAX_TOKENS,
    AttentionExplorer,
    alt,
    coloured,
    compute,
    explorer_for_model,
    figure,
    matrix_page,
    page,
    render,
    shade,
    small_picture,
    weights_of_model,
)
from gptlib.widgets.shipped_model import trained_model

CHARACTERS = "\n !,:BEMORWabcdefghijklmnopqrstuvwxyz"
HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "</style><script>alert(2)</script>",
    "&lt;b&gt;",
    "\u202e",
    '"]}',
]


def causal_weights(T, n_layer=1, n_head=1):
    weights = np.tril(np.random.default_rng(0).random((n_layer, n_head, T, T)) + 0.01)
    return weights / weights.sum(-1, keepdims=True)


def tiny(vocab_size=37):
    return GPT(GPTConfig(vocab_size, 80, 3, 2, 16), torch.Generator().manual_seed(0)).eval()


def tiny_explorer(prompt="ROMEO:\nso"):
    return explorer_for_model(tiny(), CharTokenizer(CHARACTERS), prompt)


# --- compute


def test_uniform_attention_has_the_statistics_known_by_hand():
    state = compute("abcd", (np.tri(4) / np.tri(4).sum(-1, keepdims=True))[None, None])
    entropy = (0 + 1 + np.log2(3) + 2) / 4  # n equal weights have log2 n bits
    distance = (0 + 0.5 + 1 + 1.5) / 4
    assert state.entropy[0, 0] == pytest.approx(entropy) == pytest.approx(state.uniform_entropy)
    assert state.distance[0, 0] == pytest.approx(distance) == pytest.approx(state.uniform_distance)


def test_a_head_that_looks_at_the_token_before_has_no_entropy_and_distance_one():
    weights = np.eye(5, k=-1)
    weights[0, 0] = 1
    state = compute("abcde", weights[None, None])
    assert state.entropy[0, 0] == 0 and state.distance[0, 0] == pytest.approx(4 / 5)


def test_without_the_mask_uniform_is_over_the_whole_prompt():
    state = compute("abcd", np.full((1, 1, 4, 4), 0.25), causal=False)
    assert state.uniform_entropy == 2 and state.entropy[0, 0] == 2
    assert any("mask is off" in note for note in state.notes)


def test_shade_tells_masked_from_zero_and_marks_the_uniform_weight_as_half():
    weights = np.array([[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])[None, None]
    state = compute("abc", weights)
    brightness = shade(state)[0, 0]
    assert np.isnan(brightness[0, 1]) and brightness[1, 0] == 0
    assert brightness[2, 0] == pytest.approx(3**-0.5)
    against = shade(replace(state, against_uniform=True))[0, 0]
    assert against[2] == pytest.approx(0.5) and against[1, 0] == 0
    assert against[1, 1] == pytest.approx(0.5 + 1 / 6)


def test_long_prompts_are_cut_and_say_so():
    state = compute("a" * 100, causal_weights(100))
    assert len(state.tokens) == MAX_TOKENS == state.weights.shape[-1]
    assert any("100 tokens" in note and "first 64" in note for note in state.notes)
    np.testing.assert_allclose(state.weights.sum(-1), 1)


def test_a_leaking_mask_is_named_and_shown():
    state = compute("abc", np.full((1, 1, 3, 3), 1 / 3), causal=True)
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
        compute(tokens, weights)


# --- render and page


def test_the_picture_shows_the_weights_where_they_belong(pixels):
    weights = np.zeros((1, 1, 3, 3))
    weights[0, 0, [0, 1, 2], [0, 0, 2]] = 1
    canvas = pixels(render(compute("abc", weights)))
    yellow = canvas[..., 0] - canvas[..., 2] > 150  # much red, little blue: the bright end of cividis
    rows, columns = np.nonzero(yellow[:, :-78])  # without the colour bar
    cell, left, top = 36, columns.min(), rows.min()
    cells = {((r - top) // cell, (c - left) // cell) for r, c in zip(rows, columns, strict=True)}
    assert cells == {(0, 0), (1, 0), (2, 2)}  # row: query; column: key


def test_several_heads_have_tiles_and_fit_on_a_page(pixels):
    one = pixels(render(compute("abc", causal_weights(3))))
    many = render(compute("ROMEO: But, soft!", causal_weights(17, 6, 6)))
    assert len(many) < 60_000  # bytes: the notebook stores it
    assert one.shape[1] + 300 < pixels(many).shape[1] <= 1000
    assert pixels(render(compute("long " * 10, causal_weights(50, 6, 6)))).shape[1] <= 1000


def test_long_labels_are_cut(pixels):
    tokens = ["a very long token indeed", "", "\n", "\x07", "中", HOSTILE[0]]
    assert pixels(render(compute(tokens, causal_weights(6)))).shape[1] < 460


def rule_of_query(text, t):
    return re.search(rf"\.here:has\(\.q{t}:hover\)[^{{]*{{([^}}]*)}}", text).group(1)


def test_the_page_shades_the_keys_of_each_query():
    state = compute("abc", np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 0.1, 0.9]])[None, None])
    text = page(state, "here")
    assert rule_of_query(text, 1) == '--s0:0.50;--l0:"25%";--s1:0.87;--l1:"75%"'
    assert "script" not in text and "http" not in text
    ratios = rule_of_query(page(replace(state, against_uniform=True), "here"), 1)
    assert '--l0:"0.5×"' in ratios and '--l1:"1.5×"' in ratios


# --- the widget


def test_hostile_tokens_stay_text_wherever_they_are_shown():
    weights = causal_weights(len(HOSTILE))
    shown = AttentionExplorer(lambda text, causal: (HOSTILE, weights), "x").page.value
    assert "<img" not in shown and "<script" not in shown and shown.count("</style>") == 1
    assert "&lt;img␣src=x␣onerror=&quot;alert(1)&quot;&gt;" in shown
    assert "&amp;lt;b&amp;gt;" in shown and "\u202e" not in shown
    styles = re.search(r"<style>(.*)</style>", shown, re.DOTALL).group(1)
    assert "alert" not in styles  # tokens do not reach the style sheet


def test_bytes_that_are_no_character_are_shown():
    explorer = explorer_for_model(tiny(vocab_size=256), ByteTokenizer(), "<b>&</b>")
    assert explorer.error == "" and len(explorer.state.tokens) == 8
    explorer.prompt.value = "é\\n\x00"
    assert explorer.error == "" and len(explorer.state.tokens) == 4


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "the prompt is empty"), ("Zoë", "unknown character &#x27;Z&#x27;")]
)
def test_a_bad_first_prompt_gets_a_message_and_a_second_chance(prompt, message):
    explorer = tiny_explorer(prompt)
    assert message in explorer.message.value and explorer.state is None
    assert explorer.page.value == "" and explorer.matrix.value == ""
    for control in (explorer.mask, explorer.show):  # there is nothing to draw, and no traceback either
        control.value = not control.value
        control.value = not control.value
    explorer.prompt.value = "so"
    assert explorer.message.value == "" and explorer.matrix.value
    assert list(explorer.layer.options) == [0, 1, 2] and list(explorer.head.options) == [0, 1]


def test_a_bad_prompt_leaves_the_last_picture_which_still_follows_the_head():
    explorer = tiny_explorer("so")
    before = explorer.matrix.value
    explorer.prompt.value = "sö"
    assert "unknown character &#x27;ö&#x27; at position 1" in explorer.message.value
    assert explorer.state.tokens == ("s", "o") and explorer.matrix.value == before
    explorer.head.value = 1
    assert explorer.matrix.value != before and "unknown character" in explorer.message.value
    explorer.prompt.value = "be"
    assert explorer.error == "" and explorer.message.value == ""


def test_the_model_runs_for_each_key_but_not_for_another_head():
    calls = []

    def weights_of(text, causal):
        calls.append(text)
        return list(text), causal_weights(len(text), 2, 3)

    explorer = AttentionExplorer(weights_of, "K")
    assert explorer.prompt.continuous_update
    for text in ("KI", "KIN", "KING"):
        explorer.prompt.value = text
    assert calls == ["K", "KI", "KIN", "KING"] and explorer.state.tokens == tuple("KING")
    before = explorer.matrix.value
    explorer.layer.value = 1
    explorer.head.value = 2
    assert (explorer.state.layer, explorer.state.head) == (1, 2)
    assert "Layer 1, head 2" in explorer.page.value and explorer.matrix.value != before
    before = explorer.matrix.value
    explorer.show.value = True
    assert explorer.state.against_uniform and explorer.matrix.value != before and "×" in explorer.page.value
    assert len(calls) == 4


def test_a_callable_may_change_its_number_of_heads():
    def weights_of(text, causal):
        return list(text), causal_weights(len(text), n_layer=len(text), n_head=2)

    explorer = AttentionExplorer(weights_of, "abc")
    assert "layer 2, head 1" in tiles(explorer)
    explorer.layer.value = 2
    explorer.head.value = 1
    explorer.prompt.value = "ab"
    assert list(explorer.layer.options) == [0, 1] and explorer.error == ""
    assert list(tiles(explorer)) == [
        "layer 0, head 0",
        "layer 0, head 1",
        "layer 1, head 0",
        "layer 1, head 1",
    ]
    assert (explorer.state.layer, explorer.state.head) == (0, 1) and "Layer 0, head 1" in explorer.page.value
    explorer.prompt.value = "abcd"
    explorer.layer.value = 3
    assert explorer.state.layer == 3


def test_the_mask_can_be_taken_off_and_put_back():
    explorer = tiny_explorer()
    with_mask = explorer.state.weights
    assert np.triu(with_mask, 1).max() == 0
    explorer.mask.value = False
    assert explorer.state.weights[0, 0, 0, -1] > 0 and "mask is off" in explorer.message.value
    explorer.mask.value = True
    np.testing.assert_array_equal(explorer.state.weights, with_mask)
    assert explorer.message.value == ""


def tiles(explorer) -> dict:
    """The tiles by their names."""
    return {tile.description: tile for tile in explorer.tiles.children if isinstance(tile, Button)}


def test_a_click_on_a_tile_chooses_the_head():
    explorer = tiny_explorer()
    assert list(tiles(explorer)) == [f"layer {i}, head {j}" for i in range(3) for j in range(2)]
    drawn = []
    explorer.matrix.observe(lambda change: drawn.append(change.new), "value")
    tiles(explorer)["layer 2, head 1"].click()
    assert (
        (explorer.state.layer, explorer.state.head) == (2, 1) == (explorer.layer.value, explorer.head.value)
    )
    assert len(drawn) == 1 and "Layer 2, head 1" in drawn[0]  # once, though two controls have moved
    assert ".tile2-1{outline:4px solid" in explorer.page.value.replace(" {", "{")


def test_a_single_head_has_no_tiles():
    explorer = AttentionExplorer(lambda text, causal: (list(text), causal_weights(len(text))), "abc")
    assert explorer.tiles.layout.display == "none"
    assert explorer.stages.layout.display == "none"  # neither queries nor keys are known


def test_a_click_on_a_cell_shows_its_stages():
    explorer = tiny_explorer()
    shown = explorer.stages.page.value
    explorer.rows[5].index = 2  # as the page does
    assert (explorer.query.value, explorer.key.value) == (5, 2) == (explorer.state.query, explorer.state.key)
    assert explorer.stages.page.value != shown and "query 5 (:)" in explorer.stages.page.value
    assert "query 5 (:), key 2 (M): weight " in explorer.matrix.value
    explorer.key.value = 0  # by keyboard
    assert "key 0 (R)" in explorer.stages.page.value
    explorer.rows[5].index = 2  # the same cell a second time
    assert explorer.key.value == 2
    explorer.rows[2].index = 5
    assert "masked, because the key comes after the query" in explorer.matrix.value
    explorer.mask.value = False
    assert "times uniform" in explorer.matrix.value and "masked" not in explorer.matrix.value


def test_the_last_stages_are_the_weights_and_the_output_of_the_head():
    explorer = tiny_explorer()
    explorer.choose(1, 1)
    explorer.choose_cell(4, 3)
    *_, softmax, values = explorer.stages.state
    np.testing.assert_allclose(softmax.columns["weight"], explorer.state.weights[1, 1, 4], atol=1e-6)
    v = explorer.state.vectors[2][1, 1]
    np.testing.assert_allclose(values.columns["output"], explorer.state.weights[1, 1, 4] @ v, atol=1e-6)


def test_the_chosen_cell_follows_the_prompt():
    explorer = tiny_explorer("so be it")
    assert explorer.state.query == 7 and len(explorer.cells.children) == 8
    explorer.choose_cell(2, 1)
    explorer.prompt.value = "so be is"  # as long: the cell stays
    assert (explorer.state.query, explorer.state.key) == (2, 1)
    explorer.prompt.value = "so"
    assert explorer.state.query == 1 and explorer.query.max == 1 and len(explorer.cells.children) == 2
    explorer.prompt.value = ""
    explorer.prompt.value = "a"
    assert explorer.error == "" and (explorer.state.query, explorer.state.key) == (0, 0)


def test_the_buttons_of_the_cells_are_never_made_anew():
    """Their labels are their indices: with other labels ipywidgets 8 replaces all buttons at each change."""
    explorer = tiny_explorer()
    assert all(buttons._options_labels == tuple(map(str, range(MAX_TOKENS))) for buttons in explorer.rows)
    kept = list(explorer.rows)
    explorer.prompt.value = "so"
    explorer.prompt.value = "ROMEO:\nso be it"
    assert explorer.rows[: len(kept)] == kept


def test_vectors_that_do_not_make_the_weights_are_refused():
    q, k, v = np.random.default_rng(0).normal(size=(3, 1, 1, 4, 2))
    scores = np.where(np.tri(4) > 0, q @ k.swapaxes(-1, -2) / np.sqrt(2), -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert compute("abcd", weights, (q, k, v)).vectors[0].shape == (1, 1, 4, 2)
    with pytest.raises(ValueError, match="the weights are not those of the queries and keys"):
        compute("abcd", weights, (q * 1.5, k, v))  # not divided by the right root, say
    with pytest.raises(ValueError, match=r"q, k, v of shapes .*expected \[n_layer"):
        compute("abcd", weights, (q[..., :1], k, v))


def test_the_matrix_says_in_words_what_it_shows():
    weights = np.array([[1, 0, 0], [0.75, 0.25, 0], [0, 0.1, 0.9]])[None, None]
    words = alt(compute("abc", weights))
    assert words.endswith("Each looks most at: a at a, b at a, c at c") and words.startswith(
        "Layer 0, head 0"
    )
    shown = matrix_page(compute(['"', "<b>", "c"], weights))
    assert 'alt="' in shown and "<b>at" not in shown and "&lt;b&gt; at &quot;" in shown
    data, metadata = figure(compute("abc", weights))._repr_png_()
    assert (
        metadata["alt"] == words
        and metadata["width"] == Image.open(io.BytesIO(render(compute("abc", weights)))).width // 2
    )


def test_the_small_picture_has_a_pixel_for_each_weight():
    shades = np.array([[1.0, np.nan], [0.0, 0.5]])
    image = Image.open(io.BytesIO(small_picture(shades))).convert("RGBA")
    assert image.size == (2, 2) and image.getpixel((1, 0))[3] == 0
    assert image.getpixel((0, 0))[:3] == tuple(coloured(np.array(1.0)).tolist())


# --- a trained model


def test_the_weights_are_those_inside_the_model():
    model, tokenizer = tiny(), CharTokenizer(CHARACTERS)
    explorer = explorer_for_model(model, tokenizer, "ROMEO:")
    explorer.prompt.value = "so\\nbe it"
    assert explorer.state.tokens == tuple("so\nbe it") and "⏎" in explorer.page.value
    seen = []
    for block in model.h:
        block.attn.register_forward_pre_hook(lambda attn, inputs: seen.append(attn.weights(inputs[0])[0]))
    with torch.no_grad():
        model(torch.tensor([tokenizer.encode("so\nbe it")]))
    np.testing.assert_allclose(explorer.state.weights, torch.stack(seen).numpy(), atol=1e-6)


def test_the_model_keeps_its_mode():
    model = tiny().train()
    weights_of_model(model, CharTokenizer(CHARACTERS))("so", True)
    assert model.training


def test_a_prompt_beyond_the_context_is_cut():
    explorer = tiny_explorer()
    explorer.prompt.value = "abc" * 100
    assert len(explorer.state.tokens) == MAX_TOKENS
    assert "300 tokens" in explorer.message.value and "first 64" in explorer.message.value


def test_the_model_runs_in_one_thread_and_the_reader_gets_the_others_back():
    model, tokenizer, seen = tiny(), CharTokenizer(CHARACTERS), []
    model.h[0].register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        weights_of = weights_of_model(model, tokenizer)
        for _ in range(2):
            weights_of("so", True)
        assert seen == [1, 1] and torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="unknown character"):
            weights_of("ö", True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_shipped_models_heads_have_learned_to_choose():
    trained = trained_model()
    explorer = explorer_for_model(trained.model, trained.tokenizer, "ROMEO:\nBut, soft!")
    assert explorer.state.entropy.min() < 0.5 * explorer.state.uniform_entropy
