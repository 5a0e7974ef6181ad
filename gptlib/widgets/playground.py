"""The playground: a model continues the reader's prompt, and its text appears while it is generated."""

import time
from collections.abc import Callable, Iterator

import ipywidgets as widgets
import torch

from gptlib.widgets.kit.controls import (
    row,
    seed_field,
    temperature_slider,
    text_field,
    top_k_choice,
    whole_slider,
)
from gptlib.widgets.kit.page import written
from gptlib.widgets.kit.text import complaint, untyped
from gptlib.widgets.kit.widget import BookWidget

SECONDS_BETWEEN_UPDATES = 0.1  # each update sends the whole text to the browser

# (prompt, temperature, top_k or None, length, seed) -> the continuation, piece by piece
StreamText = Callable[[str, float, int | None, int, int], Iterator[str]]


def page(prompt: str, continuation: str) -> str:
    """HTML: the prompt in bold and its continuation; the minimum height keeps the page from jumping."""
    return written(prompt, continuation, "min-height:8em")


class Playground(BookWidget):
    """The widget. `stream_text` yields the continuation of a prompt in pieces.

    Controls: `prompt`, `temperature`, `top_k`, `length`, `seed`, `button`; `write()` has the effect of a
    click, and of Enter in the prompt. `text` is the continuation.
    """

    def __init__(self, stream_text: StreamText, prompt: str = "ROMEO:", temperature: float = 0.8):
        self.stream_text = stream_text
        self.text = ""
        # Enter arrives before the new text would, unless each key reports it
        self.prompt = text_field(prompt, "prompt", every_key=True)
        self.temperature = temperature_slider(temperature)
        self.top_k = top_k_choice()
        self.length = whole_slider(200, 20, 240, "length", step=20)
        self.seed = seed_field()
        self.button = widgets.Button(description="Write", button_style="primary")
        self.page = widgets.HTML(page(prompt, ""))
        settings = [row(self.temperature, self.top_k), row(self.length, self.seed)]
        super().__init__([self.prompt, *settings, self.button], [self.page])
        self.button.on_click(self.write)
        self.prompt.on_msg(self.receive)  # `on_submit` is deprecated in ipywidgets 8

    def receive(self, field, content: dict, buffers) -> None:
        """Write when the page says that Enter was pressed in the prompt."""
        if content.get("event") == "submit":
            self.write()

    def write(self, button=None) -> None:
        """Continue the prompt; the button is disabled meanwhile, and an error becomes the message."""
        self.button.disabled = True
        self.text = self.error = ""
        self.redraw()
        prompt = untyped(self.prompt.value)
        try:
            if not prompt:
                raise ValueError("the prompt is empty: give the model at least one character to go on from")
            updated = time.monotonic()
            for piece in self.stream_text(
                prompt, self.temperature.value, self.top_k.value or None, self.length.value, self.seed.value
            ):
                self.text += piece
                if time.monotonic() - updated > SECONDS_BETWEEN_UPDATES:
                    self.page.value = page(prompt, self.text)
                    updated = time.monotonic()
        except Exception as error:  # a model may raise anything: the reader gets a line, no traceback
            self.error = complaint(error)
        finally:  # after an interrupt too
            self.page.value = page(prompt, self.text)
            self.button.disabled = False
            self.redraw()


def stream_from_model(model, tokenizer) -> StreamText:
    """The callable for a trained GPT: the same seed gives the same text."""
    from gptlib.generation import (
        stream,
    )  # not at the top: chapter 12 imports this file and builds gptlib.generation

    def stream_text(
        prompt: str, temperature: float, top_k: int | None, length: int, seed: int
    ) -> Iterator[str]:
        ids, shown = tokenizer.encode(prompt), prompt
        idx = torch.tensor([ids], device=model.wte.weight.device)
        generator = torch.Generator(idx.device).manual_seed(seed)
        for new in stream(model, idx, length, temperature=temperature, top_k=top_k, generator=generator):
            ids.append(new.item())
            text = tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # else a character of several tokens is incomplete
                yield text[len(shown) :]
                shown = text

    return stream_text


def playground_for_model(model, tokenizer, prompt: str = "ROMEO:", temperature: float = 0.8) -> Playground:
    """The playground of a trained GPT."""
    return Playground(stream_from_model(model, tokenizer), prompt, temperature)
