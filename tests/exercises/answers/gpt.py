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


ALTERNATIVES = {
    "count_parameters": [counted],
    "shapes": [right_shapes],
    "to_our_names": [to_ours, without_head],
    "start_weights": [start, start_by_modules],
}

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
    "to_our_names": {
        "nothing turned over": lambda sd: to_ours(sd, lambda name, t: False),
        "all matrices turned over": lambda sd: to_ours(sd, lambda name, t: t.ndim == 2),
        "the square one forgotten": lambda sd: to_ours(
            sd, lambda name, t: name.endswith(MATRICES) and t.shape[0] != t.shape[1]
        ),
        "only attention turned over": lambda sd: to_ours(
            sd, lambda name, t: name.endswith(MATRICES) and ".attn." in name
        ),
        "prefix kept": lambda sd: to_ours(sd, prefix="model."),
        "masks kept": lambda sd: to_ours(sd, masks=True),
        "viewed instead of turned over": lambda sd: {
            name: sd["transformer." * (name != "lm_head.weight") + name].reshape(t.shape)
            for name, t in to_ours(sd).items()
        },
        "biases lost": lambda sd: {n: t for n, t in to_ours(sd).items() if not n.endswith("c_fc.bias")},
    },
    "start_weights": {
        "no exception": lambda m: start(m, lambda n: 1),
        "√n_layer": lambda m: start(m, lambda n: n**-0.5),
        "no root": lambda m: start(m, lambda n: 1 / (2 * n)),
        "attention's projection only": lambda m: start(m, kinds=("attn.c_proj.weight",)),
        "all matrices smaller": lambda m: start(m, kinds=("weight",)),
        "vectors left alone": lambda m: start(m, vectors=False),
        "LayerNorm scale 0": then(lambda name, p: p.zero_() if "ln_" in name else None),
        "random biases": then(lambda name, p: p.normal_(0, 0.02) if name.endswith("bias") else None),
        "shifted": then(lambda name, p: p.add_(0.01) if p.ndim == 2 else None),
        "uniform": start_uniform,
        "tables of variance 1": then(lambda name, p: p.normal_() if name.startswith("w") else None),
        "untied": start_untied,
        "not in place": lambda m: initialise(GPT(m.config)),
    },
}
