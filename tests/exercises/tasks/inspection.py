"""What readers might write for gptlib.inspection: other styles, and mistakes by their key words."""

RIGHT = {
    "head_writes": [
        """
def head_writes(attn, x):
    C = x.shape[-1]
    size = C // attn.n_head
    weights, values = attn.weights(x), attn.split_heads(x)[-1]
    written = []
    for h in range(attn.n_head):
        fetched = weights[:, h] @ values[:, h]
        written.append(fetched @ attn.c_proj.weight[:, h * size : (h + 1) * size].T)
    return torch.stack(written, dim=1)
""",
        """
def head_writes(attn, x):
    B, T, C = x.shape
    v = attn.c_attn(x)[..., 2 * C :].view(B, T, attn.n_head, -1).transpose(1, 2)
    columns = attn.c_proj.weight.view(C, attn.n_head, -1)
    return torch.einsum("bhts,chs->bhtc", attn.weights(x) @ v, columns).detach()
""",
    ],
    "decompose": [
        """
@torch.no_grad()
def decompose(model, idx):
    T = idx.shape[1]
    parts = {}
    parts["token"] = model.wte(idx)
    parts["position"] = model.wpe(torch.arange(T))[None].repeat(len(idx), 1, 1)
    for layer, block in enumerate(model.h):
        read = block.ln_1(sum(parts.values()))
        heads = head_writes(block.attn, read)
        for head in range(heads.shape[1]):
            parts[f"head {layer}.{head}"] = heads[:, head]
        if block.attn.c_proj.bias is not None:
            parts[f"bias {layer}"] = block.attn.c_proj.bias[None, None].expand(len(idx), T, -1)
        parts[f"mlp {layer}"] = block.mlp(block.ln_2(sum(parts.values())))
    return parts
""",
    ],
    "lens": [
        """
@torch.no_grad()
def lens(model, idx):
    rows = []
    for x in residual_stream(model, idx).unbind(0):
        rows.append(model.ln_f(x) @ model.lm_head.weight.T)
    return torch.stack(rows, dim=0)
""",
        """
@torch.no_grad()
def lens(model, idx):
    return model.lm_head(model.ln_f(residual_stream(model, idx)))
""",
    ],
    "induction_score": [
        """
def induction_score(weights, period):
    T = weights.shape[-1]
    t = torch.arange(period, T)
    return weights[..., t, t - period + 1].mean(-1)
""",
        """
def induction_score(weights, period):
    total = 0
    for t in range(period, weights.shape[-1]):
        total = total + weights[..., t, t + 1 - period]
    return total / (weights.shape[-1] - period)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "decompose": {
        "model.wpe(torch.arange(idx.shape[1], device=idx.device)).expand_as(token) → "
        "model.wpe(torch.arange(idx.shape[1], device=idx.device))": "the check asks for the shape [B, T, C]",
    },
}
BUGS = {
    "head_writes": [
        ("attn.split_heads(x)[2]", "attn.split_heads(x)[1]", "keys instead of values"),
        ("attn.weights(x) @ values", "values", "weights are missing"),
        (
            "(C, attn.n_head, C // attn.n_head)",
            "(C, C // attn.n_head, attn.n_head).transpose(1, 2)",
            "side by side",
        ),
        ("attn.c_proj.weight.view", "attn.c_proj.weight.T.reshape", "rows of c_proj.weight"),
        ("return fetched @ columns.permute(1, 2, 0)", "return fetched", "shape"),
        (
            "return fetched @ columns.permute(1, 2, 0)",
            "b = attn.c_proj.bias\n    return fetched @ columns.permute(1, 2, 0) + (0 if b is None else b)",
            "belongs to no head",
        ),
        (
            "return fetched @ columns.permute(1, 2, 0)",
            "y = fetched @ columns.permute(1, 2, 0)\n    b = attn.c_proj.bias\n"
            "    return y if b is None else y + b / attn.n_head",
            "nor a share",
        ),
        (
            "return fetched @ columns.permute(1, 2, 0)",
            "return (fetched @ columns.permute(1, 2, 0)).sum(dim=1)",
            "shape",
        ),
    ],
    "decompose": [
        ("read = block.ln_1(x)", "read = x", "the attention reads ln_1"),
        (
            '        x = x + block.attn(read)\n        parts[f"mlp {layer}"] = block.mlp(block.ln_2(x))\n',
            '        parts[f"mlp {layer}"] = block.mlp(block.ln_2(x))\n        x = x + block.attn(read)\n',
            "already written to",
        ),
        ("block.mlp(block.ln_2(x))", "block.mlp(x)", "reads ln_2 of the stream"),
        ("block.mlp(block.ln_2(x))", "block.mlp(block.ln_1(x))", "not ln_1"),
        ("block.mlp(block.ln_2(x))", "x + block.mlp(block.ln_2(x))", "alone, without the stream"),
        ('"token": token', '"token": token + position', "that table's row alone"),
        ("if block.attn.c_proj.bias is not None:", "if False:", "in this order"),
        ('f"head {layer}.{head}"', 'f"head {head}.{layer}"', "in this order"),
        ("head_writes(block.attn, read)", "head_writes(block.attn, x)", "reads ln_1"),
        ('        x = x + parts[f"mlp {layer}"]\n', "", "add up to"),
    ],
    "lens": [
        ("model.lm_head(model.ln_f(x))", "model.lm_head(x)", "ln_f is missing"),
        ("model.lm_head(model.ln_f(x))", "model.lm_head(model.ln_f(x)).softmax(dim=-1)", "no softmax"),
        ("residual_stream(model, idx)]", "residual_stream(model, idx).flip(0)]", "reverse order"),
        ("residual_stream(model, idx)]", "residual_stream(model, idx)[1:]]", "n_layer + 1 rows"),
        ("model.ln_f(x)", "model.ln_f(model.ln_f(x))", "twice"),
        ("return torch.stack", "torch.stack", "None"),
    ],
    "induction_score": [
        ("offset=1 - period", "offset=-period", "the same token"),
        ("offset=1 - period", "offset=2 - period", "too late"),
        ("diagonal[..., 1:]", "diagonal", "repeats nothing yet"),
        ("diagonal[..., 1:]", "diagonal[..., 2:]", "left out"),
        (".mean(dim=-1)", ".sum(dim=-1)", "a sum instead"),
        ("diagonal[..., 1:].mean(dim=-1)", "diagonal[..., 1:].mean()", "shape"),
        ("dim1=-2, dim2=-1", "dim1=-1, dim2=-2", ""),
    ],
}
