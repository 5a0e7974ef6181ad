"""What readers might write for the tasks of chapter 04: other styles, and mistakes by their key words."""

RIGHT = {
    "Linear": [
        """
class Linear(nn.Module):
    def __init__(self, n_in, n_out, bias=True):
        super().__init__()
        edge = math.sqrt(3 / n_in)  # uniform numbers of the same variance
        self.weight = nn.Parameter((2 * torch.rand(n_out, n_in) - 1) * edge)
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        y = torch.einsum("...i,oi->...o", x, self.weight)
        return y if self.bias is None else y + self.bias
""",
    ],
    "Embedding": [
        """
class Embedding(nn.Module):
    def __init__(self, n, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, dim).normal_())

    def forward(self, idx):
        one_hot = idx[..., None] == torch.arange(len(self.weight))
        return one_hot.to(self.weight.dtype) @ self.weight
""",
        """
class Embedding(nn.Module):
    def __init__(self, n, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, dim))

    def forward(self, idx):
        return self.weight.index_select(0, idx.flatten()).view(*idx.shape, -1)
""",
    ],
    "LayerNorm": [
        """
class LayerNorm(nn.Module):
    def __init__(self, dim, bias=True):
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(dim))
        self.register_parameter("bias", nn.Parameter(torch.zeros(dim)) if bias else None)

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = wide.mean(-1, keepdim=True), wide.var(-1, keepdim=True, unbiased=False)
        y = self.weight * ((wide - mean) / (variance + self.eps) ** 0.5)
        y = y if self.bias is None else y + self.bias
        return y.to(x.dtype)
""",
    ],
    "gelu": [
        """
def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
""",
        """
def gelu(x):
    u = (2 / math.pi) ** 0.5 * (x + 0.044715 * x * x * x)
    return x * (1 + u.tanh()) / 2
""",
    ],
    "Dropout": [
        """
class Dropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.p == 0 or not self.training:
            return x
        drawn = torch.rand_like(x, dtype=torch.float32)
        return torch.where(drawn < self.p, 0, x / (1 - self.p))
""",
        """
class Dropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.training:
            return (x / (1 - self.p)).masked_fill(torch.rand_like(x, dtype=torch.float32) < self.p, 0.0)
        return x
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "Dropout": {
        "drawn >= self.p → drawn > self.p": "a number is exactly p less than once in a million times",
        "0 → 1": "p is never 1; with p = 0 every number is kept and divided by 1",
        "0 → -1": "p is never -1; with p = 0 every number is kept and divided by 1",
    },
}
BUGS = {
    "Linear": [
        (" / math.sqrt(n_in)", "", "variance 1"),
        ("math.sqrt(n_in)", "n_in", "not by its root"),
        ("math.sqrt(n_in)", "math.sqrt(n_out)", "√n_out"),
        ("math.sqrt(n_in)", "math.sqrt(n_in + n_out)", "standard deviation"),
        ("torch.randn(n_out, n_in)", "torch.rand(n_out, n_in)", "standard deviation"),
        ("torch.randn(n_out, n_in)", "torch.randn(n_in, n_out)", "parameters"),
        ("torch.randn(n_out, n_in)", "torch.ones(n_out, n_in)", "standard deviation"),
        (
            "nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))",
            "torch.randn(n_out, n_in)",
            "nn.Parameter",
        ),
        ("torch.zeros(n_out)", "torch.randn(n_out)", "zeros"),
        (" if bias else None", "", "parameters"),
        ("x @ self.weight.T", "x @ self.weight", ""),
        ("y = x @ self.weight.T", "y = x @ self.weight.T + (0 if self.bias is None else self.bias)", "twice"),
        ("y = x @ self.weight.T", "y = x @ self.weight.detach().T", "weight"),
        (
            "torch.randn(n_out, n_in)",
            "torch.randn(n_out, n_in, generator=torch.Generator().manual_seed(0))",
            "seed",
        ),
    ],
    "Embedding": [
        ("torch.randn(n, dim)", "torch.randn(dim, n)", "parameters"),
        ("nn.Parameter(torch.randn(n, dim))", "torch.randn(n, dim)", "nn.Parameter"),
        ("torch.randn(n, dim)", "torch.zeros(n, dim)", "standard deviation"),
        ("torch.randn(n, dim)", "torch.rand(n, dim)", "standard deviation"),
        ("torch.randn(n, dim)", "torch.randn(n, dim) / math.sqrt(dim)", "√dim"),
        ("self.weight[idx]", "self.weight[idx - 1]", "before"),
        ("self.weight[idx]", "self.weight[(idx + 1) % len(self.weight)]", "after"),
        ("self.weight[idx]", "self.weight[idx].detach()", "gradient"),
        ("self.weight[idx]", "self.weight.T[idx % len(self.weight.T)]", "shape"),
        ("self.weight[idx]", "self.weight[idx.flatten()]", "shape"),
        ("torch.randn(n, dim)", "torch.randn(n, dim, generator=torch.Generator().manual_seed(0))", "seed"),
    ],
    "LayerNorm": [
        ("dim=-1", "dim=0", "over the first dimension"),
        ("centred = wide - wide.mean(dim=-1, keepdim=True)", "centred = wide", "mean is not subtracted"),
        ("(centred * centred).mean(dim=-1, keepdim=True)", "wide.var(dim=-1, keepdim=True)", "dim - 1"),
        ("torch.rsqrt(variance + self.eps)", "(1 / (variance.sqrt() + self.eps))", "under the root"),
        ("torch.rsqrt(variance + self.eps)", "torch.rsqrt(variance)", "eps"),
        ("torch.rsqrt(variance + self.eps)", "(1 / (variance + self.eps))", "root is missing"),
        ("wide - wide.mean(dim=-1, keepdim=True)", "wide - wide.mean()", ""),
        ("y = centred *", "y = wide *", "mean is not subtracted"),
        (" * self.weight", "", "weight is not used"),
        ("y = y + self.bias", "pass", "bias is not used"),
        ("torch.ones(dim)", "torch.randn(dim)", "ones"),
        ("torch.zeros(dim)", "torch.ones(dim)", "zeros"),
        (" if bias else None", "", "parameters"),
        ("centred = wide - wide.mean", "wide = x\n        centred = wide - wide.mean", "overflow"),
    ],
    "gelu": [
        (
            "return x * torch.sigmoid",
            "u = x * (1 + 0.044715 * x.square()) * a / 2\n    return 0.5 * x * (1 + (u.exp() - (-u).exp()) / (u.exp() + (-u).exp()))\n    x * torch.sigmoid",  # noqa: E501
            "overflows",
        ),
        (" * 0.044715", "", "0.044715 before x³"),
        (
            "a = 2 * math.sqrt(2 / math.pi)",
            "return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))\n    a = 1",
            "exact form",
        ),
        ("a = 2 * math.sqrt", "a = math.sqrt", "sigmoid of 2u"),
        ("return x * torch.sigmoid", "return torch.sigmoid", "x before the bracket"),
        ("return x * torch", "return 2 * x * torch", "½"),
        ("x.square()", "x", "not x²"),
        (" + a * 0.044715 * x.square()", "", "cube"),
        ("math.sqrt(2 / math.pi)", "(2 / math.pi)", "the root of 2/π"),
        ("2 * math.sqrt(2 / math.pi)", "2", "√(2/π) is missing"),
        ("return x * torch", "return x.relu()\n    x * torch", "ReLU"),
        ("0.044715", "0.44715", "off by"),
    ],
    "Dropout": [
        ("return x\n", "return x.clone()\n", "x itself"),
        ("(drawn >= self.p)", "(torch.rand_like(x, dtype=torch.float32) >= self.p)", "`drawn`"),
        (
            "return x * (drawn >= self.p) / (1 - self.p)",
            "x *= (drawn >= self.p) / (1 - self.p)\n        return x",
            "in place",
        ),
        (" / (1 - self.p)", "", "not scaled"),
        (" / (1 - self.p)", " * (1 - self.p)", "multiplied"),
        ("(1 - self.p)", "self.p", "divided by p"),
        ("drawn >= self.p", "drawn < self.p", "not to keep"),
        ("not self.training or", "", "drops numbers"),
        ("return x\n", "return x * (1 - self.p)\n", "scales it by 1 - p"),
        ("not self.training", "self.training", ""),
        ("(drawn >= self.p)", "(drawn[..., :1] >= self.p)", "whole rows"),
        ("x * (drawn >= self.p)", "x.detach() * (drawn >= self.p)", "gradient"),
        ("(drawn >= self.p)", "(drawn >= self.p).float()", "bfloat16"),
    ],
}
