import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gptlib.block import Block
from gptlib.layers import Dropout, Embedding, LayerNorm, Linear

@dataclass(frozen=True)
class GPTConfig:
    """The numbers that fix a GPT's shape. ValueError names the field and the remedy."""

    vocab_size: int  # how many tokens there are
    block_size: int  # the longest context, in tokens
    n_layer: int  # blocks
    n_head: int  # attention heads per block
    n_embd: int  # width of the residual stream
    dropout: float = 0.0  # probability of dropping a number while training
    bias: bool = True  # biases in Linear and LayerNorm, as GPT-2 has them

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd={self.n_embd} is not divisible by n_head={self.n_head}: every head gets an equal share; "
                f"try n_embd={self.n_embd // self.n_head * self.n_head or self.n_head}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and below 1")

class GPT(nn.Module):
    """GPT-2: embeddings, n_layer blocks, a last LayerNorm, and logits through the token table again.

    idx int64 [B, T] -> logits [B, T, vocab_size]. Names follow GPT-2's state dict.
    """

    def __init__(self, config: GPTConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        C = config.n_embd
        self.wte = Embedding(config.vocab_size, C)
        self.wpe = Embedding(config.block_size, C)
        self.drop = Dropout(config.dropout)
        self.h = nn.ModuleList(
            Block(C, config.n_head, config.block_size, config.dropout, config.bias) for _ in range(config.n_layer)
        )
        self.ln_f = LayerNorm(C, config.bias)
        self.lm_head = Linear(C, config.vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight  # one table, used twice
        initialise(self, generator)

    def forward(self, idx: Int[Tensor, "B T"], cache=None) -> Float[Tensor, "B T vocab"]:
        start = 0 if cache is None else cache.length
        T = start + idx.shape[1]
        if T > self.config.block_size:
            raise ValueError(f"T={T} exceeds block_size={self.config.block_size}: crop the context")
        positions = torch.arange(start, T, device=idx.device)
        x = self.drop(self.wte(idx) + self.wpe(positions))  # [B, T, C]
        for layer, block in enumerate(self.h):
            x = block(x, None if cache is None else cache.layers[layer])
        return self.lm_head(self.ln_f(x))  # [B, T, vocab]

    @classmethod
    def from_gpt2_state_dict(cls, state_dict: dict[str, Tensor], n_head: int) -> "GPT":
        """A GPT with the weights of a GPT-2 state dict, with or without the prefix `transformer.`.

        GPT-2 stores its four projection matrices as [n_in, n_out]; ours are [n_out, n_in], so they are transposed.
        The sizes are read off the tensors; only n_head cannot be seen there. ValueError lists what does not fit.
        """
        weights = {name.removeprefix("transformer."): tensor for name, tensor in state_dict.items()}
        weights = {name: tensor for name, tensor in weights.items() if not name.endswith((".attn.bias", ".attn.masked_bias"))}
        weights.pop("lm_head.weight", None)  # tied to wte.weight
        n_layer = 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("h.")), default=-1)
        if n_layer == 0 or "wte.weight" not in weights or "wpe.weight" not in weights:
            raise ValueError("this is no GPT-2 state dict: expected wte.weight, wpe.weight and h.0.…")
        (vocab_size, n_embd), block_size = weights["wte.weight"].shape, weights["wpe.weight"].shape[0]
        model = cls(GPTConfig(vocab_size, block_size, n_layer, n_head, n_embd))
        transposed = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
        weights = {name: t.T if name.endswith(transposed) else t for name, t in weights.items()}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        missing = [name for name in missing if name != "lm_head.weight"]
        if missing or unexpected:
            raise ValueError(f"the state dict does not fit: missing {missing}, unexpected {unexpected}")
        return model.to(weights["wte.weight"].dtype)

@torch.no_grad()
def initialise(model: GPT, generator: torch.Generator | None = None) -> None:
    """GPT-2's start: matrices and tables normal with deviation 0.02, biases 0, LayerNorm scale 1 and shift 0.

    The two projections that write into the residual stream get 0.02 / √(2·n_layer): there are 2·n_layer of them,
    and their variances add up.
    """
    for name, p in model.named_parameters():
        if p.ndim == 2:
            std = 0.02 / math.sqrt(2 * model.config.n_layer) if name.endswith("c_proj.weight") else 0.02
            p.normal_(0.0, std, generator=generator)
