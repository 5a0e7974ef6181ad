"""Right and wrong answers to the exercises of chapter 07, on which its checkers are tested."""

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


ALTERNATIVES = {"count_parameters": [counted], "shapes": [right_shapes]}

BUGS = {
    "count_parameters": {
        "tied table twice": lambda c: counted(c) + c.vocab_size * c.n_embd,
        "positions forgotten": lambda c: counted(c) - c.block_size * c.n_embd,
        "last LayerNorm forgotten": lambda c: counted(c) - 2 * c.n_embd,
        "biases forgotten": lambda c: counted(c) - 11 * c.n_layer * c.n_embd - c.n_embd,
        "one block": lambda c: counted(c) - (c.n_layer - 1) * (12 * c.n_embd**2 + 13 * c.n_embd),
    },
    "shapes": {
        "heads beside positions": with_shape(
            "queries", lambda c, B, T: (B, T, c.n_head, c.n_embd // c.n_head)
        ),
        "heads forgotten": with_shape("weights", lambda c, B, T: (B, T, T)),
        "inside as wide as outside": with_shape("inside mlp", lambda c, B, T: (B, T, c.n_embd)),
        "logits of the last position": with_shape("logits", lambda c, B, T: (B, c.vocab_size)),
        "not embedded": with_shape("embedded", lambda c, B, T: (B, T)),
        "a name forgotten": lambda c, B, T: {
            k: v for k, v in right_shapes(c, B, T).items() if k != "weights"
        },
    },
}
