"""What readers might write for the tasks of chapter 06: other styles, and mistakes by their key words."""

RIGHT = {
    "MLP": [
        """
class MLP(nn.Module):
    def __init__(self, n_embd, dropout=0.0, bias=True):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.c_proj = Linear(n_in=4 * n_embd, n_out=n_embd, bias=bias)
        self.c_fc = Linear(n_in=n_embd, n_out=4 * n_embd, bias=bias)

    def forward(self, x):
        inside = self.c_fc(x)
        inside = nn.functional.gelu(inside, approximate="tanh")
        outside = self.c_proj(inside)
        return self.dropout(outside)
""",
    ],
    "Block": [
        """
class Block(nn.Module):
    def __init__(self, n_embd, n_head, block_size, dropout=0.0, bias=True):
        super().__init__()
        self.mlp = MLP(n_embd, dropout=dropout, bias=bias)
        self.attn = CausalSelfAttention(n_embd, n_head, block_size, dropout=dropout, bias=bias)
        self.ln_1, self.ln_2 = (LayerNorm(n_embd, bias=bias) for _ in range(2))

    def forward(self, x, cache=None):
        middle = x + self.attn(self.ln_1(x), cache=cache)
        return self.mlp(self.ln_2(middle)) + middle
""",
    ],
    "contributions": [
        """
def contributions(blocks, x):
    stream = [x]
    for block in blocks:
        stream.append(stream[-1] + block.attn(block.ln_1(stream[-1])))
        stream.append(stream[-1] + block.mlp(block.ln_2(stream[-1])))
    return [x, *(after - before for before, after in zip(stream, stream[1:]))]
""",
        """
def contributions(blocks, x):
    written, stream = [x], x.clone()
    for block in blocks:
        written.append(block.attn(block.ln_1(stream)))
        stream += written[-1]
        written.append(block.mlp(block.ln_2(stream)))
        stream += written[-1]
    return tuple(written)
""",
    ],
}
SAME = {}  # no change of the blanks computes the same
BUGS = {
    "MLP": [
        ("Linear(n_embd, 4 * n_embd, bias)", "nn.Linear(n_embd, 4 * n_embd, bias)", "chapter 04"),
        ("Dropout(dropout)", "Dropout(0.1)", "with dropout="),
        ("gelu(self.c_fc(x))", "self.c_fc(x)", "GELU is missing"),
        ("gelu(self.c_fc(x))", "nn.functional.gelu(self.c_fc(x))", "exact form"),
        ("gelu(self.c_fc(x))", "self.c_fc(x).relu()", "ReLU"),
        ("self.c_proj(gelu(self.c_fc(x)))", "gelu(self.c_proj(self.c_fc(x)))", "between the two layers"),
        (
            "return self.dropout(self.c_proj(gelu(self.c_fc(x))))",
            "return x + self.dropout(self.c_proj(gelu(self.c_fc(x))))",
            "adds x",
        ),
        (
            "self.dropout(self.c_proj(gelu(self.c_fc(x))))",
            "self.c_proj(gelu(self.c_fc(x)))",
            "nothing is dropped",
        ),
        (
            "self.dropout(self.c_proj(gelu(self.c_fc(x))))",
            "self.c_proj(self.dropout(gelu(self.c_fc(x))))",
            "after c_proj",
        ),
        ("Dropout(dropout)", "Dropout(0.0)", "drops"),
        ("4 * n_embd, bias)", "4 * n_embd)", "parameters"),
        ("4 * n_embd", "3 * n_embd", "parameters"),
        ("self.c_proj(gelu(self.c_fc(x)))", "gelu(self.c_fc(x))", "shape"),
    ],
    "Block": [
        ("read = self.ln_1(x)", "read = x", "attention reads x as it is"),
        ("self.mlp(self.ln_2(x))", "self.mlp(x)", "MLP reads x as it is"),
        ("read = self.ln_1(x)", "read = x = self.ln_1(x)", "normalised x is added"),
        ("x = x + written", "x = written", "first sum"),
        ("return x + self.mlp(self.ln_2(x))", "return self.mlp(self.ln_2(x))", "second sum"),
        ("return x + self.mlp(self.ln_2(x))", "return x", "MLP is missing"),
        ("self.mlp(self.ln_2(x))", "self.mlp(self.ln_1(x))", "ln_1 is used twice"),
        ("x = x + written", "x += written", "in place"),
        (
            "x = x + written\n        return x + self.mlp(self.ln_2(x))",
            "return x + written + self.mlp(self.ln_2(x))",
            "before attention",
        ),
        (
            "x = x + written\n        return x + self.mlp(self.ln_2(x))",
            "return x + self.mlp(self.ln_2(x + written))",
            "lost",
        ),
        (
            "x = x + written\n        return x + self.mlp(self.ln_2(x))",
            "x = self.ln_1(x + self.attn(x))\n        return self.ln_2(x + self.mlp(x))",
            "post-norm",
        ),
        ("x = x + written", "x = x + x", "x is added to itself"),
        ("block_size, dropout, bias)", "block_size, 0.0, bias)", "attn.attn_dropout"),
        ("MLP(n_embd, dropout, bias)", "MLP(n_embd, 0.0, bias)", "mlp.dropout"),
        ("self.ln_2 = LayerNorm(n_embd, bias)", "self.ln_2 = self.ln_1", "missing"),
        ("LayerNorm(n_embd, bias)", "LayerNorm(n_embd)", "too many"),
        ("self.attn(read, cache)", "self.attn(read)", "cache"),
    ],
    "contributions": [
        (
            "        for ln, part in ((block.ln_1, block.attn), (block.ln_2, block.mlp)):\n            written.append(part(ln(x)))\n            x = x + written[-1]\n",  # noqa: E501
            "        x = block(x)\n        written.append(x)\n",
            "each write one",
        ),
        ("written = [x]", "written = []", "the input comes first"),
        ("part(ln(x))", "part(x)", "not normalised"),
        ("written.append(part(ln(x)))", "written.append(x + part(ln(x)))", "without the sum"),
        ("x = x + written[-1]", "x += written[-1]", "in place"),
        ("            x = x + written[-1]\n", "", "before attention"),
        ("part(ln(x))", "part(ln(written[0]))", "it reads the"),
        (
            "for ln, part in ((block.ln_1, block.attn), (block.ln_2, block.mlp)):",
            "for ln, part in ((block.ln_1, block.attn),):",
            "each write one",
        ),
        ("return written", "return sum(written)", "return a list"),
        ("return written", "return written[::-1]", "the input comes first"),
        (
            "((block.ln_1, block.attn), (block.ln_2, block.mlp))",
            "((block.ln_2, block.mlp), (block.ln_1, block.attn))",
            "off by",
        ),
    ],
}
