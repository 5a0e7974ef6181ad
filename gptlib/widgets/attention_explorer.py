"""The attention explorer: who looks at whom, in every head of every layer, for a prompt the reader edits.

Three layers: `compute` in attention_state (arrays in, a frozen state out), `picture` and `reading` (a state
in, a picture or HTML out), and the widget, which only carries values between the controls and these.
"""

import html
import itertools
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import Image as StaticImage
from PIL import Image

from gptlib.widgets import attention_picture
from gptlib.widgets.attention_state import MAX_TOKENS, AttentionState, compute, shade
from gptlib.widgets.kit.text import complaint, message_html, typed, untyped, visible

# (text, causal) -> the text's tokens, and the weights [n_layer, n_head, T, T] of the first T of them
WeightsOf = Callable[[str, bool], tuple[list[str], np.ndarray]]


def picture(state: AttentionState) -> Image.Image:
    """All heads, and the chosen one with its tokens. With a single head, only that."""
    what, scale = "weight of each key", [(w**0.5, f"{100 * w:.0f} %") for w in (0, 0.01, 0.05, 0.2, 0.5, 1)]
    if state.against_uniform:
        what = "weight ÷ uniform weight"
        scale = [(i / 6, f"{mark} ×") for i, mark in enumerate(("1/8", "1/4", "1/2", "1", "2", "4", "8"))]
    shades, labels = shade(state), [visible(token) for token in state.tokens]
    title = f"Layer {state.layer}, head {state.head}: {what}"
    chosen = attention_picture.matrix(shades[state.layer, state.head], labels, title, scale)
    several = shades.shape[:2] != (1, 1)
    return attention_picture.beside(
        attention_picture.mosaic(shades, state.layer, state.head) if several else None, chosen
    )


def figure(state: AttentionState) -> StaticImage:
    """The picture for a page without a kernel: `display(figure(explorer.state))`."""
    return StaticImage(attention_picture.png(picture(state)))


def labels_of_keys(state: AttentionState) -> list[list[str]]:
    """What to write under each key, for each query of the chosen head: [T][T], often nothing."""
    weights = state.weights[state.layer, state.head]
    if state.against_uniform:
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = weights / state.uniform
        return [[f"{ratio:.1f}×" if np.isfinite(ratio) else "" for ratio in row] for row in weights]
    return [[f"{100 * w:.0f}%" if w >= 0.005 else "" for w in row] for row in weights]


def reading(state: AttentionState, name: str = "attention") -> str:
    """HTML: the statistics, and the prompt, where pointing at a query shades its keys (CSS alone, no script).

    Each token is a query (class q…) and a key (class k…). Pointing at query t sets a variable for the shade
    and the label of each key. `name` is a class that keeps two explorers on one page apart.
    """
    labels, shades = labels_of_keys(state), shade(state)[state.layer, state.head]
    T, last = len(state.tokens), len(state.tokens) - 1
    idle = f".{name}:not(:has(.t:hover)):not(:has(.t:focus))"
    rules = []
    for t in range(T):
        values = ";".join(
            f'--s{s}:{shades[t, s]:.2f};--l{s}:"{labels[t][s]}"' for s in range(T) if labels[t][s]
        )
        where = f".{name}:has(.q{t}:hover),.{name}:not(:has(.t:hover)):has(.q{t}:focus)"
        rules.append(f"{where}{',' + idle if t == last else ''}{{{values}}}")
    rules += [f".{name} .k{s}{{background:rgba(230,159,0,var(--s{s},0))}}" for s in range(T)]
    rules += [f".{name} .k{s}::after{{content:var(--l{s},'\\a0')}}" for s in range(T)]
    tokens = "".join(
        f'<span class="t q{i} k{i}" tabindex="0">{html.escape(visible(token))}</span>'
        for i, token in enumerate(state.tokens)
    )
    entropy, distance = state.entropy[state.layer, state.head], state.distance[state.layer, state.head]
    return f"""<style>
.{name}{{background:#fff;color:#000;font-size:14px;line-height:1.4;padding:6px 8px}}
.{name} .t{{display:inline-block;text-align:center;min-width:2.6em;padding:2px;margin:2px;
 border:1px solid #999;font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:16px;
 white-space:pre;cursor:default}}
.{name} .t::after{{display:block;font-size:13px}}
.{name} .t:hover,.{name}:not(:has(.t:hover)) .t:focus,{idle} .q{last}{{outline:3px solid #000}}
.{name} td,.{name} th{{padding:1px 14px 1px 0;text-align:right}} .{name} th:first-child{{text-align:left}}
{chr(10).join(rules)}
</style><div class="{name}">
<table><tr><th>Layer {state.layer}, head {state.head}</th><th>this head</th><th>uniform</th></tr>
<tr><th>mean entropy (bits)</th><td>{entropy:.2f}</td><td>{state.uniform_entropy:.2f}</td></tr>
<tr><th>mean distance (tokens)</th><td>{distance:.2f}</td><td>{state.uniform_distance:.2f}</td></tr></table>
<p>Point at a token, or reach it with the Tab key: it is the query, and the keys are shaded by its weights.
In the prompt, \\n stands for a line break.</p>
<div>{tokens}</div></div>"""


class AttentionExplorer(widgets.VBox):
    """The widget. `weights_of(text, causal)` gives a text's tokens and the weights [n_layer, n_head, T, T].

    The controls are attributes (`prompt`, `layer`, `head`, `show`, `mask`), and setting their `.value` does
    what the reader's hand does; `state` is what is shown (None until a
    prompt has worked), `message` what went wrong or must be said.
    """

    names = itertools.count()

    def __init__(self, weights_of: WeightsOf, prompt: str, layer: int = 0, head: int = 0):
        self.weights_of, self.error, self.state = weights_of, "", None
        wrap, narrow = widgets.Layout(flex_flow="row wrap"), widgets.Layout(width="160px")
        # every key is followed: a recompute takes less time than the next one
        self.prompt = widgets.Text(typed(prompt), description="prompt", layout=widgets.Layout(width="98%"))
        self.layer = widgets.Dropdown(options=[layer], description="layer", layout=narrow)
        self.head = widgets.Dropdown(options=[head], description="head", layout=narrow)
        ways = [("weights", False), ("weights ÷ uniform", True)]
        self.show = widgets.Dropdown(options=ways, value=False, description="show")
        self.mask = widgets.Checkbox(True, description="causal mask", layout=widgets.Layout(width="220px"))
        self.message, self.reading = widgets.HTML(), widgets.HTML()
        # without align_self a VBox stretches the picture to its own width
        self.image = widgets.Image(layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.name = f"attention-{next(self.names)}"
        choices = widgets.HBox([self.layer, self.head, self.show, self.mask], layout=wrap)
        super().__init__([self.prompt, choices, self.message, self.reading, self.image])
        for control in (self.prompt, self.mask):
            control.observe(self.recompute, "value")
        for control in (self.layer, self.head, self.show):
            control.observe(self.redraw, "value")
        self.recompute()

    def __repr__(self) -> str:
        return "AttentionExplorer: run this notebook to use it"

    def recompute(self, change=None) -> None:
        """Run the model on the prompt and draw; a prompt that fails leaves a message and the old picture."""
        text, causal = untyped(self.prompt.value), self.mask.value
        try:
            if not text:
                raise ValueError("the prompt is empty: write something to look at")
            self.state, self.error = compute(*self.weights_of(text, causal), causal), ""
        except Exception as error:  # whatever the callable raises, the reader gets a line and not a traceback
            self.error = complaint(error)
            if self.state:
                self.error += ". Below is still the last prompt that worked."
        else:
            self.offer(self.layer, self.state.weights.shape[0])
            self.offer(self.head, self.state.weights.shape[1])
        self.redraw()

    def offer(self, choice: widgets.Dropdown, n: int) -> None:
        """Let `choice` go from 0 to n - 1; what was chosen stays where it can."""
        if len(choice.options) != n or choice.value >= n:
            chosen = choice.value if choice.value < n else 0
            choice.unobserve(self.redraw, "value")
            choice.options = range(n)
            choice.value = chosen
            choice.observe(self.redraw, "value")

    def redraw(self, change=None) -> None:
        """Draw the head that is chosen now."""
        self.image.layout.display = None if self.state else "none"
        if not self.state:
            self.message.value = message_html(self.error)
            return
        self.state = replace(
            self.state, layer=self.layer.value, head=self.head.value, against_uniform=self.show.value
        )
        self.message.value = message_html(" ".join(filter(None, (self.error, *self.state.notes))))
        self.reading.value = reading(self.state, self.name)
        self.image.value = attention_picture.png(picture(self.state), compress_level=1)  # large, but soon


@contextmanager
def one_thread():
    """64 tokens are too few to share: on a busy machine two threads wait for each other, for up to a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def weights_of_model(model, tokenizer) -> WeightsOf:
    """The callable for a trained GPT.

    Without the mask, the weights are those of the same queries and keys, which came about with the mask:
    where a head would look if only its own view were not cut off.
    """
    from gptlib.attention import attention_weights  # the explorer itself needs no model

    limit = min(MAX_TOKENS, model.config.block_size)

    @torch.no_grad()
    @one_thread()
    def weights_of(text: str, causal: bool) -> tuple[list[str], np.ndarray]:
        ids = tokenizer.encode(text)
        idx = torch.tensor([ids[:limit]], device=model.wte.weight.device)
        x, layers = model.wte(idx) + model.wpe(torch.arange(idx.shape[1], device=idx.device)), []
        was_training = model.training
        model.eval()
        for block in model.h:
            q, k, _ = block.attn.split_heads(block.ln_1(x))
            mask = block.attn.mask(idx.shape[1], idx.shape[1], idx.device) if causal else None
            layers.append(attention_weights(q, k, mask)[0])
            x = block(x)
        model.train(was_training)
        return [tokenizer.decode([i]) for i in ids], torch.stack(layers).float().cpu().numpy()

    return weights_of


def explorer_for_model(model, tokenizer, prompt: str, layer: int = 0, head: int = 0) -> AttentionExplorer:
    """The explorer of a trained GPT."""
    return AttentionExplorer(weights_of_model(model, tokenizer), prompt, layer, head)
