"""Right and wrong answers to the exercises of chapter 07, on which its checkers are tested."""

import torch

from gptlib.gpt import GPT


def counted(config):
    return sum(p.numel() for p in GPT(config).parameters())


def right_shapes(config, B, T):
    head_size = config.n_embd // config.n_head
    return {
        "logits": [B, T, config.vocab_size],
        "inside mlp": [B, T, 4 * config.n_embd],
        "weights": [B, config.n_head, T, T],
        "queries": [B, config.n_head, T, head_size],
        "embedded": [B, T, config.n_embd],
    }


def with_shape(name, shape):
    """The right shapes, but for one."""
    return lambda config, B, T: right_shapes(config, B, T) | {name: shape(config, B, T)}


def by_formula(c):
    """The count by its parts."""
    C = c.n_embd
    block = 4 * C * C + 4 * C + 8 * C * C + 5 * C + 4 * C
    return sum((c.vocab_size * C, c.block_size * C, c.n_layer * block, 2 * C))


ALTERNATIVES = {
    "count_parameters": [by_formula, lambda c: torch.tensor(by_formula(c))],
    "shapes": [right_shapes],
}

BUGS = {
    "count_parameters": {
        "tied table twice": (lambda c: by_formula(c) + c.vocab_size * c.n_embd, "counted twice"),
        "tokens forgotten": (lambda c: by_formula(c) - c.vocab_size * c.n_embd, "token table"),
        "positions forgotten": (lambda c: by_formula(c) - c.block_size * c.n_embd, "position table"),
        "last LayerNorm forgotten": (lambda c: by_formula(c) - 2 * c.n_embd, "last LayerNorm"),
        "biases forgotten": (lambda c: by_formula(c) - 11 * c.n_layer * c.n_embd - c.n_embd, "biases"),
        "one block": (
            lambda c: by_formula(c) - (c.n_layer - 1) * (12 * c.n_embd**2 + 13 * c.n_embd),
            "multiply by n_layer",
        ),
        "a float": (lambda c: by_formula(c) / 1, "float"),
        "counted in a model": (counted, "formula"),
    },
    "shapes": {
        "heads beside positions": (
            with_shape("queries", lambda c, B, T: (B, T, c.n_head, c.n_embd // c.n_head)),
            "heads come before",
        ),
        "heads forgotten": (with_shape("weights", lambda c, B, T: (B, T, T)), "every head"),
        "inside as wide as outside": (
            with_shape("inside mlp", lambda c, B, T: (B, T, c.n_embd)),
            "four times",
        ),
        "logits of the last position": (
            with_shape("logits", lambda c, B, T: (B, c.vocab_size)),
            "every position",
        ),
        "not embedded": (with_shape("embedded", lambda c, B, T: (B, T)), "a vector"),
        "a name forgotten": (
            lambda c, B, T: {k: v for k, v in right_shapes(c, B, T).items() if k != "weights"},
            "missing: weights",
        ),
        "a name too many": (with_shape("values", lambda c, B, T: (B, T)), "no such name: values"),
        "a list": (lambda c, B, T: list(right_shapes(c, B, T).values()), "dictionary"),
    },
}
