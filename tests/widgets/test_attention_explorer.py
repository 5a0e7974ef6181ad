"""The attention explorer where it breaks easily: the first prompt, a changing model, hostile text, the clock.

Runs with ipywidgets 7.7.1 (Colab) as well as with 8.x; the explorer's other tests are in test_widgets.py.
"""

import re
import time

import numpy as np
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import ByteTokenizer, CharTokenizer
from gptlib.widgets import CHECKPOINTS, trained_model
from gptlib.widgets.attention_explorer import AttentionExplorer, explorer_for_model, weights_of_model

CHARACTERS = "\n !,:BEMORWabcdefghijklmnopqrstuvwxyz"
HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "</style><script>alert(2)</script>",
    "&lt;b&gt;",
    "\u202e",
    '"]}',
]


def tiny(**sizes):
    config = GPTConfig(**{"vocab_size": len(CHARACTERS), "block_size": 80, **sizes})
    return GPT(config, torch.Generator().manual_seed(0)).eval()


def uniform(T, n_layer=1, n_head=1):
    weights = np.tri(T) / np.tri(T).sum(-1, keepdims=True)
    return np.broadcast_to(weights, (n_layer, n_head, T, T))


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "the prompt is empty"), ("Zoë", "unknown character &#x27;Z&#x27;")]
)
def test_a_bad_first_prompt_gets_a_message_and_a_second_chance(prompt, message):
    model = tiny(n_layer=3, n_head=2, n_embd=16)
    explorer = explorer_for_model(model, CharTokenizer(CHARACTERS), prompt, layer=2, head=1)
    assert message in explorer.message.value and "last prompt" not in explorer.message.value
    assert explorer.state is None and explorer.reading.value == "" and explorer.image.layout.display == "none"
    for control in (explorer.mask, explorer.show):  # nothing to draw yet, and no traceback either
        control.value = not control.value
        control.value = not control.value
    explorer.prompt.value = "so"
    assert explorer.message.value == "" and explorer.image.layout.display is None and explorer.image.value
    assert list(explorer.layer.options) == [0, 1, 2] and list(explorer.head.options) == [0, 1]
    assert (explorer.state.layer, explorer.state.head) == (2, 1)


def test_every_key_is_followed():
    calls = []

    def weights_of(text, causal):
        calls.append(text)
        return list(text), uniform(len(text))

    explorer = AttentionExplorer(weights_of, "K")
    assert explorer.prompt.continuous_update
    for text in ("KI", "KIN", "KING"):
        explorer.prompt.value = text
    assert calls == ["K", "KI", "KIN", "KING"] and explorer.state.tokens == tuple("KING")


def test_a_callable_may_change_its_number_of_heads():
    def weights_of(text, causal):
        return list(text), uniform(len(text), n_layer=len(text), n_head=2)

    explorer = AttentionExplorer(weights_of, "abc", layer=2, head=1)
    explorer.prompt.value = "ab"
    assert list(explorer.layer.options) == [0, 1] and explorer.state.layer == 0 and explorer.state.head == 1
    assert explorer.error == "" and "Layer 0, head 1" in explorer.reading.value
    explorer.prompt.value = "abcd"
    explorer.layer.value = 3
    assert explorer.state.layer == 3


def test_hostile_tokens_stay_text_wherever_they_are_shown():
    explorer = AttentionExplorer(lambda text, causal: (HOSTILE, uniform(len(HOSTILE))), "x")
    shown = explorer.reading.value
    assert "<img" not in shown and "<script" not in shown and shown.count("</style>") == 1
    assert "&amp;lt;b&amp;gt;" in shown and "\u202e" not in shown
    styles = re.search(r"<style>(.*)</style>", shown, re.DOTALL).group(1)
    assert "alert" not in styles  # tokens do not reach the style sheet at all

    def fails(text, causal):
        raise ValueError(HOSTILE[0])

    explorer = AttentionExplorer(fails, "x")
    assert "<img" not in explorer.message.value and "&lt;img" in explorer.message.value


def test_hostile_bytes_typed_by_the_reader_stay_text():
    model = tiny(vocab_size=256, n_layer=1, n_head=1, n_embd=8)
    explorer = explorer_for_model(model, ByteTokenizer(), "<b>&</b>")
    assert explorer.error == "" and len(explorer.state.tokens) == 8
    assert "<b>" not in explorer.reading.value and "&lt;" in explorer.reading.value
    explorer.prompt.value = "é\\n\x00"  # tokens that are no whole character, a line break, a zero byte
    assert explorer.error == "" and len(explorer.state.tokens) == 4


def test_the_model_runs_in_one_thread_and_the_reader_gets_the_others_back():
    model, tokenizer, seen = tiny(n_layer=1, n_head=1, n_embd=8), CharTokenizer(CHARACTERS), []
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


def milliseconds(action, repeats=7) -> float:
    """The shortest time of an action: what it costs when nothing else runs."""
    times = []
    for i in range(repeats):
        start = time.perf_counter()
        action(i)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def test_redraw_and_recompute_are_quick_for_the_longest_prompt():
    if not (CHECKPOINTS / "char-gpu-best").is_dir():
        pytest.skip("data/checkpoints/char-gpu-best is not here")
    trained = trained_model()
    text = "But, soft! what light through yonder window breaks? It is the eas"
    explorer = explorer_for_model(trained.model, trained.tokenizer, text)
    assert len(explorer.state.tokens) == 64 and explorer.state.weights.shape[:2] == (6, 6)
    assert milliseconds(lambda i: setattr(explorer.head, "value", (i + 1) % 6)) < 100
    assert milliseconds(lambda i: setattr(explorer.prompt, "value", "abcdefg"[i] + text[1:])) < 300
    assert milliseconds(lambda i: setattr(explorer.mask, "value", not explorer.mask.value)) < 300
    assert explorer.state.tokens[0] == "g"
