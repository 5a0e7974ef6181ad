"""The figure of every shape inside a GPT, drawn from what hooks on a real model record.

`trace` runs a model and records what each part receives and returns; `draw` makes the figure. No shape is
written down here, so the figure follows the code. The letters (B, T, C …) come from a second, tiny model
whose sizes all differ: there a number tells which letter it is.
"""

from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from gptlib.widgets.kit.palette import BLACK, PALE_GREY, WHITE

# the tiny model's sizes, which runs on 2 texts of 5 tokens, and the letter of each number
TINY = {"vocab_size": 11, "block_size": 13, "n_layer": 1, "n_head": 3, "n_embd": 21}
LETTERS = {2: "B", 5: "T", 21: "C", 63: "3C", 84: "4C", 3: "n_head", 7: "head_size", 11: "vocab", 13: "block"}

# the exercise's names, and the parts that return these shapes
ASKED = {
    "embedded": "embedded",
    "queries": "h.0.attn.queries",
    "weights": "h.0.attn.weights",
    "inside mlp": "h.0.mlp.c_fc",
    "logits": "lm_head",
}


# --- trace


@dataclass(frozen=True)
class Part:
    """A part of a model: its name in the state dict, and the shapes of its input, output and weight."""

    name: str
    given: tuple
    returned: tuple
    weight: tuple = ()  # () if it has none
    adds: bool = False  # whether its output is added to the residual stream


def shape(tensor) -> tuple[int, ...]:
    """The tensor's shape; () for None."""
    return () if tensor is None else tuple(tensor.shape)


def trace(model, B: int, T: int) -> list[Part]:
    """Run `model` on B texts of T tokens and record its parts in the order of the forward pass.

    ValueError when a block does not add its two parts to the residual stream, or when the blocks' shapes
    differ, because then the figure would be wrong.
    """
    seen = run_with_hooks(model, torch.zeros(B, T, dtype=torch.long, device=model.wte.weight.device))
    parts = [part_of(model, name, *seen[name]) for name in ("wte", "wpe")]
    parts.append(Part("embedded", shape(seen["wte"][1]), shape(seen["drop"][0])))
    blocks = [parts_of_block(block, seen, f"h.{i}") for i, block in enumerate(model.h)]
    shapes = [[(part.given, part.returned) for part in block] for block in blocks]
    for i in range(1, len(blocks)):
        if shapes[i] != shapes[0]:
            raise ValueError(f"block {i} has other shapes than block 0")
    parts += [part for block in blocks for part in block]
    return parts + [part_of(model, name, *seen[name]) for name in ("ln_f", "lm_head")]


@torch.no_grad()
def run_with_hooks(model, idx) -> dict:
    """name -> (input, output), for every module of the model."""
    seen = {}
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
        for name, module in model.named_modules()
    ]
    was_training = model.training
    try:
        model.eval()(idx)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return seen


def part_of(model, name: str, given, returned) -> Part:
    """The part that a module with a weight makes."""
    weight = model.get_submodule(name).weight
    return Part(name, shape(given), shape(returned), shape(weight))


def parts_of_block(block, seen: dict, name: str) -> list[Part]:
    """A block's parts. For those inside attention, its methods are called with the recorded input."""

    def part(inner):
        return part_of(block, inner, *seen[f"{name}.{inner}"])

    def added(inner):
        return Part(inner, *map(shape, seen[f"{name}.{inner}"]), adds=True)

    x, y = seen[name]
    attn_input, attn_output = seen[f"{name}.attn"]
    _, mlp_output = seen[f"{name}.mlp"]
    between = x + attn_output
    sums = ((seen[f"{name}.ln_2"][0], between), (y, between + mlp_output))
    if not all(torch.allclose(found, expected, atol=1e-5) for found, expected in sums):
        raise ValueError(f"{name} does not add its parts to the stream: the picture is for pre-norm blocks")
    queries = block.attn.split_heads(attn_input)[0]
    weights = block.attn.weights(attn_input)
    parts = [
        part("ln_1"),
        part("attn.c_attn"),
        Part("attn.queries", shape(seen[f"{name}.attn.c_attn"][1]), shape(queries)),
        Part("attn.weights", shape(queries), shape(weights)),
        Part("attn.fetched", shape(weights), shape(weights @ queries)),  # values have the queries' shape
        part("attn.c_proj"),
        added("attn"),
        part("ln_2"),
        part("mlp.c_fc"),
        Part("mlp.gelu", shape(seen[f"{name}.mlp.c_fc"][1]), shape(seen[f"{name}.mlp.c_proj"][0])),
        part("mlp.c_proj"),
        added("mlp"),
    ]
    return [replace(inner, name=f"{name}.{inner.name}") for inner in parts]


def without_other_blocks(parts: list[Part]) -> list[Part]:
    """The parts without those of the blocks after the first."""
    return [part for part in parts if not part.name.startswith("h.") or part.name.startswith("h.0.")]


def in_letters(model) -> list[Part]:
    """The parts of a model of this class with one block, with letters in place of numbers."""

    def letters(numbers):
        return tuple(LETTERS.get(n, str(n)) for n in numbers)

    tiny = type(model)(replace(model.config, **TINY))
    return [
        replace(p, given=letters(p.given), returned=letters(p.returned), weight=letters(p.weight))
        for p in trace(tiny, B=2, T=5)
    ]


# --- draw


def shown(numbers) -> str:
    """A shape as the book writes it: [2, 10, 48]."""
    return "[" + ", ".join(map(str, numbers)) + "]"


TITLES = {
    "wte": "wte[idx]",
    "wpe": "wpe[0 … T−1]",
    "attn.queries": "queries, keys, values",
    "attn.weights": "softmax(q kᵀ/√size)",
    "attn.fetched": "weights @ values",
    "mlp.gelu": "gelu",
}
# Places on the axes. A unit is about an inch across, and a row down.
STREAM, BRANCH, WIDTH, NUMBERS, NAMES, WEIGHTS, RIGHT = 0.0, 2.05, 1.95, 3.5, 5.4, 7.7, 9.3
ARROW = {"linestyle": "-", "color": BLACK, "linewidth": 1.2, "zorder": 1}


def columns(part: Part, letters: Part, answers: dict | None) -> tuple[str, str]:
    """The texts beside a part: its shape in numbers and in letters; with `answers`, if they are right."""
    if answers is None:
        return shown(part.returned), shown(letters.returned)
    name = next((name for name, asked in ASKED.items() if asked == part.name), None)
    if name not in answers:
        return "", ""
    if answers[name] is None:
        return "?", f"← {name}"
    if tuple(answers[name]) == part.returned:
        return shown(part.returned), f"{shown(letters.returned)}  right"
    return shown(answers[name]), f"← {name}: not yet"


def draw(model, B: int, T: int, answers: dict | None = None) -> Figure:
    """The figure of `model` with B texts of T tokens. Parts with weights have a thick frame.

    With `answers`, only the shapes that the exercise asks for are shown: a question mark for {"logits":
    None}, and whether {"logits": (2, 3)} is right. ValueError names a key that is not in ASKED.
    """
    if unknown := (answers or {}).keys() - ASKED.keys():
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(ASKED)}")
    parts = without_other_blocks(trace(model, B, T))
    letters = in_letters(model)
    bottom = len(parts) + 0.5
    figure, ax = plt.subplots(figsize=(9.6, 0.42 * (bottom + 1.3)))
    ax.set(xlim=(-1.3, RIGHT), ylim=(bottom, -1.2))
    ax.axis("off")
    for x, text in ((NUMBERS, "returns"), (NAMES, "in letters"), (WEIGHTS, "its weight")):
        ax.text(x, -0.8, text, va="center", weight="bold")
    ax.text(STREAM, 0, f"idx {shown((B, T))}", ha="center", va="center")
    ax.plot([STREAM, STREAM], [0.3, len(parts)], **ARROW | {"linewidth": 2.5})
    draw_frame(ax, [row for row, part in enumerate(parts, 1) if part.name.startswith("h.")], len(model.h))
    draw_flow(ax, parts)
    for row, (part, named) in enumerate(zip(parts, letters, strict=True), 1):
        for x, text in zip((NUMBERS, NAMES), columns(part, named, answers), strict=True):
            ax.text(x, row, text, va="center")
        tied = " = wte" if part.name == "lm_head" and model.lm_head.weight is model.wte.weight else ""
        ax.text(WEIGHTS, row, shown(named.weight) + tied if part.weight else "", va="center")
    return figure


def draw_answers(model, attempt, B: int, T: int) -> Figure | None:
    """The figure with the shapes that attempt(config, B, T) returns; a question mark for a missing one.

    None when the attempt raises or returns no dictionary: the exercise's checker has said so.
    """
    try:
        answers = attempt(model.config, B, T)
    except Exception:
        return None
    if not isinstance(answers, dict):
        return None
    known = {name: answers.get(name) for name in ASKED}
    return draw(model, B, T, {n: a if isinstance(a, tuple | list) else None for n, a in known.items()})


def draw_frame(ax: Axes, rows: list[int], n_layer: int) -> None:
    """The grey area behind the block, and the number of blocks."""
    left, top = -1.25, rows[0] - 0.5
    ax.add_patch(Rectangle((left, top), RIGHT - left, len(rows), facecolor=PALE_GREY, zorder=0))
    times = f"block, {n_layer} times" if n_layer > 1 else "block, once"
    ax.text(left + 0.08, top + len(rows) / 2, times, rotation=90, va="center")


def draw_flow(ax: Axes, parts: list[Part]) -> None:
    """The parts in two lanes, the residual stream and its branch, with the lines between them."""
    above = None  # the lane of the part above
    for row, part in enumerate(parts, 1):
        name = part.name.removeprefix("h.0.")
        if part.adds or name == "embedded":
            ax.plot([BRANCH, BRANCH, STREAM], [row - 1, row, row], **ARROW)
            ax.plot(STREAM, row, "o", markersize=15, color=WHITE, markeredgecolor=BLACK, zorder=2)
            ax.text(STREAM, row, "+", ha="center", va="center_baseline", fontsize=13, zorder=3)
            above = STREAM
            continue
        lane = BRANCH if part.name.startswith("h.") or name == "wpe" else STREAM
        if lane == BRANCH and name != "wpe":
            start = (STREAM, row) if above == STREAM else (BRANCH, row - 1)
            ax.plot([start[0], BRANCH], [start[1], row], **ARROW)
        draw_box(ax, lane, row, TITLES.get(name, name), 1.8 if part.weight else 0.8)
        above = lane


def draw_box(ax: Axes, x: float, row: int, text: str, line: float) -> None:
    """A part's name in a box with rounded corners and a frame of width `line`."""
    corner, style = (x - WIDTH / 2, row - 0.3), "round,pad=0,rounding_size=0.1"
    look = {"facecolor": WHITE, "edgecolor": BLACK, "linewidth": line, "zorder": 2}
    ax.add_patch(FancyBboxPatch(corner, WIDTH, 0.6, style, **look))
    ax.text(x, row, text, ha="center", va="center", zorder=3)
