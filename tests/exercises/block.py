"""Right and wrong answers to the exercises of chapter 06, on which its checkers are tested."""

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


ALTERNATIVES = {
    "block_parameters": [counted, lambda n, bias=True: 12 * n * n + (13 * n if bias else 2 * n)],
    "parallel_block": [
        written_out,
        lambda x, ln, attn, mlp: sum(part(n) for n in [ln(x)] for part in (attn, mlp)) + x,
    ],
}

BUGS = {
    "block_parameters": {
        "matrices only": lambda n, bias=True: 12 * n * n,
        "biases always": lambda n, bias=True: counted(n, True),
        "biases never": lambda n, bias=True: counted(n, False),
        "projection forgotten": lambda n, bias=True: counted(n, bias) - n * n,
        "inside as wide as outside": lambda n, bias=True: counted(n, bias) - 6 * n * n,
        "one LayerNorm": lambda n, bias=True: counted(n, bias) - (2 * n if bias else n),
    },
    "parallel_block": {
        "one after the other": ordinary,
        "stream normalised": lambda x, ln, attn, mlp: (lambda n: n + attn(n) + mlp(n))(ln(x)),
        "nothing normalised": lambda x, ln, attn, mlp: x + attn(x) + mlp(x),
        "sum forgotten": lambda x, ln, attn, mlp: (lambda n: attn(n) + mlp(n))(ln(x)),
        "MLP forgotten": lambda x, ln, attn, mlp: x + attn(ln(x)),
        "normalised twice": lambda x, ln, attn, mlp: x + attn(ln(x)) + mlp(ln(x)),
        "changed in place": in_place,
        "post-norm": lambda x, ln, attn, mlp: ln(x + attn(x) + mlp(x)),
    },
}
