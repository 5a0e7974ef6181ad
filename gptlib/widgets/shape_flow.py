"""The picture of every shape inside a GPT, drawn from what hooks on the real model saw.

`trace` runs a model and notes what each part receives and returns; `draw` makes the picture. No shape is written
down here, so the picture follows the code. The letters (B, T, C …) are found the same way: a second, tiny model
has sizes that are all different, so that a number tells which letter it is.
"""

from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

# The second model's sizes, run on 2 texts of 5 tokens, and the letters that its numbers give away
TELLING = {"vocab_size": 11, "block_size": 13, "n_layer": 1, "n_head": 3, "n_embd": 21}
LETTERS = {2: "B", 5: "T", 21: "C", 63: "3C", 84: "4C", 3: "n_head", 7: "head_size", 11: "vocab", 13: "block"}

# What the exercise asks for, and the parts that return it
ASKED = {
    "embedded": "embedded",
    "queries": "h.0.attn.queries",
    "weights": "h.0.attn.weights",
    "inside mlp": "h.0.mlp.c_fc",
    "logits": "lm_head",
}


@dataclass(frozen=True)
class Part:
    """One part of a model at work: its name in the state dict, what it received and returned, its weight."""

    name: str
    given: tuple
    returned: tuple
    weight: tuple = ()  # () where there is none
    adds: bool = False  # whether what came out was added to the stream


def shape(tensor) -> tuple[int, ...]:
    return () if tensor is None else tuple(tensor.shape)


def trace(model, B: int, T: int) -> list[Part]:
    """Run `model` on B texts of T tokens and note its parts in the order of their work.

    ValueError when a block does not add its two parts to the stream, or when the blocks differ: the picture
    would say something false.
    """
    seen = run_with_hooks(model, torch.zeros(B, T, dtype=torch.long, device=model.wte.weight.device))
    parts = [part_of(model, name, *seen[name]) for name in ("wte", "wpe")]
    parts.append(Part("embedded", shape(seen["wte"][1]), shape(seen["drop"][0])))
    blocks = [parts_of_block(block, seen, f"h.{i}") for i, block in enumerate(model.h)]
    for i, block in enumerate(blocks):
        if [(part.given, part.returned) for part in block] != [
            (part.given, part.returned) for part in blocks[0]
        ]:
            raise ValueError(f"block {i} has other shapes than block 0")
    parts += [part for block in blocks for part in block]
    return parts + [part_of(model, name, *seen[name]) for name in ("ln_f", "lm_head")]


@torch.no_grad()
def run_with_hooks(model, idx) -> dict:
    """name -> (what it received, what it returned), for every module of the model."""
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
    weight = model.get_submodule(name).weight
    return Part(name, shape(given), shape(returned), shape(weight))


def parts_of_block(block, seen: dict, name: str) -> list[Part]:
    """A block's parts, and inside attention what the module's own methods make of the input that it had."""

    def part(inner):
        return part_of(block, inner, *seen[f"{name}.{inner}"])

    def total(inner):
        return Part(inner, *map(shape, seen[f"{name}.{inner}"]), adds=True)

    stream, (x, attended), (y, changed) = (seen[f"{name}{inner}"] for inner in ("", ".attn", ".mlp"))
    between = stream[0] + attended
    sums = ((seen[f"{name}.ln_2"][0], between), (stream[1], between + changed))
    if not all(torch.allclose(found, expected, atol=1e-5) for found, expected in sums):
        raise ValueError(f"{name} does not add its parts to the stream: the picture is for pre-norm blocks")
    queries, weights = block.attn.split_heads(x)[0], block.attn.weights(x)
    parts = [
        part("ln_1"),
        part("attn.c_attn"),
        Part("attn.queries", shape(seen[f"{name}.attn.c_attn"][1]), shape(queries)),
        Part("attn.weights", shape(queries), shape(weights)),
        Part("attn.fetched", shape(weights), shape(weights @ queries)),  # values have the queries' shape
        part("attn.c_proj"),
        total("attn"),
        part("ln_2"),
        part("mlp.c_fc"),
        part("mlp.c_proj"),
        total("mlp"),
    ]
    return [replace(inner, name=f"{name}.{inner.name}") for inner in parts]


def first_block_only(parts: list[Part]) -> list[Part]:
    return [part for part in parts if not part.name.startswith("h.") or part.name.startswith("h.0.")]


def in_letters(model) -> list[Part]:
    """The parts of a model with one block, with letters in place of numbers."""

    def letters(numbers):
        return tuple(LETTERS.get(n, str(n)) for n in numbers)

    small = type(model)(replace(model.config, **TELLING))
    return [
        replace(p, given=letters(p.given), returned=letters(p.returned), weight=letters(p.weight))
        for p in trace(small, B=2, T=5)
    ]


def shown(numbers) -> str:
    """A shape as the book writes it: [2, 10, 48]."""
    return "[" + ", ".join(map(str, numbers)) + "]"


TITLES = {
    "wte": "wte[idx]",
    "wpe": "wpe[0 … T−1]",
    "attn.queries": "queries, keys, values",
    "attn.weights": "weights",
    "attn.fetched": "weights @ values",
}
# Where things stand, in the units of the axes: one is about an inch across, and a row downwards
STREAM, BRANCH, WIDTH, NUMBERS, NAMES, WEIGHTS, RIGHT = 0.0, 2.05, 1.95, 3.5, 5.4, 7.7, 9.3


def columns(part: Part, letters: Part, answers: dict | None) -> tuple[str, str]:
    """What stands beside a part: its shape in numbers and in letters, or what an exercise leaves of them."""
    name = next((name for name, asked in ASKED.items() if asked == part.name), None)
    if answers is None:
        return shown(part.returned), shown(letters.returned)
    if name not in answers:
        return "", ""
    if answers[name] is None:
        return "?", f"← {name}"
    if tuple(answers[name]) == part.returned:
        return shown(part.returned), f"{shown(letters.returned)}  right"
    return shown(answers[name]), f"← {name}: not yet"


def draw(model, B: int, T: int, answers: dict | None = None) -> Figure:
    """The picture of `model` with B texts of T tokens. Parts with weights have a thick frame.

    With `answers` only the shapes that an exercise asks for are shown: a question mark for {"logits": None}, and
    whether it is right for {"logits": (2, 3)}. ValueError names a key that nobody asked for.
    """
    if unknown := (answers or {}).keys() - ASKED.keys():
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(ASKED)}")
    parts, letters = first_block_only(trace(model, B, T)), in_letters(model)
    bottom = len(parts) + 0.5
    figure, ax = plt.subplots(figsize=(9.6, 0.42 * (bottom + 1.3)))
    ax.set(xlim=(-1.3, RIGHT), ylim=(bottom, -1.2))
    ax.axis("off")
    for x, text in ((NUMBERS, "returns"), (NAMES, "in letters"), (WEIGHTS, "its weight")):
        ax.text(x, -0.8, text, va="center", weight="bold")
    ax.text(STREAM, 0, f"idx {shown((B, T))}", ha="center", va="center")
    ax.plot([STREAM, STREAM], [0.3, len(parts)], linestyle="-", color="black", zorder=1, linewidth=2.5)
    draw_frame(ax, [row for row, part in enumerate(parts, 1) if part.name.startswith("h.")], len(model.h))
    before = None  # the lane of the part above
    for row, (part, named) in enumerate(zip(parts, letters, strict=True), 1):
        name = part.name.removeprefix("h.0.")
        if part.adds or name == "embedded":
            ax.plot(
                [BRANCH, BRANCH, STREAM],
                [row - 1, row, row],
                linestyle="-",
                color="black",
                linewidth=1.2,
                zorder=1,
            )
            ax.plot(STREAM, row, "o", markersize=15, color="white", markeredgecolor="black", zorder=2)
            ax.text(STREAM, row, "+", ha="center", va="center_baseline", fontsize=13, zorder=3)
            before = STREAM
        else:
            lane = BRANCH if part.name.startswith("h.") or name == "wpe" else STREAM
            if lane == BRANCH and name != "wpe":  # from the stream, or from the part above
                start = (STREAM, row) if before == STREAM else (BRANCH, row - 1)
                ax.plot(
                    [start[0], BRANCH], [start[1], row], linestyle="-", color="black", linewidth=1.2, zorder=1
                )
            draw_box(ax, lane, row, TITLES.get(name, name), 1.8 if part.weight else 0.8)
            before = lane
        for x, text in zip((NUMBERS, NAMES), columns(part, named, answers), strict=True):
            ax.text(x, row, text, va="center")
        tied = " = wte" if name == "lm_head" and model.lm_head.weight is model.wte.weight else ""
        ax.text(WEIGHTS, row, shown(named.weight) + tied if part.weight else "", va="center")
    return figure


def draw_answers(model, attempt, B: int, T: int) -> Figure | None:
    """The picture with the shapes that attempt(config, B, T) gives, a question mark for the others.

    None when the attempt gives no dictionary: its checker has said why.
    """
    try:
        answers = attempt(model.config, B, T)
    except Exception:
        return None
    if not isinstance(answers, dict):
        return None
    known = {name: answers.get(name) for name in ASKED}
    return draw(model, B, T, {n: a if isinstance(a, tuple | list) else None for n, a in known.items()})


def draw_frame(ax, rows: list[int], n_layer: int) -> None:
    """The grey field behind the block, and how often it is repeated."""
    left, top = -1.25, rows[0] - 0.5
    ax.add_patch(Rectangle((left, top), RIGHT - left, len(rows), facecolor="#ececec", zorder=0))
    times = f"block, {n_layer} times" if n_layer > 1 else "block, once"
    ax.text(left + 0.08, top + len(rows) / 2, times, rotation=90, va="center")


def draw_box(ax, x: float, row: int, text: str, line: float) -> None:
    corner, style = (x - WIDTH / 2, row - 0.3), "round,pad=0,rounding_size=0.1"
    look = {"facecolor": "white", "edgecolor": "black", "linewidth": line, "zorder": 2}
    ax.add_patch(FancyBboxPatch(corner, WIDTH, 0.6, style, **look))
    ax.text(x, row, text, ha="center", va="center", zorder=3)
