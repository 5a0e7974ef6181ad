"""The next-token sampler: a model's probabilities before and after the filters, and a draw from them.

Three layers: `compute` (logits and settings in, a frozen state out), `bars` and `render` (a state in, HTML
and PNG bytes out), and the widget, which carries values between its controls and these functions. The model
runs once for each text; a new setting only filters the same logits.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import torch
from IPython.display import Image as StaticImage

from gptlib.widgets.kit.controls import row, seed_field, slider, temperature_slider, text_field, top_k_choice
from gptlib.widgets.kit.page import LINE, box, written
from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, GREY, LIGHT_GREY, VERMILLION
from gptlib.widgets.kit.pen import Pen
from gptlib.widgets.kit.picture import static_picture
from gptlib.widgets.kit.text import typed, untyped, visible
from gptlib.widgets.kit.widget import BookWidget

SHOWN = 12  # tokens, the most probable ones

LogitsOf = Callable[[list[int]], torch.Tensor]  # the ids so far -> logits of the next token, [vocab]


# --- compute


@dataclass(frozen=True, eq=False)
class SamplerState:
    """What the sampler shows: the most probable tokens, with probabilities before and after the filters."""

    text: str
    tokens: tuple[int, ...]  # ids, the most probable first
    labels: tuple[str, ...]
    raw: tuple[float, ...]  # the model's probabilities
    filtered: tuple[float, ...]  # after temperature, top-k and top-p
    others: int  # the number of tokens that are not shown
    raw_others: float  # their probability before the filters
    filtered_others: float  # and after
    possible: int  # the number of tokens that can still be drawn
    drawn: int | None = None  # the id of the drawn token


def probabilities(
    logits: torch.Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> torch.Tensor:
    """The distribution that the next token is drawn from, [vocab]; one-hot at temperature 0."""
    # not at the top: chapter 12 imports this file and builds gptlib.generation
    from gptlib.generation import check_settings, filter_logits

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
) -> SamplerState:
    """The state for these logits [vocab], with a label for each token.

    ValueError for a missing label, logits that are not finite, and settings outside their range.
    """
    if logits.shape != (len(labels),) or len(labels) == 0:
        raise ValueError(f"logits of shape {list(logits.shape)} for {len(labels)} labels")
    if not torch.isfinite(logits).all():
        raise ValueError("the model's logits must be finite")
    filtered = probabilities(logits, temperature, top_k, top_p)
    raw = logits.float().softmax(dim=-1)
    order = raw.argsort(descending=True, stable=True)
    first, rest = order[:SHOWN], order[SHOWN:]
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


# --- bars and render


def percent(p: float) -> str:
    """One decimal; a small p above 0 is "< 0.1 %", not "0.0 %"."""
    if p == 0:
        return "0 %"
    return "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def summary(state: SamplerState) -> str:
    """How many tokens the filters leave, in one line."""
    total = len(state.tokens) + state.others
    words = f"{state.possible} of {total} tokens can come"
    if state.others:
        words += f"; the {state.others} not shown have {percent(state.raw_others)} before the filters, "
        words += f"{percent(state.filtered_others)} after"
    return words


ROW = "width:570px;box-sizing:border-box"  # each the same, else the bars' white boxes end raggedly


def bars(state: SamplerState, i: int) -> str:
    """HTML: the two bars of the token in row i, and whether it was drawn or cut off."""
    spans = ""
    for p, colour in ((state.raw[i], GREY), (state.filtered[i], BLUE)):
        spans += (
            f'<span style="display:inline-block;width:150px;height:14px;border:1px solid {LIGHT_GREY};'
            'vertical-align:middle">'
            f'<span style="display:block;width:{100 * p:.2f}%;height:14px;background:{colour}"></span></span>'
            f'<span style="display:inline-block;width:76px;padding-left:6px">{html.escape(percent(p))}</span>'
        )
    mark = ""
    if state.tokens[i] == state.drawn:
        mark = "<b>◀ drawn</b>"
    elif state.filtered[i] == 0:
        mark = "✕ cut off"
    return box(spans + mark, f"line-height:26px;padding:0 0 0 6px;white-space:nowrap;{ROW}")


TITLE = box(
    '<span style="display:inline-block;width:234px">raw</span>after the filters',
    f"padding:0 0 0 6px;{ROW}",
)
HEIGHT, TOP, WIDTH = 26, 66, 780  # pixels: a row's height, the first row's place, the picture's width
RAW, FILTERED, BAR_WIDTH = 90, 430, 240
LONGEST_TEXT = 60  # characters


def render(state: SamplerState) -> bytes:
    """PNG: the raw and the filtered probability of each token as bars; the drawn token's row has a frame."""
    bottom = TOP + HEIGHT * len(state.tokens)
    pen = Pen((WIDTH, bottom + 32))
    text = typed(state.text)
    pen.text(8, 18, f"after …{text[-LONGEST_TEXT:]}" if len(text) > LONGEST_TEXT else f"after {text}", 14)
    pen.text(RAW, TOP - 14, "raw", 13)
    pen.text(FILTERED, TOP - 14, "after the filters", 13)
    for i, label in enumerate(state.labels):
        y = TOP + HEIGHT * i + HEIGHT / 2
        pen.text(70, y, visible(label)[:6], 15, "rm")
        for left, p, colour in ((RAW, state.raw[i], DARK_GREY), (FILTERED, state.filtered[i], BLUE)):
            pen.fill((left, y - 8, left + BAR_WIDTH * p, y + 8), colour)
            pen.box((left, y - 8, left + BAR_WIDTH, y + 8), LIGHT_GREY)
            pen.text(left + BAR_WIDTH + 8, y, percent(p), 13, colour=BLACK if p else DARK_GREY)
        if state.tokens[i] == state.drawn:
            pen.box((4, y - 12, WIDTH - 6, y + 12), VERMILLION, 2)
    pen.text(8, bottom + 16, summary(state), 13)
    return pen.png()


def alt(state: SamplerState) -> str:
    """What the picture shows, in words."""
    rows = zip(state.labels, state.raw, state.filtered, strict=True)
    parts = [f"{visible(label)}: {percent(raw)}, then {percent(p)}" for label, raw, p in rows]
    return f"Probabilities before and after the filters: {'; '.join(parts)}. {summary(state)}"


def figure(state: SamplerState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(sampler.state))`."""
    return static_picture(render(state), alt(state))


# --- the widget


class NextTokenSampler(BookWidget):
    """The widget. The first click on the button draws a token, the second one appends it to the text.

    A click on a token's own button appends that token. Controls: `prompt`, `temperature`, `top_k`, `top_p`,
    `seed`, `button`, `back`, `choices`; `press()`, `take(i)` and `undo()` have the effect of the clicks.
    `ids` is the text so far. ValueError for a first prompt that is empty or has no tokens.
    """

    def __init__(self, logits_of: LogitsOf, tokenizer, prompt: str):
        self.logits_of = logits_of
        self.tokenizer = tokenizer
        self.known: dict[tuple[int, ...], torch.Tensor] = {}  # the logits of each text so far
        self.labels: list[str] = []
        self.prompt = text_field(prompt, "prompt")
        self.temperature = temperature_slider(1.0)
        self.top_k = top_k_choice()
        self.top_p = slider(1, 0.05, 1, 0.05, "top-p")
        self.seed = seed_field()
        self.button = widgets.Button(description="Draw", button_style="primary")
        self.back = widgets.Button(description="One back")
        # without flex a narrow page squeezes the buttons, because the bars do not wrap
        narrow = {"width": "72px", "height": "26px", "margin": "0", "flex": "0 0 auto"}
        beside = {"margin": "0", "flex": "0 0 auto"}
        self.choices = [widgets.Button(layout=narrow) for _ in range(SHOWN)]
        self.bars = [widgets.HTML(layout=beside) for _ in range(SHOWN)]
        self.page = widgets.HTML()
        self.note = widgets.HTML()
        settings = [
            row(self.temperature, self.seed),
            row(self.top_k, self.top_p),
            row(self.button, self.back),
        ]
        title = [widgets.HTML(layout=narrow), widgets.HTML(TITLE, layout=beside)]
        rows = [widgets.HBox(pair) for pair in [title, *zip(self.choices, self.bars, strict=True)]]
        self.state = self.state_of_prompt()
        super().__init__([self.prompt, *settings], [self.page, *rows, self.note])
        self.prompt.observe(lambda change: self.attempt(self.state_of_prompt), "value")
        self.follow(self.recompute, self.temperature, self.top_k, self.top_p, self.seed)
        self.button.on_click(self.press)
        self.back.on_click(self.undo)
        for i, choice in enumerate(self.choices):
            choice.on_click(lambda button, i=i: self.take(i))
        self.redraw()

    @property
    def text(self) -> str:
        """The text after the prompt."""
        return self.tokenizer.decode(self.ids[self.prompt_length :])

    def state_of_prompt(self) -> SamplerState:
        """The state with the prompt as the text; ValueError for an empty one."""
        prompt = untyped(self.prompt.value)
        if not prompt:
            raise ValueError("the prompt is empty: give the model at least one character to go on from")
        ids = self.tokenizer.encode(prompt)
        state = self.state_of(ids)
        self.prompt_length = len(ids)
        return state

    def state_of(self, ids: list[int]) -> SamplerState:
        """The state with these ids as the text; the model runs if it has not seen them."""
        key = tuple(ids)
        if key not in self.known:
            self.known[key] = self.logits_of(list(ids)).detach().float().cpu()
        logits = self.known[key]
        if len(self.labels) != len(logits):
            self.labels = [self.tokenizer.decode([i]) for i in range(len(logits))]
        state = compute(self.tokenizer.decode(ids), self.labels, logits, **self.settings())
        self.ids = list(ids)
        self.used = (self.settings(), self.seed.value)
        return state

    def settings(self) -> dict:
        """The controls as arguments of `compute`, rounded: the page sends 0.9 back as 0.90000001."""
        top_p = round(self.top_p.value, 6)
        return {
            "temperature": round(self.temperature.value, 6),
            "top_k": self.top_k.value or None,
            "top_p": None if top_p == 1 else top_p,
        }

    def new_state(self) -> SamplerState:
        return self.state_of(self.ids)

    def recompute(self, change=None) -> None:
        """Filter the logits with the new settings; this drops a drawn token."""
        if self.used != (self.settings(), self.seed.value):
            super().recompute()

    def press(self, button=None) -> None:
        """Draw a token; if there is a drawn token, append it instead."""
        if self.state.drawn is None:
            self.attempt(self.drawn_state)
        else:
            self.attempt(lambda: self.state_of([*self.ids, self.state.drawn]))

    def drawn_state(self) -> SamplerState:
        """The state with a drawn token. A generator for each position repeats the draw after a step back."""
        generator = torch.Generator().manual_seed(self.seed.value * 2**20 + len(self.ids))
        p = probabilities(self.known[tuple(self.ids)], **self.settings())
        return replace(self.state, drawn=torch.multinomial(p, 1, generator=generator).item())

    def take(self, i: int) -> None:
        """Append the token in row i."""
        if i < len(self.state.tokens):
            self.attempt(lambda: self.state_of([*self.ids, self.state.tokens[i]]))

    def undo(self, button=None) -> None:
        """Drop a drawn token; if there is none, remove the last token after the prompt."""
        if self.state.drawn is not None:
            self.attempt(lambda: replace(self.state, drawn=None))
        elif len(self.ids) > self.prompt_length:
            self.attempt(lambda: self.state_of(self.ids[:-1]))

    def show_state(self) -> None:
        drawn = self.state.drawn
        self.button.description = "Draw" if drawn is None else f"Continue with {visible(self.labels[drawn])}"
        self.back.disabled = drawn is None and len(self.ids) == self.prompt_length
        self.page.value = written(self.tokenizer.decode(self.ids[: self.prompt_length]), f"{self.text}▏")
        for i, (choice, drawing) in enumerate(zip(self.choices, self.bars, strict=True)):
            used = i < len(self.state.tokens)
            choice.disabled = not used
            choice.description = visible(self.state.labels[i])[:6] if used else ""
            drawing.value = bars(self.state, i) if used else ""
        note = summary(self.state)
        if drawn is not None and drawn not in self.state.tokens:
            note = f"drawn: {visible(self.labels[drawn])}, which is not among those shown; {note}"
        self.note.value = box(html.escape(note), LINE)


# --- a trained model


def logits_from_model(model) -> LogitsOf:
    """The callable for a trained GPT in eval mode; a cache keeps the keys and values that two texts share.

    A text longer than block_size is cropped on the left and computed without the cache, because its positions
    shift.
    """
    from gptlib.generation import KVCache  # not at the top: see `probabilities`

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
            layer.length = shared  # the model overwrites what follows
        kept = []  # an interrupted forward pass leaves the cache in an unknown state
        logits = model(torch.tensor([ids[shared:]], device=device), cache)[0, -1]
        kept = list(ids)
        return logits

    return logits_of


def sampler_for_model(model, tokenizer, prompt: str = "ROMEO:\n") -> NextTokenSampler:
    """The sampler of a trained GPT."""
    return NextTokenSampler(logits_from_model(model), tokenizer, prompt)
