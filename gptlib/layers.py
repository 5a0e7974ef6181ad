import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

class Linear(nn.Module):
    """y = x Wᵀ + b: every output is a weighted sum of the inputs. weight [n_out, n_in], bias [n_out].

    Starts with weights of variance 1/n_in, so that outputs are about as large as inputs, and with bias 0.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None

    def forward(self, x: Float[Tensor, "... n_in"]) -> Float[Tensor, "... n_out"]:
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias.to(y.dtype)  # under autocast y is in half precision

class Embedding(nn.Module):
    """A table with one row per id: idx int64 [...] -> [..., dim]. weight [n, dim].

    ValueError for an id outside the table is not raised here: the check would cost a GPU synchronisation;
    PyTorch's indexing raises IndexError on a CPU.
    """

    def __init__(self, n: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, dim))

    def forward(self, idx: Int[Tensor, "..."]) -> Float[Tensor, "... dim"]:
        return self.weight[idx]

class LayerNorm(nn.Module):
    """Each vector gets mean 0 and variance 1, then a learned scale and shift. x [..., dim] -> [..., dim].

    Ba, Kiros, Hinton, "Layer Normalization" (2016). The variance is the mean of squares (divided by dim).
    """

    def __init__(self, dim: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        self.eps = 1e-5

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        y = centred * torch.rsqrt(variance + self.eps) * self.weight
        return y if self.bias is None else y + self.bias

class Dropout(nn.Module):
    """While training, sets each number to 0 with probability p and divides the others by 1 - p.

    The mean stays the same. In eval mode nothing happens. Draws from the device's default generator.
    Srivastava et al., "Dropout" (2014).
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout={p} must be at least 0 and below 1")
        self.p = p

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if not self.training or self.p == 0:
            return x
        keep = torch.rand_like(x) >= self.p
        return x * keep / (1 - self.p)

def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """GPT-2's activation: x times (nearly) the probability that a standard normal number is below x.

    The tanh form of Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), which GPT-2 was trained with.
    """
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
