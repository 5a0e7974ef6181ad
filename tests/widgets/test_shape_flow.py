"""The picture of the shapes: for any configuration it shows what a real model does, and nothing else."""

import matplotlib.pyplot as plt
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.widgets.shape_flow import ASKED, draw, draw_answers, in_letters, trace

CONFIGS = [
    GPTConfig(65, 32, 3, 4, 48),
    GPTConfig(7, 9, 1, 1, 6, bias=False),
    GPTConfig(100, 16, 2, 5, 20, dropout=0.5),
]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (2, 9)])
def test_the_shapes_are_those_known_by_hand(config, B, T):
    C, H, V, L = config.n_embd, config.n_head, config.vocab_size, config.n_layer
    parts = {part.name: part for part in trace(GPT(config), B, T)}
    assert len(parts) == 3 + 12 * L + 2
    for name, returned in {
        "wte": (B, T, C),
        "wpe": (T, C),
        "embedded": (B, T, C),
        f"h.{L - 1}.attn.c_attn": (B, T, 3 * C),
        f"h.{L - 1}.attn.queries": (B, H, T, C // H),
        f"h.{L - 1}.attn.weights": (B, H, T, T),
        f"h.{L - 1}.attn.fetched": (B, H, T, C // H),
        f"h.{L - 1}.mlp.c_fc": (B, T, 4 * C),
        f"h.{L - 1}.mlp": (B, T, C),
        "ln_f": (B, T, C),
        "lm_head": (B, T, V),
    }.items():
        assert parts[name].returned == returned, name
    assert parts["h.0.mlp.c_proj"].given == (B, T, 4 * C) and parts["h.0.mlp.c_proj"].weight == (C, 4 * C)
    assert [name for name, part in parts.items() if part.adds][:2] == ["h.0.attn", "h.0.mlp"]


def test_letters_are_read_off_a_second_model():
    letters = {part.name: part for part in in_letters(GPT(CONFIGS[0]))}
    assert letters["h.0.attn.queries"].returned == ("B", "n_head", "T", "head_size")
    assert letters["h.0.attn.c_attn"].weight == ("3C", "C") and letters["wpe"].weight == ("block", "C")
    assert letters["h.0.mlp.c_fc"].returned == ("B", "T", "4C") and letters["lm_head"].returned[-1] == "vocab"


def test_the_model_stays_as_it_was():
    model = GPT(CONFIGS[2]).train()
    before = torch.get_rng_state()
    trace(model, 2, 5)
    assert model.training and torch.equal(before, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="T=17 exceeds block_size=16"):
        trace(model, 1, 17)
    assert model.training and not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    "broken",
    [
        lambda block, x, cache: block.ln_2(x + block.attn(x)) + block.mlp(block.ln_1(x)),
        lambda block, x, cache: block.mlp(block.ln_2(x + block.attn(block.ln_1(x)))),
        lambda block, x, cache: (y := block.attn(block.ln_1(x))) + block.mlp(block.ln_2(y)),
    ],
)
def test_a_block_that_adds_nothing_to_the_stream_is_refused(broken, monkeypatch):
    monkeypatch.setattr("gptlib.block.Block.forward", broken)
    with pytest.raises(ValueError, match="h.0 does not add its parts to the stream"):
        draw(GPT(CONFIGS[0]), 2, 5)


def test_blocks_that_differ_are_refused():
    model, wide = GPT(CONFIGS[0]), GPT(GPTConfig(65, 32, 1, 6, 48))
    model.h[1] = wide.h[0]
    with pytest.raises(ValueError, match="block 1 has other shapes than block 0"):
        trace(model, 1, 5)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_picture_shows_every_part_of_the_first_block(config):
    model = GPT(config)
    found = texts(draw(model, 2, 9))
    for part in trace(model, 2, 9)[:14]:
        assert str(list(part.returned)) in found, part.name
    assert {"idx [2, 9]", "mlp.c_proj", "ln_f", "[vocab, C] = wte"} <= set(found)
    assert ("block, once" if config.n_layer == 1 else f"block, {config.n_layer} times") in found


def test_an_untied_table_is_not_called_tied():
    model = GPT(CONFIGS[0])
    model.lm_head.weight = torch.nn.Parameter(model.wte.weight.detach().clone())
    assert not [text for text in texts(draw(model, 1, 3)) if "= wte" in text]


def test_blanks_give_nothing_away_and_answers_are_judged():
    model = GPT(CONFIGS[0])
    blank = texts(draw(model, 2, 10, dict.fromkeys(ASKED)))
    assert blank.count("?") == 5 and "[2, 4, 10, 12]" not in blank and "[B, T, 3C]" not in blank
    answered = texts(draw(model, 2, 10, {"queries": [2, 10, 4, 12], "weights": (2, 4, 10, 10)}))
    assert "← queries: not yet" in answered and "[B, n_head, T, T]  right" in answered
    assert "?" not in answered
    with pytest.raises(ValueError, match="'keys' is none of embedded, queries"):
        draw(model, 2, 10, {"keys": None})


def test_an_attempt_is_shown_as_far_as_it_goes():
    def attempt(config, B, T):
        return {"logits": (B, T, config.vocab_size), "queries": (B, T, 48), "weights": 5, "keys": (1,)}

    found = texts(draw_answers(GPT(CONFIGS[0]), attempt, 2, 10))
    assert "[B, T, vocab]  right" in found and "← queries: not yet" in found and found.count("?") == 3

    def unwritten(config, B, T):
        raise NotImplementedError

    assert draw_answers(GPT(CONFIGS[0]), unwritten, 2, 10) is None
    assert draw_answers(GPT(CONFIGS[0]), lambda config, B, T: (B, T), 2, 10) is None
    assert draw_answers(GPT(CONFIGS[0]), lambda config: {}, 2, 10) is None


def test_texts_do_not_overlap_nor_leave_the_picture():
    figure = draw(GPT(GPTConfig(50257, 1024, 2, 12, 768)), 8, 1024 // 8, None)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
        assert not any(box.overlaps(other) for other in boxes[i + 1 :]), figure.axes[0].texts[i]
