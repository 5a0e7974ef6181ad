"""Right and wrong answers to the exercises of chapter 06, on which its checkers are tested."""

import copy

import numpy as np
import torch
from torch import nn

from gptlib.block import Block


def counted(n_embd, bias=True):
    return sum(p.numel() for p in Block(n_embd, 1, 1, bias=bias).parameters())


def written_out(x, ln, attn, mlp):
    n = ln(x)
    y = x.clone()
    y += attn(n)
    y += mlp(n)
    return y


def in_place(x, ln, attn, mlp):
    n = ln(x)
    x += attn(n) + mlp(n)
    return x


def ordinary(x, ln, attn, mlp):
    x = x + attn(ln(x))
    return x + mlp(ln(x))


@torch.no_grad()
def zeroed(block, names=("attn.c_proj.weight", "attn.c_proj.bias", "mlp.c_proj.weight", "mlp.c_proj.bias")):
    for name, p in block.named_parameters():
        if name in names:
            p.zero_()


def zeroed_one_by_one(block):
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        nn.init.zeros_(projection.weight)
        nn.init.constant_(projection.bias, 0.0)


def frozen(block):
    zeroed(block)
    block.requires_grad_(False)


def by_formula(n, bias=True):
    return 12 * n * n + (13 * n if bias else 2 * n)


ALTERNATIVES = {
    "begin_as_nothing": [zeroed, zeroed_one_by_one],
    "block_parameters": [by_formula, lambda n, bias: np.int64(by_formula(n, bias))],
    "parallel_block": [
        written_out,
        lambda x, ln, attn, mlp: sum(part(n) for n in [ln(x)] for part in (attn, mlp)) + x,
    ],
}

BUGS = {
    "begin_as_nothing": {
        "attention only": (lambda b: zeroed(b, ("attn.c_proj.weight", "attn.c_proj.bias")), "the MLP"),
        "MLP only": (lambda b: zeroed(b, ("mlp.c_proj.weight", "mlp.c_proj.bias")), "attention"),
        "biases forgotten": (lambda b: zeroed(b, ("attn.c_proj.weight", "mlp.c_proj.weight")), "the bias"),
        "everything": (lambda b: zeroed(b, [name for name, _ in b.named_parameters()]), "as few"),
        "LayerNorm too": (lambda b: (zeroed(b), nn.init.zeros_(b.ln_1.weight)), "ln_1.weight"),
        "a small number": (
            lambda b: [
                nn.init.constant_(p, 1e-6) for part in (b.attn, b.mlp) for p in part.c_proj.parameters()
            ],
            "not 0",
        ),
        "frozen": (frozen, "requires_grad"),
        "nothing done": (lambda b: None, "no weight"),
        "a copy": (lambda b: zeroed(copy.deepcopy(b)), "in place"),
    },
    "block_parameters": {
        "matrices only": (lambda n, bias=True: 12 * n * n, "LayerNorm and biases are missing"),
        "biases always": (lambda n, bias=True: by_formula(n, True), "without bias"),
        "biases never": (lambda n, bias=True: by_formula(n, False), "with bias"),
        "projection forgotten": (lambda n, bias=True: by_formula(n, bias) - n * n, "c_proj"),
        "inside as wide as outside": (lambda n, bias=True: by_formula(n, bias) - 6 * n * n, "4C wide"),
        "one LayerNorm": (
            lambda n, bias=True: by_formula(n, bias) - (2 * n if bias else n),
            "two LayerNorms",
        ),
        "a float": (lambda n, bias=True: by_formula(n, bias) / 1, "float"),
        "counted in a block": (counted, "formula"),
    },
    "parallel_block": {
        "one after the other": (ordinary, "the ordinary block"),
        "stream normalised": (
            lambda x, ln, attn, mlp: (lambda n: n + attn(n) + mlp(n))(ln(x)),
            "as it came in",
        ),
        "nothing normalised": (lambda x, ln, attn, mlp: x + attn(x) + mlp(x), "read the normalised x"),
        "sum forgotten": (lambda x, ln, attn, mlp: (lambda n: attn(n) + mlp(n))(ln(x)), "not added"),
        "MLP forgotten": (lambda x, ln, attn, mlp: x + attn(ln(x)), "the mlp is missing"),
        "MLP after attention": (
            lambda x, ln, attn, mlp: (lambda a: x + a + mlp(a))(attn(ln(x))),
            "what attention wrote",
        ),
        "normalised twice": (lambda x, ln, attn, mlp: x + attn(ln(x)) + mlp(ln(x)), "once"),
        "changed in place": (in_place, "in place"),
        "post-norm": (lambda x, ln, attn, mlp: ln(x + attn(x) + mlp(x)), "post-norm"),
    },
}
