"""What readers might write for the tasks of chapter 05: other styles, and mistakes by their key words."""

RIGHT = {
    "causal_mask": [
        """
def causal_mask(T, device=None):
    steps = torch.arange(T, device=device)
    return steps[:, None] >= steps
""",
        """
def causal_mask(T, device=None):
    rows = [[s <= t for s in range(T)] for t in range(T)]
    return torch.tensor(rows, device=device)
""",
    ],
    "attention_weights": [
        """
def attention_weights(q, k, mask=None):
    scores = torch.einsum("...td,...sd->...ts", q, k) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(-math.inf, dtype=scores.dtype))
    shifted = (scores - scores.amax(-1, keepdim=True)).exp()
    return shifted / shifted.sum(-1, keepdim=True)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "CausalSelfAttention": {
        "y.transpose(1, 2) → y.transpose(2, 1)": "their order does not matter",
        "t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) → "
        "t.view(B, T, self.n_head, C // self.n_head).transpose(2, 1)": "their order does not matter",
    },
}
BUGS = {
    "causal_mask": [
        (".tril()", ".triu()", "transposed"),
        (".tril()", ".tril(-1)", "itself"),
        (".tril()", ".tril(1)", "future is open"),
        (".tril()", "", "nothing is masked"),
        ("dtype=torch.bool, ", "", "torch.bool"),
        (
            "torch.ones(T, T, dtype=torch.bool, device=device).tril()",
            "~torch.ones(T, T, dtype=torch.bool).tril()",
            "inverted",
        ),
        ("torch.ones(T, T,", "torch.ones(T, T + 1,", "shape"),
    ],
    "attention_weights": [
        ("-math.inf", "-1e9", "exactly 0"),
        ("-math.inf", "-10.0", "exactly 0"),
        (" / math.sqrt(q.shape[-1])", " * math.sqrt(q.shape[-1])", "multiplied"),
        ("math.sqrt(q.shape[-1])", "math.sqrt(q.shape[-2])", "√T"),
        ("k.mT / math.sqrt(q.shape[-1])", "k.mT", "not divided"),
        (
            "return scores.softmax(dim=-1)",
            "return (scores * math.sqrt(q.shape[-1])).softmax(dim=-1) / math.sqrt(q.shape[-1])",
            "before the softmax",
        ),
        (" / math.sqrt(q.shape[-1])", "", "not divided"),
        ("math.sqrt(q.shape[-1])", "q.shape[-1]", "root"),
        ("dim=-1", "dim=-2", "over the queries"),
        ("mask is not None", "mask is None", ""),
        ("scores = scores.masked_fill(~mask, -math.inf)", "pass", "mask is ignored"),
        ("return scores.softmax(dim=-1)", "return scores", "no softmax"),
        ("~mask", "mask", "nan"),
        ("q @ k.mT", "k @ q.mT", "swapped"),
        ("-math.inf", "0.0", "exactly 0"),
    ],
    "CausalSelfAttention": [
        ("self.resid_dropout(self.c_proj(y))", "self.c_proj(self.resid_dropout(y))", "what c_proj gives"),
        (
            "self.attn_dropout(attention_weights(q, k, mask))",
            "self.attn_dropout(q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf).softmax(-1)",
            "after the softmax",
        ),
        ("Linear(n_embd, n_embd, bias)", "nn.Linear(n_embd, n_embd, bias)", "chapter 04"),
        ("self.resid_dropout = Dropout(dropout)", "self.resid_dropout = Dropout(0.1)", "with dropout=0"),
        ("for t in (q, k, v))", "for t in (q, k, k))", "keys stand for values"),
        ("for t in (q, k, v))", "for t in (q, q, v))", "queries stand for keys"),
        (
            "view(B, T, self.n_head, C // self.n_head).transpose(1, 2)",
            "view(B, T, C // self.n_head, self.n_head).permute(0, 3, 1, 2)",
            "in turn",
        ),
        ("3 * n_embd, bias)", "3 * n_embd)", "parameters"),
        (
            "self.c_attn = Linear(n_embd, 3 * n_embd, bias)",
            "self.c_attn = Linear(n_embd, n_embd, bias)",
            "parameters",
        ),
        ("self.attn_dropout = Dropout(dropout)", "self.attn_dropout = Dropout(0.0)", "drop"),
        ("self.attn_dropout(attention_weights(q, k, mask))", "attention_weights(q, k, mask)", "attn_dropout"),
        ("(q, k, mask))", "(q, k, None))", "see the future"),
        ("y.transpose(1, 2).flatten(2)", "y.reshape(*x.shape)", "without the transpose"),
        ("return self.resid_dropout(self.c_proj(y))", "return self.resid_dropout(y)", "c_proj is missing"),
        ("return self.resid_dropout(self.c_proj(y))", "return self.c_proj(y)", "resid_dropout"),
        ("q, k, v = self.c_attn(x)", "k, q, v = self.c_attn(x)", "queries and keys are swapped"),
        ("q, k, v = self.c_attn(x)", "q, v, k = self.c_attn(x)", "keys and values are swapped"),
        (
            "t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)",
            "t.reshape(B, self.n_head, T, C // self.n_head)",
            "then transpose(1, 2)",
        ),
        (".transpose(1, 2) for t", " for t", "split_heads"),
    ],
}
