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


@exercise(difficulty=2, minutes=10)
def to_our_names(attempt):
    """attempt(state dict as GPT-2 stores it) -> {name: tensor} that fits our GPT."""
    from gptlib.gpt import GPT, GPTConfig

    for sizes, seed in (((11, 6, 2, 2, 8), 0), ((7, 5, 1, 1, 4), 1)):
        model = GPT(GPTConfig(*sizes), torch.Generator().manual_seed(seed)).double()
        right = {name: tensor + torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
        right["lm_head.weight"] = right["wte.weight"]
        found = attempt(as_gpt2_stores_it(right))
        expect(isinstance(found, dict), f"return a dictionary, not {type(found).__name__}")
        names = found.keys() - {"lm_head.weight"}
        expect(
            not any(n.startswith("transformer.") for n in names), "the prefix `transformer.` is still there"
        )
        masks = sorted(n for n in names if n.endswith((".attn.bias", ".attn.masked_bias")))
        expect(
            not masks,
            f"{masks[0] if masks else None} is a mask that GPT-2 stored beside its weights: leave it out",
        )
        wanted = right.keys() - {"lm_head.weight"}
        expect(names >= wanted, f"missing: {', '.join(sorted(wanted - names)[:3])}")
        expect(names <= wanted, f"not in our model: {', '.join(sorted(names - wanted)[:3])}")
        for name in sorted(names):
            yours, ours = found[name], right[name]
            if ours.ndim == 2 and yours.shape == ours.T.shape and torch.equal(yours, ours.T):
                square = ours.shape[0] == ours.shape[1]
                fits = ": it is square, so it fits, and is wrong" if square else ""
                expect(False, f"{name} is turned the wrong way{fits}")
            expect(yours.shape == ours.shape, f"{name}: {list(yours.shape)} instead of {list(ours.shape)}")
            expect(torch.equal(yours, ours), f"{name} holds other numbers than it should")
        if "lm_head.weight" in found:
            expect(torch.equal(found["lm_head.weight"], right["wte.weight"]), "lm_head.weight is wte.weight")


def as_gpt2_stores_it(weights: dict) -> dict:
    """Our state dict in GPT-2's clothes: a prefix, four matrices turned over, a mask in each block."""
    stored = {}
    for name, tensor in weights.items():
        turned = tensor.ndim == 2 and name.startswith("h.")
        prefix = "" if name == "lm_head.weight" else "transformer."
        stored[prefix + name] = tensor.T.contiguous() if turned else tensor
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
        expect(
            model.lm_head.weight is model.wte.weight, "lm_head.weight and wte.weight are no longer one table"
        )
        for name, p in model.named_parameters():
            check_start(name, p.detach(), n_layer)


def check_start(name: str, p: torch.Tensor, n_layer: int) -> None:
    """One parameter after the start."""
    if p.ndim == 1:
        wanted = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        expect((p == wanted).all(), f"{name} must be {wanted:g} everywhere")
        return
    into_stream = name.endswith("c_proj.weight")
    wanted = 0.02 / (2 * n_layer) ** 0.5 if into_stream else 0.02
    found = p.std().item()
    known = {
        "it writes into the stream, and is not made smaller": 0.02,
        "divide by √(2·n_layer), not √n_layer: a block writes twice": 0.02 / n_layer**0.5,
        "divide by the root of 2·n_layer: variances add up": 0.02 / (2 * n_layer),
    }
    for hint, mistaken in known.items():
        if into_stream and abs(found / mistaken - 1) < 0.06:
            expect(
                False, f"{name} with {n_layer} layers: deviation {found:.4f}, should be {wanted:.4f}; {hint}"
            )
    expect(
        abs(found / wanted - 1) < 0.06,
        f"{name} with {n_layer} layers: deviation {found:.4f}, should be {wanted:.4f}",
    )
    expect(abs(p.mean()) < 6 * wanted / p.numel() ** 0.5, f"{name} has the mean {p.mean():.4f}, should be 0")
    within = (p.abs() < wanted).float().mean().item()  # 0.683 for normal numbers, 0.577 for uniform ones
    expect(
        abs(within - 0.683) < 0.05, f"{name} is not normal: {within:.0%} lie within one deviation, not 68%"
    )
