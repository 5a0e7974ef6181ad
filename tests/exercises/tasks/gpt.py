"""What readers might write for the tasks of chapter 07: other styles, and mistakes by their key words."""

# the methods that the task gives, for versions written from an empty page
GIVEN = """
    from_gpt2_state_dict = classmethod(lambda cls, state_dict, n_head: None)

    def to_gpt2_state_dict(self):
        return {}
"""
RIGHT = {
    "initialise": [
        """
def initialise(model, generator=None):
    for module_name, module in model.named_modules():
        if module_name == "lm_head" or getattr(module, "weight", None) is None:
            continue
        weight, bias = module.weight.data, getattr(module, "bias", None)
        if weight.ndim == 1:
            weight.fill_(1)
        else:
            std = 0.02 * (2 * model.config.n_layer) ** -0.5 if module_name.endswith(".c_proj") else 0.02
            weight.copy_(torch.randn(weight.shape, generator=generator) * std)
        if bias is not None:
            bias.data.zero_()
""",
        """
@torch.no_grad()
def initialise(model, generator=None):
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(p)
        elif "ln_" in name:
            nn.init.ones_(p)
        else:
            p.normal_(std=0.02, generator=generator)
            if "c_proj" in name:
                p /= math.sqrt(model.config.n_layer * 2)
""",
    ],
    "GPT": [
        """
class GPT(nn.Module):
    def __init__(self, config, generator=None):
        super().__init__()
        self.config = config
        self.lm_head = Linear(config.n_embd, config.vocab_size, bias=False)
        self.ln_f = LayerNorm(config.n_embd, bias=config.bias)
        self.h = nn.ModuleList()
        for _ in range(config.n_layer):
            self.h.append(Block(config.n_embd, config.n_head, config.block_size, config.dropout, config.bias))
        self.wte = Embedding(config.vocab_size, config.n_embd)
        self.wpe = Embedding(n=config.block_size, dim=config.n_embd)
        self.drop = Dropout(config.dropout)
        self.wte.weight = self.lm_head.weight
        initialise(self, generator)

    def hidden(self, idx, cache=None):
        T = idx.shape[1]
        where = torch.arange(T) if cache is None else cache.positions(T, idx.device)
        x = self.drop(self.wpe(where.expand(idx.shape)) + self.wte(idx))
        for layer, block in enumerate(self.h):
            x = block(x, cache and cache.layers[layer])
        return self.ln_f(x)

    def forward(self, idx, cache=None):
        return self.hidden(idx, cache) @ self.wte.weight.T
"""
        + GIVEN,
    ],
    "to_our_names": [
        """
def to_our_names(state_dict):
    ours = {}
    for name, tensor in state_dict.items():
        if name.startswith("transformer."):
            name = name[len("transformer."):]
        *_, last = name.split("attn.") if "attn." in name else [name]
        if last in ("bias", "masked_bias") and "c_" not in name:
            continue
        if name.startswith("h.") and tensor.ndim == 2:
            tensor = tensor.transpose(0, 1).contiguous()
        ours[name] = tensor
    return ours
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "GPT": {
        "Linear(C, config.vocab_size, bias=False) → "
        "Linear(config.vocab_size, C, bias=False)": "its matrix makes room for wte's",
    },
}
BUGS = {
    "initialise": [
        (" / math.sqrt(2 * model.config.n_layer)", "", "must be smaller"),
        ("math.sqrt(2 * model.config.n_layer)", "math.sqrt(model.config.n_layer)", "writes twice"),
        ("math.sqrt(2 * model.config.n_layer)", "(2 * model.config.n_layer)", "variances add up"),
        ('name.endswith("c_proj.weight")', 'name.endswith("attn.c_proj.weight")', "mlp.c_proj.weight"),
        (' if name.endswith("c_proj.weight") else 0.02', "", "does not write"),
        ("            p.fill_(0.0 if", "            0 * (0.0 if", "is as it was"),
        ('0.0 if name.endswith("bias") else 1.0', "0.0", "LayerNorm's scale"),
        ('0.0 if name.endswith("bias") else 1.0', "1.0", "it is a bias"),
        ("p.normal_(0.0, std", "p.normal_(0.01, std", "mean"),
        ("p.normal_(0.0, std, generator=generator)", "p.normal_(0.0, std)", "same seed"),
        ("p.normal_(0.0, std, generator=generator)", "p.uniform_(-1.732 * std, 1.732 * std)", "not normal"),
        (
            "p.normal_(0.0, std, generator=generator)",
            "p.normal_(0.0, std**0.5, generator=generator)",
            "not the variance",
        ),
        (
            "            p.normal_(0.0, std, generator=generator)",
            "            p = torch.randn(p.shape) * std",
            "as it was",
        ),
    ],
    "GPT": [
        ("self.wpe(positions))", "self.wpe(torch.arange(idx.shape[1])))", "`positions`"),
        (
            "Block(C, config.n_head, config.block_size, config.dropout, config.bias)\n                for _ in range(config.n_layer)",  # noqa: E501
            "one\n                for one in [Block(C, config.n_head, config.block_size, config.dropout, config.bias)] * config.n_layer",  # noqa: E501
            "one block stands",
        ),
        ("self.wte(idx) + self.wpe(positions)", "self.wte(idx)", "positions are missing"),
        ("self.wte(idx) + self.wpe(positions)", "self.wpe(positions)[None]", "shape"),
        ("self.wte(idx) + self.wpe(positions)", "self.wte(idx) * self.wpe(positions)", "add them"),
        ("return self.ln_f(x)", "return x", "ln_f is missing"),
        ("self.wte(idx) + self.wpe(positions)", "self.ln_f(self.wte(idx) + self.wpe(positions))", ""),
        ("        self.lm_head.weight = self.wte.weight  # one table, used twice\n", "", "one table"),
        (
            "self.lm_head.weight = self.wte.weight",
            "self.lm_head.weight = nn.Parameter(self.wte.weight.detach().clone())",
            "one table",
        ),
        (
            "self.drop(self.wte(idx) + self.wpe(positions))",
            "self.wte(idx) + self.wpe(positions)",
            "self.drop must be used",
        ),
        (
            "self.drop(self.wte(idx) + self.wpe(positions))",
            "self.drop(self.wte(idx)) + self.wpe(positions)",
            "self.drop must get",
        ),
        ("Dropout(config.dropout)", "Dropout(0.0)", "dropout=0.5"),
        (
            "config.block_size, config.dropout, config.bias)",
            "config.block_size, 0.0, config.bias)",
            "dropout=0.5",
        ),
        ("range(config.n_layer)", "range(1)", "missing"),
        ("bias=False)", "bias=True)", "too many"),
        ("self.ln_f = LayerNorm(C, config.bias)", "self.ln_f = LayerNorm(C)", "too many"),
        ("Embedding(config.block_size, C)", "Embedding(config.vocab_size, C)", "wpe.weight must be"),
        ("return self.lm_head(x)", "return x", "shape"),
        ("return self.lm_head(x)", "return self.lm_head(self.ln_f(x))", "applied twice"),
        ("return self.lm_head(x)", "return self.lm_head(x).softmax(-1)", "probabilities"),
    ],
    "to_our_names": [
        ("tensor.T if name.endswith(transposed) else tensor", "tensor", "[n_in, n_out]"),
        ("name.endswith(transposed)", "tensor.ndim == 2", "is a table"),
        ('"attn.c_proj.weight", "mlp.c_fc', '"mlp.c_fc', "square"),
        (
            '"mlp.c_fc.weight", "mlp.c_proj.weight"',
            '"mlp.c_fc.weight"',
            "mlp.c_proj.weight is not transposed",
        ),
        ('name.removeprefix("transformer.")', "name", "prefix"),
        ('".attn.bias", ".attn.masked_bias"', '".attn.masked_bias",', "mask"),
        ('".attn.bias", ".attn.masked_bias"', '".attn.bias",', "mask"),
        ('(".attn.bias", ".attn.masked_bias")', '("attn.bias", "attn.masked_bias")', "no mask"),
        ("if not name.endswith((", 'if name != "lm_head.weight" and not name.endswith((', "lm_head"),
        ("tensor.T if", "tensor.reshape(tensor.shape[::-1]) if", "not a reshape"),
        (
            'name.removeprefix("transformer."): tensor.T',
            'name.removeprefix("transformer."): 2 * tensor.T',
            "other numbers",
        ),
    ],
}
