"""The checkers of chapter 07."""

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=2, minutes=10)
def count_parameters(attempt):
    """attempt(config) -> the number of weights of GPT(config), the tied table counted once."""
    from gptlib.gpt import GPT, GPTConfig  # the reader's own: it may have been exported a moment ago

    for sizes in ((11, 5, 1, 1, 4), (65, 32, 3, 4, 48), (100, 8, 2, 2, 6)):
        config = GPTConfig(*sizes)
        right = sum(p.numel() for p in GPT(config).parameters())
        found = attempt(config)
        expect(isinstance(found, int), f"return a whole number, not {type(found).__name__}")
        table = config.vocab_size * config.n_embd
        expect(found != right + table, "the tied table is counted twice: lm_head has no weights of its own")
        expect(found != right - 2 * config.n_embd, "the last LayerNorm is missing: 2C weights")
        expect(
            found != right - config.block_size * config.n_embd,
            "the position table is missing: block_size · C",
        )
        expect(found == right, f"{config}: {right:,} weights, yours is off by {found - right:+,}")


@exercise(difficulty=1, minutes=5)
def shapes(attempt):
    """attempt(config, B, T) -> the shapes of five tensors inside a GPT, read off a real one."""
    from gptlib.gpt import GPT, GPTConfig

    for sizes, B, T in (((65, 32, 2, 4, 48), 2, 10), ((7, 9, 1, 3, 6), 5, 9)):
        config = GPTConfig(*sizes)
        seen = true_shapes(GPT(config), B, T)
        found = attempt(config, B, T)
        expect(
            isinstance(found, dict) and found.keys() == seen.keys(),
            f"give a dictionary with {', '.join(seen)}",
        )
        for name, right in seen.items():
            yours = tuple(found[name])
            expect(yours == right, f"{name}: {yours} is not the shape in a model with B={B}, T={T}, {config}")


def true_shapes(model, B, T) -> dict[str, tuple]:
    """The shapes of a real model at work."""
    block, x = model.h[0], torch.zeros(B, T, model.config.n_embd)
    return {
        "embedded": tuple(
            (model.wte(torch.zeros(B, T, dtype=torch.long)) + model.wpe(torch.arange(T))).shape
        ),
        "queries": tuple(block.attn.split_heads(x)[0].shape),
        "weights": tuple(block.attn.weights(x).shape),
        "inside mlp": tuple(block.mlp.c_fc(x).shape),
        "logits": tuple(model(torch.zeros(B, T, dtype=torch.long)).shape),
    }
