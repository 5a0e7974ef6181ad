"""What readers might write for the tasks in modern_layers.py, and mistakes by their key words."""

RIGHT = {
    "RMSNorm": [
        """
class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        wide = x if x.dtype == torch.float64 else x.float()
        return (wide / (wide.pow(2).mean(-1, keepdim=True) + self.eps).sqrt() * self.weight).to(x.dtype)
""",
    ],
    "relu2": [
        """
def relu2(x):
    return torch.where(x > 0, x * x, torch.zeros_like(x))
""",
        """
def relu2(x):
    return x.clamp(min=0) ** 2
""",
    ],
    "swiglu": [
        """
def swiglu(gate, value):
    return F.silu(gate) * value
""",
        """
def swiglu(gate, value):
    return gate * value / (1 + (-gate).exp())
""",
    ],
    "soft_cap": [
        """
def soft_cap(logits, cap):
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return cap * (2 * torch.sigmoid(2 * wide / cap) - 1)
""",
    ],
    "repeat_heads": [
        """
def repeat_heads(x, groups):
    return x.repeat_interleave(groups, dim=1)
""",
        """
def repeat_heads(x, groups):
    return torch.stack([x[:, h // groups] for h in range(groups * x.shape[1])], dim=1)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "RMSNorm": {
        "torch.promote_types(x.dtype, torch.float32) → torch.promote_types(torch.float32, x.dtype)": (
            "their order does not matter"
        ),
    },
    "soft_cap": {
        "torch.promote_types(logits.dtype, torch.float32) → "
        "torch.promote_types(torch.float32, logits.dtype)": "their order does not matter",
    },
}
BUGS = {
    "RMSNorm": [
        (" * self.weight", "", "weight is left out"),
        (
            "torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)",
            "1 / wide.square().mean(dim=-1, keepdim=True)",
            "not by its root",
        ),
        (
            ".mean(dim=-1, keepdim=True) + self.eps",
            ".sum(dim=-1, keepdim=True) + self.eps",
            "not of their sum",
        ),
        (
            "wide = x.to(torch.promote_types(x.dtype, torch.float32))",
            "wide = x - x.mean(dim=-1, keepdim=True)",
            "",
        ),
        ("torch.rsqrt(", "torch.sqrt(", "divide by it"),
        (" + self.eps", "", ""),
        (".to(torch.promote_types(x.dtype, torch.float32))", "", "float16"),
        ("return y.to(x.dtype)", "return y", "came in float16"),
        ("mean(dim=-1,", "mean(dim=0,", ""),
    ],
    "relu2": [
        (".square()", "", "without the square"),
        ("x.relu().square()", "x.square()", "ReLU comes first"),
        ("x.relu().square()", "x * x.abs()", "must become 0"),
        ("x.relu().square()", "F.gelu(x).square()", "GELU"),
        ("x.relu().square()", "x.relu() ** 3", "cube"),
        ("x.relu().square()", "x.detach().relu().square()", "gradient"),
    ],
    "swiglu": [
        ("gate * gate.sigmoid() * value", "value * value.sigmoid() * gate", "swapped"),
        ("gate * gate.sigmoid() * value", "gate.sigmoid() * value", "alone"),
        ("gate * gate.sigmoid() * value", "gate * gate.sigmoid()", "value is left out"),
        ("gate * gate.sigmoid() * value", "gate * value", "without its sigmoid"),
        ("gate * gate.sigmoid() * value", "F.gelu(gate) * value", "GEGLU"),
        (".sigmoid() * value", ".sigmoid() + value", "multiply them"),
    ],
    "soft_cap": [
        ("cap * torch.tanh(wide / cap)", "cap * torch.tanh(wide)", "divided by the cap"),
        ("cap * torch.tanh(wide / cap)", "torch.tanh(wide / cap)", "multiply by the cap"),
        ("cap * torch.tanh(wide / cap)", "wide.clamp(-cap, cap)", "bent"),
        ("cap * torch.tanh(wide / cap)", "torch.tanh(wide * cap) / cap", "divide inside"),
        ("cap * torch.tanh(wide / cap)", "cap * torch.sigmoid(wide / cap)", "sigmoid"),
        (".to(torch.promote_types(logits.dtype, torch.float32))", "", "32 bits"),
        (
            "return cap * torch.tanh(wide / cap)",
            "return (cap * torch.tanh(wide / cap)).to(logits.dtype)",
            "32 bits",
        ),
    ],
    "repeat_heads": [
        (
            "x[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)",
            "x.repeat(1, groups, 1, 1)",
            "stand in a row",
        ),
        (
            "x[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)",
            "x[:, None].expand(-1, groups, -1, -1, -1).flatten(1, 2)",
            "stand in a row",
        ),
        (
            "x[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)",
            "x.repeat_interleave(groups, dim=2)",
            "dim=1",
        ),
        ("x[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)", "x", "shape"),
        (".flatten(1, 2)", "", "shape"),
        (".flatten(1, 2)", ".flatten(1, 2).flip(1)", "head by head"),
    ],
}
