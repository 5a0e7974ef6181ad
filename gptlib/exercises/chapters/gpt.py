"""The checkers of chapter 07. They use gptlib's GPT, which the reader may have exported just now."""

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, expect_close, kind, whole_number
from gptlib.exercises.limits import without_modules


@exercise(difficulty=2, minutes=10)
def count_parameters(attempt):
    """attempt(config) -> the number of weights of GPT(config), the tied table counted once."""
    from gptlib.gpt import GPT, GPTConfig

    for sizes in ((65, 32, 3, 4, 48), (11, 5, 1, 1, 4), (100, 8, 2, 2, 6)):
        config = GPTConfig(*sizes)
        right = sum(p.numel() for p in GPT(config).parameters())
        with without_modules():
            found = whole_number(attempt(config))
        C, n_layer = config.n_embd, config.n_layer
        mistakes = {
            "the tied table is counted twice: lm_head is wte": right + config.vocab_size * C,
            "the token table is missing: vocab_size · C": right - config.vocab_size * C,
            "the position table is missing: block_size · C": right - config.block_size * C,
            "the last LayerNorm is missing: 2C weights": right - 2 * C,
            "a LayerNorm has a shift, too: the last one has 2C weights": right - C,
            "this counts one block: multiply by n_layer": right - (n_layer - 1) * (12 * C**2 + 13 * C),
            "the biases are missing: a block has 12 C² + 13 C weights": right - (11 * n_layer + 1) * C,
            "the blocks' vectors are missing: a block has 12 C² + 13 C weights": right - 13 * n_layer * C,
        }
        expect_close(found, right, mistakes, f"{config}: ")


@exercise(difficulty=1, minutes=5)
def shapes(attempt):
    """attempt(config, B, T) -> the shapes of five tensors inside a GPT, read off a real one."""
    from gptlib.gpt import GPT, GPTConfig

    for sizes, B, T in (((65, 32, 2, 4, 48), 2, 10), ((7, 9, 1, 3, 6), 5, 9)):
        config = GPTConfig(*sizes)
        seen = true_shapes(GPT(config), B, T)
        found = attempt(config, B, T)
        expect(isinstance(found, dict), f"return a dictionary, not {kind(found)}")
        expect(not seen.keys() - found.keys(), f"missing: {', '.join(seen.keys() - found.keys())}")
        expect(
            not found.keys() - seen.keys(), f"no such name: {', '.join(map(str, found.keys() - seen.keys()))}"
        )
        where = f"with B={B}, T={T}, {config}, "
        for name, right in seen.items():
            yours = tuple(as_list(found[name], f"a tuple for {name}"))
            expect(yours == right, f"{where}{name}: {yours} is wrong; {SHAPES[name]}")


SHAPES = {
    "embedded": "each token has become a vector of n_embd numbers",
    "queries": "the heads come before the positions, and each has n_embd / n_head numbers",
    "weights": "every head has a weight for each pair of positions",
    "inside mlp": "the MLP is four times as wide inside",
    "logits": "every position has a score for each entry of the vocabulary",
}


def true_shapes(model, B, T) -> dict[str, tuple]:
    """The shapes of a real model at work."""
    block, x = model.h[0], torch.zeros(B, T, model.config.n_embd)
    tokens = torch.zeros(B, T, dtype=torch.long)
    return {
        "embedded": tuple((model.wte(tokens) + model.wpe(torch.arange(T))).shape),
        "queries": tuple(block.attn.split_heads(x)[0].shape),
        "weights": tuple(block.attn.weights(x).shape),
        "inside mlp": tuple(block.mlp.c_fc(x).shape),
        "logits": tuple(model(tokens).shape),
    }
