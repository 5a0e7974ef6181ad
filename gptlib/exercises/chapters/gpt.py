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


@exercise(difficulty=2, minutes=10)
def to_our_names(attempt):
    """attempt(state dict as GPT-2 stores it) -> {name: tensor} that fits our GPT."""
    from gptlib.gpt import GPT, GPTConfig

    for sizes, seed in (((11, 6, 2, 2, 8), 0), ((7, 5, 1, 1, 4), 1)):
        model = GPT(GPTConfig(*sizes), torch.Generator().manual_seed(seed)).double()
        right = {name: tensor + torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
        right["lm_head.weight"] = right["wte.weight"]
        found = attempt(as_gpt2_stores_it(right))
        expect(isinstance(found, dict), f"return a dictionary, not {kind(found)}")
        check_names(found.keys() - {"lm_head.weight"}, right.keys() - {"lm_head.weight"})
        for name in sorted(found.keys() - {"lm_head.weight"}):
            check_tensor(name, found[name], right[name])
        if "lm_head.weight" in found:
            expect(torch.equal(found["lm_head.weight"], right["wte.weight"]), "lm_head.weight is wte.weight")


def check_names(found: set, wanted: set) -> None:
    """Whether the names are those of our model."""
    prefixed = any(name.startswith("transformer.") for name in found)
    expect(not prefixed, "the prefix `transformer.` is still there")
    masks = sorted(name for name in found if name.endswith((".attn.bias", ".attn.masked_bias")))
    expect(not masks, f"{', '.join(masks[:1])} is a mask that GPT-2 stored beside its weights: leave it out")
    biases = sorted(name for name in wanted - found if name.endswith("attn.c_attn.bias"))
    expect(not biases, f"missing: {', '.join(biases[:1])}, which is a weight and no mask")
    expect(found >= wanted, f"missing: {', '.join(sorted(wanted - found)[:3])}")
    expect(found <= wanted, f"not in our model: {', '.join(sorted(found - wanted)[:3])}")


def check_tensor(name: str, yours: torch.Tensor, ours: torch.Tensor) -> None:
    """Whether a tensor is ours, the four matrices of a block transposed."""
    if ours.ndim == 2 and yours.shape == ours.T.shape and torch.equal(yours, ours.T):
        expect(name.startswith("h."), f"{name} is a table, which GPT-2 stores as we do: do not transpose it")
        square = ours.shape[0] == ours.shape[1]
        expect(not square, f"{name} is not transposed: it is square, so it fits, and is wrong")
        expect(False, f"{name} is not transposed: GPT-2 stores it as [n_in, n_out]")
    expect(yours.shape == ours.shape, f"{name}: {list(yours.shape)} instead of {list(ours.shape)}")
    reshaped = torch.equal(yours.flatten(), ours.T.flatten()) if ours.ndim == 2 else False
    expect(not reshaped, f"{name} has the right shape and the order of its transpose: use .T, not a reshape")
    expect(torch.equal(yours, ours), f"{name} holds other numbers than it should")


def as_gpt2_stores_it(weights: dict) -> dict:
    """Our state dict as GPT-2's: a prefix, four matrices of a block transposed, a mask in each block."""
    stored = {}
    for name, tensor in weights.items():
        transposed = tensor.ndim == 2 and name.startswith("h.")
        prefix = "" if name == "lm_head.weight" else "transformer."
        stored[prefix + name] = tensor.T.contiguous() if transposed else tensor
        if name.endswith("ln_1.weight"):
            block = name.removesuffix("ln_1.weight")
            stored[f"transformer.{block}attn.bias"] = torch.ones(1, 1, 6, 6).tril()
            stored[f"transformer.{block}attn.masked_bias"] = torch.tensor(-1e4)
    return stored


@exercise(difficulty=2, minutes=15)
def start_weights(attempt):
    """attempt(model) sets all weights of a GPT in place, as GPT-2 begins."""
    from gptlib.gpt import GPT, GPTConfig

    for n_layer, seed in ((2, 0), (8, 1)):
        model = GPT(GPTConfig(200, 64, n_layer, 4, 64))
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(7.0)  # so that what is left alone shows
        torch.manual_seed(seed)
        attempt(model)
        tied = model.lm_head.weight is model.wte.weight
        expect(tied, "lm_head.weight and wte.weight are no longer one table: change the numbers in place")
        untouched = all((p == 7.0).all() for p in model.parameters())
        expect(not untouched, "the model is as it was: set its own tensors in place")
        for name, p in model.named_parameters():
            p = p.detach()
            expect((p != 7.0).any(), f"{name} is as it was: set it, whatever the model was made with")
            if p.ndim == 1:
                check_vector(name, p)
            else:
                check_matrix(name, p, n_layer)


def check_vector(name: str, p: torch.Tensor) -> None:
    """A bias, or a LayerNorm's scale or shift."""
    if "ln_" in name and name.endswith("weight"):
        expect((p == 1).all(), f"{name} must be 1 everywhere: it is LayerNorm's scale")
    else:
        expect((p == 0).all(), f"{name} must be 0 everywhere: it is a bias")


def check_matrix(name: str, p: torch.Tensor, n_layer: int) -> None:
    """A matrix or table: its deviation, mean and distribution."""
    found = p.std().item()
    into_stream = name.endswith("c_proj.weight")
    wanted = 0.02 / (2 * n_layer) ** 0.5 if into_stream else 0.02
    mistakes = {
        "it writes into the stream, so it must be smaller": 0.02,
        "divide by √(2·n_layer), not √n_layer: a block writes twice": 0.02 / n_layer**0.5,
        "divide by the root of 2·n_layer: variances add up": 0.02 / (2 * n_layer),
    }
    if not into_stream:
        mistakes = {
            "it does not write into the stream: no smaller than the others": 0.02 / (2 * n_layer) ** 0.5
        }
    where = f"{name} with {n_layer} layers has the deviation {found:.4f} and needs {wanted:.4f}: "
    if abs(found / wanted - 1) > 0.06:
        for message, mistaken in mistakes.items():
            expect(abs(found / mistaken - 1) > 0.06, where + message)
        expect(False, where + "normal numbers times the deviation")
    expect(abs(p.mean()) < 6 * wanted / p.numel() ** 0.5, f"{name} has the mean {p.mean():.4f}, it must be 0")
    within = (p.abs() < wanted).float().mean().item()  # 0.683 for normal numbers, 0.577 for uniform ones
    expect(
        abs(within - 0.683) < 0.05, f"{name} is not normal: {within:.0%} lie within one deviation, not 68%"
    )
