"""Right and wrong answers to the exercises of chapter 07, on which its checkers are tested."""

import torch
from torch import nn

from gptlib.gpt import GPT, initialise


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


MATRICES = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def to_ours(state_dict, turned=lambda name, t: name.endswith(MATRICES), prefix="transformer.", masks=False):
    """The right names, or with one thing wrong."""
    return {
        name.removeprefix(prefix): t.T if turned(name, t) else t
        for name, t in state_dict.items()
        if masks or not name.endswith((".attn.bias", ".attn.masked_bias"))
    }


def without_head(state_dict):
    ours = to_ours(state_dict)
    del ours["lm_head.weight"]
    return {name: t.contiguous() for name, t in ours.items()}


def start(model, into_stream=lambda n_layer: (2 * n_layer) ** -0.5, kinds=("c_proj.weight",), vectors=True):
    """GPT-2's start with torch's own functions, or with one thing wrong."""
    for name, p in model.named_parameters():
        if p.ndim == 2:
            scale = into_stream(model.config.n_layer) if name.endswith(tuple(kinds)) else 1
            nn.init.normal_(p, 0.0, 0.02 * scale)
        elif vectors:
            nn.init.constant_(p, float("ln_" in name and name.endswith("weight")))


def start_untied(model):
    start(model)
    model.lm_head.weight = nn.Parameter(model.wte.weight.detach().clone())


def start_some(model):
    """The blocks only: the tables are left as they were."""
    before = {name: model.get_parameter(name).detach().clone() for name in ("wte.weight", "wpe.weight")}
    start(model)
    with torch.no_grad():
        for name, numbers in before.items():
            model.get_parameter(name).copy_(numbers)


def start_uniform(model):
    start(model)
    for p in model.parameters():
        if p.ndim == 2:
            spread = p.std().item() * 3**0.5
            nn.init.uniform_(p, -spread, spread)


def then(change):
    """The right start, and then something done to each parameter."""

    @torch.no_grad()
    def attempt(model):
        start(model)
        for name, p in model.named_parameters():
            change(name, p)

    return attempt


@torch.no_grad()
def start_by_modules(model):
    for name, module in model.named_modules():
        if hasattr(module, "eps"):
            module.weight.fill_(1), module.bias.fill_(0)
        elif getattr(module, "weight", None) is not None and name != "lm_head":
            std = 0.02 / (2 * model.config.n_layer) ** 0.5 if name.endswith("c_proj") else 0.02
            module.weight.copy_(std * torch.randn_like(module.weight))
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()


def by_formula(c):
    """The count by its parts."""
    C = c.n_embd
    block = 4 * C * C + 4 * C + 8 * C * C + 5 * C + 4 * C
    return sum((c.vocab_size * C, c.block_size * C, c.n_layer * block, 2 * C))


ALTERNATIVES = {
    "count_parameters": [by_formula, lambda c: torch.tensor(by_formula(c))],
    "shapes": [right_shapes],
    "to_our_names": [to_ours, without_head],
    "start_weights": [start, start_by_modules],
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
    "to_our_names": {
        "nothing transposed": (lambda sd: to_ours(sd, lambda name, t: False), "[n_in, n_out]"),
        "all matrices transposed": (lambda sd: to_ours(sd, lambda name, t: t.ndim == 2), "is a table"),
        "the square one forgotten": (
            lambda sd: to_ours(sd, lambda name, t: name.endswith(MATRICES) and t.shape[0] != t.shape[1]),
            "square",
        ),
        "only attention transposed": (
            lambda sd: to_ours(sd, lambda name, t: name.endswith(MATRICES) and ".attn." in name),
            "h.0.mlp.c_fc.weight is not transposed",
        ),
        "prefix kept": (lambda sd: to_ours(sd, prefix="model."), "prefix"),
        "masks kept": (lambda sd: to_ours(sd, masks=True), "mask"),
        "reshaped instead of transposed": (
            lambda sd: {
                name: sd["transformer." * (name != "lm_head.weight") + name].reshape(t.shape)
                for name, t in to_ours(sd).items()
            },
            "not a reshape",
        ),
        "biases lost": (
            lambda sd: {n: t for n, t in to_ours(sd).items() if not n.endswith("c_fc.bias")},
            "missing: h.0.mlp.c_fc.bias",
        ),
        "a weight taken for a mask": (
            lambda sd: {n: t for n, t in to_ours(sd).items() if not n.endswith("attn.bias")},
            "no mask",
        ),
        "other numbers": (lambda sd: {n: t + 1 for n, t in to_ours(sd).items()}, "other numbers"),
    },
    "start_weights": {
        "no exception": (lambda m: start(m, lambda n: 1), "must be smaller"),
        "√n_layer": (lambda m: start(m, lambda n: n**-0.5), "writes twice"),
        "no root": (lambda m: start(m, lambda n: 1 / (2 * n)), "variances"),
        "attention's projection only": (
            lambda m: start(m, kinds=("attn.c_proj.weight",)),
            "mlp.c_proj.weight",
        ),
        "all matrices smaller": (lambda m: start(m, kinds=("weight",)), "does not write"),
        "vectors left alone": (lambda m: start(m, vectors=False), "is as it was"),
        "tables left alone": (start_some, "wte.weight is as it was"),
        "LayerNorm scale 0": (
            then(lambda name, p: p.zero_() if "ln_" in name else None),
            "LayerNorm's scale",
        ),
        "random biases": (
            then(lambda name, p: p.normal_(0, 0.02) if name.endswith("bias") else None),
            "it is a bias",
        ),
        "shifted": (then(lambda name, p: p.add_(0.01) if p.ndim == 2 else None), "mean"),
        "uniform": (start_uniform, "not normal"),
        "tables of variance 1": (
            then(lambda name, p: p.normal_() if name.startswith("w") else None),
            "times the deviation",
        ),
        "untied": (start_untied, "one table"),
        "not in place": (lambda m: initialise(GPT(m.config)), "the model is as it was"),
    },
}
