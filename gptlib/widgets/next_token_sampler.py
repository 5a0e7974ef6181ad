"""The next-token sampler: what the model thinks of the next token, what the filters leave of it, and a draw.

Three layers: `compute` (logits and settings in, a frozen state out), `row` and `render` (a state in, HTML and PNG
bytes out), and the widget, which carries values between the controls and these. The model is asked once for each
text; turning a knob only filters the logits that are there.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import torch
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.pen import BLACK, BLUE, GREY, ORANGE, PALE, Pen
from gptlib.widgets.kit.text import complaint, message_html, typed, untyped, visible

SHOWN = 12  # rows

LogitsOf = Callable[[list[int]], torch.Tensor]  # the ids so far -> logits for the next token, [vocab]


@dataclass(frozen=True, eq=False)
class SamplerState:
    """What the sampler shows: the likeliest tokens, before and after the filters."""

    text: str
    tokens: tuple[int, ...]  # ids, the likeliest first
    labels: tuple[str, ...]
    raw: tuple[float, ...]  # probabilities as the model gives them
    filtered: tuple[float, ...]  # after temperature, top-k and top-p
    others: int  # how many tokens are not shown, and their shares
    raw_others: float
    filtered_others: float
    possible: int  # how many tokens can still be drawn
    drawn: int | None = None  # the id of the drawn token


def probabilities(
    logits: torch.Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> torch.Tensor:
    """The distribution that a token is drawn from, [vocab]; at temperature 0 all of it is the likeliest token's."""
    from gptlib.generation import check_settings, filter_logits  # the other widgets need no chapter

    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).float()
    return filter_logits(logits[None].float(), float(temperature), top_k, top_p).softmax(dim=-1)[0]


def compute(
    text: str,
    labels: Sequence[str],
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    shown: int = SHOWN,
) -> SamplerState:
    """The state for these logits [vocab], with a label for each token. ValueError for settings without sense."""
    if logits.shape != (len(labels),) or len(labels) == 0:
        raise ValueError(f"logits of shape {list(logits.shape)} for {len(labels)} labels")
    if not torch.isfinite(logits).all():
        raise ValueError("the model's logits must be finite")
    filtered = probabilities(logits, temperature, top_k, top_p)
    raw = logits.float().softmax(dim=-1)
    order = raw.argsort(descending=True, stable=True)
    first, rest = order[:shown], order[shown:]
    return SamplerState(
        text=text,
        tokens=tuple(first.tolist()),
        labels=tuple(labels[i] for i in first.tolist()),
        raw=tuple(raw[first].tolist()),
        filtered=tuple(filtered[first].tolist()),
        others=len(rest),
        raw_others=raw[rest].sum().item(),
        filtered_others=filtered[rest].sum().item(),
        possible=int((filtered > 0).sum()),
    )


def percent(p: float) -> str:
    """One decimal; what is more than 0 never reads as 0."""
    return "0 %" if p == 0 else "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def summary(state: SamplerState) -> str:
    """What the filters leave, in one line."""
    total = len(state.tokens) + state.others
    words = f"{state.possible} of {total} tokens can come"
    if state.others:
        words += f"; the {state.others} not shown have {percent(state.raw_others)} before the filters, "
        words += f"{percent(state.filtered_others)} after"
    return words


def row(state: SamplerState, i: int) -> str:
    """HTML: the two bars of the token in row i, and a mark if it was drawn."""
    bars = ""
    for p, colour in ((state.raw[i], "#888"), (state.filtered[i], "#0072B2")):
        bars += (
            '<span style="display:inline-block;width:150px;height:14px;border:1px solid #bbb;vertical-align:middle">'
            f'<span style="display:block;width:{100 * p:.2f}%;height:14px;background:{colour}"></span></span>'
            f'<span style="display:inline-block;width:76px;padding-left:6px">{html.escape(percent(p))}</span>'
        )
    mark = (
        "<b>◀ drawn</b>" if state.tokens[i] == state.drawn else "✕ cut off" if state.filtered[i] == 0 else ""
    )
    style = "background:#fff;color:#000;font-size:14px;line-height:26px;padding-left:6px;white-space:nowrap"
    return f'<div style="{style}">{bars}{mark}</div>'


def page(prompt: str, continuation: str) -> str:
    """HTML: the prompt in bold and what was chosen after it, escaped, black on white."""
    style = (
        "background:#fff;color:#000;border:1px solid #999;padding:6px 10px;max-width:46em;white-space:pre-wrap;"
        "overflow-wrap:anywhere;font:15px/1.4 Menlo,Consolas,'DejaVu Sans Mono',monospace"
    )
    return f'<div style="{style}"><b>{html.escape(prompt)}</b>{html.escape(continuation)}<span>▏</span></div>'


def render(state: SamplerState) -> bytes:
    """PNG: for each token its raw and its filtered probability as bars, side by side; the drawn one framed."""
    height, top, wide = 26, 66, 240
    columns = {"raw": (90, state.raw, GREY), "after the filters": (430, state.filtered, BLUE)}
    pen = Pen((780, top + height * len(state.tokens) + 32))
    after = typed(state.text)[-60:]
    pen.text(8, 18, f"after …{after}" if len(typed(state.text)) > 60 else f"after {after}", 14)
    for title, (left, _, _) in columns.items():
        pen.text(left, top - 14, title, 13)
    for i, label in enumerate(state.labels):
        y = top + height * i + height / 2
        pen.text(70, y, visible(label)[:6], 15, "rm")
        for left, values, colour in columns.values():
            pen.fill((left, y - 8, left + wide * values[i], y + 8), colour)
            pen.box((left, y - 8, left + wide, y + 8), PALE)
            pen.text(left + wide + 8, y, percent(values[i]), 13, colour=BLACK if values[i] else GREY)
        if state.tokens[i] == state.drawn:
            pen.box((4, y - 12, 774, y + 12), ORANGE, 2)
    pen.text(8, top + height * len(state.tokens) + 16, summary(state), 13)
    return pen.png()


def figure(state: SamplerState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(sampler.state))`."""
    return StaticImage(render(state))


class NextTokenSampler(widgets.VBox):
    """The widget. "Draw" marks a token, a second click on the same button appends it and asks the model again.

    A click on a token's own button appends that token, whatever the dice say. The controls are attributes
    (`prompt`, `temperature`, `top_k`, `top_p`, `seed`, `button`, `back`, `choices`); `press()`, `take(i)` and
    `undo()` do what the clicks do. `state` is what is shown, `ids` the text so far, `error` what went wrong, or "".
    """

    def __init__(self, logits_of: LogitsOf, tokenizer, prompt: str, temperature: float = 1.0):
        self.logits_of, self.tokenizer, self.error = logits_of, tokenizer, ""
        self.seen: dict[tuple[int, ...], torch.Tensor] = {}  # a text's logits, asked for once
        self.labels: list[str] = []
        wide, style = widgets.Layout(width="98%"), {"description_width": "90px"}
        self.prompt = widgets.Text(
            typed(prompt), description="prompt", continuous_update=False, style=style, layout=wide
        )
        self.temperature = widgets.FloatSlider(
            temperature, min=0, max=2, step=0.1, readout_format=".1f", description="temperature", style=style
        )
        # 0 stands for None, which a Dropdown takes to mean that nothing is chosen
        choices = [("all", 0), *((str(k), k) for k in (1, 2, 3, 5, 10, 20))]
        self.top_k = widgets.Dropdown(options=choices, value=0, description="top-k", style=style)
        self.top_p = widgets.FloatSlider(
            1, min=0.05, max=1, step=0.05, readout_format=".2f", description="top-p", style=style
        )
        self.seed = widgets.BoundedIntText(1, 0, 2**31 - 1, description="seed", style=style)
        self.button = widgets.Button(description="Draw", button_style="primary")
        self.back = widgets.Button(description="One back")
        self.message, self.page, self.note = widgets.HTML(), widgets.HTML(), widgets.HTML()
        narrow = widgets.Layout(width="72px", height="26px", margin="0")
        self.choices = [widgets.Button(layout=narrow) for _ in range(SHOWN)]
        self.bars = [widgets.HTML(layout=widgets.Layout(margin="0")) for _ in range(SHOWN)]
        rows = [widgets.HBox(list(pair)) for pair in zip(self.choices, self.bars, strict=True)]
        line = widgets.Layout(flex_flow="row wrap")
        title = '<div style="background:#fff;color:#000;font-size:14px;padding-left:80px">'
        title += '<span style="display:inline-block;width:234px">raw</span>after the filters</div>'
        super().__init__(
            [
                self.prompt,
                widgets.HBox([self.temperature, self.seed], layout=line),
                widgets.HBox([self.top_k, self.top_p], layout=line),
                widgets.HBox([self.button, self.back], layout=line),
                self.message,
                self.page,
                widgets.HTML(title),
                *rows,
                self.note,
            ]
        )
        self.start()
        self.prompt.observe(self.start, "value")
        for control in (self.temperature, self.top_k, self.top_p, self.seed):
            control.observe(self.recompute, "value")
        self.button.on_click(self.press)
        self.back.on_click(self.undo)
        for i, choice in enumerate(self.choices):
            choice.on_click(lambda button, i=i: self.take(i))

    def __repr__(self) -> str:
        return "NextTokenSampler: run this notebook to use it"

    @property
    def text(self) -> str:
        """What was written after the prompt."""
        return self.tokenizer.decode(self.ids[self.prompt_length :])

    def start(self, change=None) -> None:
        """Begin again with the prompt; one that cannot be used leaves a message and the last text."""
        prompt = untyped(self.prompt.value)
        try:
            if not prompt:
                raise ValueError("the prompt is empty: give the model at least one character to go on from")
            ids = self.tokenizer.encode(prompt)
            self.go_to(ids)
        except Exception as error:  # whatever the callables raise, the reader gets a line and not a traceback
            self.complain(error)
            return
        self.prompt_length = len(ids)
        self.redraw()

    def go_to(self, ids: list[int]) -> None:
        """Make these ids the text, with logits from the model or from memory."""
        key = tuple(ids)
        if key not in self.seen:
            self.seen[key] = self.logits_of(list(ids)).detach().float().cpu()
        logits = self.seen[key]
        if len(self.labels) != len(logits):
            self.labels = [self.tokenizer.decode([i]) for i in range(len(logits))]
        self.state = compute(self.tokenizer.decode(ids), self.labels, logits, **self.settings())
        self.ids, self.used = list(ids), (self.settings(), self.seed.value)

    def settings(self) -> dict:
        """What the controls say, as `compute` takes it. Rounded: the page sends back 0.9 as 0.90000001."""
        temperature, top_p = round(self.temperature.value, 6), round(self.top_p.value, 6)
        return {
            "temperature": temperature,
            "top_k": self.top_k.value or None,
            "top_p": None if top_p == 1 else top_p,
        }

    def recompute(self, change=None) -> None:
        """Filter the same logits with the new settings; a token drawn before is forgotten."""
        if self.used != (self.settings(), self.seed.value):
            self.attempt(self.ids)

    def attempt(self, ids: list[int]) -> None:
        """Go to these ids and draw the page; an error leaves a message."""
        try:
            self.go_to(ids)
        except Exception as error:  # as above
            self.complain(error)
            return
        self.redraw()

    def press(self, button=None) -> None:
        """Draw a token; pressed again, append it and show what may follow."""
        if self.state.drawn is not None:
            self.attempt([*self.ids, self.state.drawn])
            return
        # dice of their own for each position, so that one step back and forth is the same token
        dice = torch.Generator().manual_seed(self.seed.value * 2**20 + len(self.ids))
        p = probabilities(self.seen[tuple(self.ids)], **self.settings())
        self.state = replace(self.state, drawn=torch.multinomial(p, 1, generator=dice).item())
        self.redraw()

    def take(self, i: int) -> None:
        """Append the token in row i."""
        if i < len(self.state.tokens):
            self.attempt([*self.ids, self.state.tokens[i]])

    def undo(self, button=None) -> None:
        """Forget a drawn token, or else take the last token back."""
        if self.state.drawn is not None:
            self.state = replace(self.state, drawn=None)
            self.redraw()
        elif len(self.ids) > self.prompt_length:
            self.attempt(self.ids[:-1])

    def complain(self, error: Exception) -> None:
        """Show what went wrong."""
        self.error = complaint(error)
        self.message.value = message_html(self.error)

    def redraw(self) -> None:
        """Show the state."""
        self.error = self.message.value = ""
        drawn = self.state.drawn
        self.button.description = "Draw" if drawn is None else f"Continue with {visible(self.labels[drawn])}"
        self.back.disabled = drawn is None and len(self.ids) == self.prompt_length
        prompt = self.tokenizer.decode(self.ids[: self.prompt_length])
        self.page.value = page(prompt, self.text)
        for i, (choice, bars) in enumerate(zip(self.choices, self.bars, strict=True)):
            there = i < len(self.state.tokens)
            choice.disabled = not there
            choice.description = visible(self.state.labels[i])[:6] if there else ""
            bars.value = row(self.state, i) if there else ""
        note = summary(self.state)
        if drawn is not None and drawn not in self.state.tokens:
            note = f"drawn: {visible(self.labels[drawn])}, which is not among those shown; {note}"
        self.note.value = f'<div style="background:#fff;color:#000;font-size:14px;padding:4px 6px">{html.escape(note)}</div>'


def logits_from_model(model) -> LogitsOf:
    """The callable for a trained GPT in eval mode: keys and values of what two texts share are kept.

    Texts longer than block_size are cut on the left and computed as a whole, since every kept key is stale then.
    """
    from gptlib.generation import KVCache  # the other widgets need no chapter

    config = model.config
    kept: list[int] = []
    cache = KVCache(config.n_layer, config.block_size)

    @torch.no_grad()
    def logits_of(ids: list[int]) -> torch.Tensor:
        nonlocal kept
        device = model.wte.weight.device
        if len(ids) > config.block_size:
            return model(torch.tensor([ids[-config.block_size :]], device=device))[0, -1]
        shared = 0
        while shared < min(len(kept), len(ids) - 1) and kept[shared] == ids[shared]:
            shared += 1
        for layer in cache.layers:
            layer.length = shared  # what lies beyond is written over
        kept = []  # until the model has answered
        logits = model(torch.tensor([ids[shared:]], device=device), cache)[0, -1]
        kept = list(ids)
        return logits

    return logits_of


def sampler_for_model(
    model, tokenizer, prompt: str = "ROMEO:\n", temperature: float = 1.0
) -> NextTokenSampler:
    """The sampler of a trained GPT."""
    return NextTokenSampler(logits_from_model(model), tokenizer, prompt, temperature)
