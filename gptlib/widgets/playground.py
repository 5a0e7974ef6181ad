"""The playground: a prompt, four numbers and a button, and a model writes on, as fast as it draws."""

import html
import time
from collections.abc import Callable, Iterator

import ipywidgets as widgets
import torch

from gptlib.widgets.kit.text import complaint, message_html, typed, untyped

SECONDS_BETWEEN_UPDATES = 0.1  # often enough to see it write; each update sends the whole text to the browser

# (prompt, temperature, top_k or None, length, seed) -> the continuation, piece by piece
StreamText = Callable[[str, float, int | None, int, int], Iterator[str]]


def page(prompt: str, continuation: str) -> str:
    """HTML: the prompt in bold and what was written after it, both escaped, black on white."""
    style = (
        "background:#fff;color:#000;border:1px solid #999;padding:8px 12px;min-height:8em;max-width:46em;"
        "white-space:pre-wrap;overflow-wrap:anywhere;font:15px Menlo,Consolas,'DejaVu Sans Mono',monospace"
    )
    return f'<div style="{style}"><b>{html.escape(prompt)}</b>{html.escape(continuation)}</div>'


class Playground(widgets.VBox):
    """The widget. `stream_text` continues a prompt and yields the continuation in pieces.

    The controls are attributes (`prompt`, `temperature`, `top_k`, `length`, `seed`, `button`); `write()` does
    what a click does. Afterwards `text` is the continuation, and `message` what went wrong, if anything did.
    """

    def __init__(self, stream_text: StreamText, prompt: str = "ROMEO:", temperature: float = 0.8):
        self.stream_text, self.text = stream_text, ""
        wide, number = widgets.Layout(width="98%"), {"description_width": "90px"}
        self.prompt = widgets.Text(typed(prompt), description="prompt", style=number, layout=wide)
        self.temperature = widgets.FloatSlider(
            temperature, min=0, max=2, step=0.1, readout_format=".1f", description="temperature", style=number
        )
        # 0 stands for None, which a Dropdown takes to mean that nothing is chosen
        choices = [("all", 0), *((str(k), k) for k in (1, 2, 3, 5, 10, 20, 40))]
        self.top_k = widgets.Dropdown(options=choices, value=0, description="top-k", style=number)
        self.length = widgets.IntSlider(200, 20, 240, step=20, description="length", style=number)
        self.seed = widgets.BoundedIntText(1, 0, 2**31 - 1, description="seed", style=number)
        self.button = widgets.Button(description="Write", button_style="primary")
        self.message, self.page = widgets.HTML(), widgets.HTML(page(prompt, ""))
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [
                self.prompt,
                widgets.HBox([self.temperature, self.top_k], layout=row),
                widgets.HBox([self.length, self.seed], layout=row),
                self.button,
                self.message,
                self.page,
            ]
        )
        self.button.on_click(self.write)

    def __repr__(self) -> str:
        return "Playground: run this notebook to use it"

    def write(self, button=None) -> None:
        """Continue the prompt; the button rests meanwhile, and an error becomes a message below it."""
        prompt = untyped(self.prompt.value)
        self.button.disabled, self.text, self.message.value = True, "", ""
        try:
            if not prompt:
                raise ValueError("the prompt is empty: give the model at least one character to go on from")
            shown = time.monotonic()
            for piece in self.stream_text(
                prompt, self.temperature.value, self.top_k.value or None, self.length.value, self.seed.value
            ):
                self.text += piece
                if time.monotonic() - shown > SECONDS_BETWEEN_UPDATES:
                    self.page.value, shown = page(prompt, self.text), time.monotonic()
        except Exception as error:  # whatever the callable raises, the reader gets a line and not a traceback
            self.message.value = message_html(complaint(error))
        finally:
            self.page.value, self.button.disabled = page(prompt, self.text), False


def stream_from_model(model, tokenizer) -> StreamText:
    """The callable for a trained GPT: the same seed writes the same text."""
    from gptlib.generation import stream  # the playground itself needs no model

    def stream_text(
        prompt: str, temperature: float, top_k: int | None, length: int, seed: int
    ) -> Iterator[str]:
        ids, shown = tokenizer.encode(prompt), prompt
        idx = torch.tensor([ids], device=model.wte.weight.device)
        generator = torch.Generator(idx.device).manual_seed(seed)
        for new in stream(model, idx, length, temperature=temperature, top_k=top_k, generator=generator):
            ids.append(new.item())
            text = tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # a character that takes several tokens is not complete yet
                yield text[len(shown) :]
                shown = text

    return stream_text


def playground_for_model(model, tokenizer, prompt: str = "ROMEO:", temperature: float = 0.8) -> Playground:
    """The playground of a trained GPT."""
    return Playground(stream_from_model(model, tokenizer), prompt, temperature)
