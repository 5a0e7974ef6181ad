"""The playground without a browser: its settings, text that grows, seeds, characters of several bytes."""

import numpy as np
import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import ByteTokenizer, CharTokenizer
from gptlib.widgets.playground import Playground, page, playground_for_model

HOSTILE = '<img src=x onerror="alert(1)">'
TOKENIZER = CharTokenizer.from_text("abcdefghijklmnop\n ")


def model(vocab_size=18):
    return GPT(GPTConfig(vocab_size, 40, 2, 2, 16), torch.Generator().manual_seed(0)).eval()


def test_the_settings_reach_the_callable_and_the_text_is_shown():
    calls = []

    def stream_text(*settings):
        calls.append(settings)
        yield from ("<b>", " and\n", HOSTILE)

    playground = Playground(stream_text, prompt="a\nb")
    playground.temperature.value = 0.5
    playground.top_k.value = 10
    playground.length.value = 60
    playground.seed.value = 7
    playground.button.click()
    playground.top_k.value = 0
    playground.button.click()
    assert calls == [("a\nb", 0.5, 10, 60, 7), ("a\nb", 0.5, None, 60, 7)] and playground.top_k.label == "all"
    assert playground.text == "<b> and\n" + HOSTILE
    assert playground.page.value == page("a\nb", playground.text) and "<img" not in playground.page.value
    assert playground.message.value == "" and not playground.button.disabled


def test_the_text_is_shown_while_it_is_written(monkeypatch):
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


def test_enter_in_the_prompt_writes():
    """The page reports each key, and then Enter: what is continued is the text that stands there."""
    calls = []
    playground = Playground(lambda *settings: calls.append(settings[0]) or iter("abc"))
    assert playground.prompt.continuous_update
    playground.prompt.value = "KING:"
    assert calls == []
    playground.prompt._handle_custom_msg({"event": "submit"}, [])
    assert calls == ["KING:"] and playground.text == "abc"
    playground.prompt._handle_custom_msg({"event": "other"}, [])
    assert len(calls) == 1


def test_a_seed_repeats_the_text():
    playground = playground_for_model(model(), TOKENIZER, prompt="ab")
    playground.length.value = 40
    playground.write()
    first = playground.text
    playground.write()
    assert len(first) == 40 and playground.text == first
    playground.seed.value = 2
    playground.write()
    assert playground.text != first


def test_temperature_0_is_top_1():
    playground = playground_for_model(model(), TOKENIZER, prompt="ab", temperature=0.0)
    playground.length.value = 20
    playground.write()
    likeliest = playground.text
    playground.temperature.value = 1.0
    playground.top_k.value = 1
    playground.seed.value = 2
    playground.write()
    assert playground.text == likeliest


def test_characters_of_several_bytes_are_completed():
    playground = playground_for_model(model(256), ByteTokenizer(), prompt="é")
    playground.length.value = 20
    playground.write()
    assert playground.message.value == "" and not playground.text.endswith("\ufffd")


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "prompt is empty"), ("aZ", "unknown character &#x27;Z&#x27; at position 1")]
)
def test_bad_prompts_are_explained(prompt, message):
    playground = playground_for_model(model(), TOKENIZER, prompt="ab")
    playground.write()
    playground.prompt.value = prompt
    playground.write()
    assert message in playground.message.value and playground.text == "" and not playground.button.disabled
    playground.prompt.value = "ab"
    playground.write()
    assert playground.message.value == "" and playground.text
