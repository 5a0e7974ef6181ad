import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

class LayerCache:
    """The keys and values of one layer: room for `block_size` positions, filled up to `length`."""

    def __init__(self, block_size: int):
        self.block_size, self.length = block_size, 0
        self.k = self.v = None

    def append(
        self, k: Float[Tensor, "B H T head_size"], v: Float[Tensor, "B H T head_size"]
    ) -> tuple[Float[Tensor, "B H S head_size"], Float[Tensor, "B H S head_size"]]:
        """Store the new positions' keys and values; returns those of all positions so far."""
        B, H, T, head_size = k.shape
        if self.k is None:
            self.k, self.v = (t.new_empty(B, H, self.block_size, head_size) for t in (k, v))
        self.k[:, :, self.length : self.length + T] = k
        self.v[:, :, self.length : self.length + T] = v
        self.length += T
        return self.k[:, :, : self.length], self.v[:, :, : self.length]


class KVCache:
    """What a GPT remembers of the positions it has seen: one LayerCache per block."""

    def __init__(self, n_layer: int, block_size: int):
        self.layers = [LayerCache(block_size) for _ in range(n_layer)]

    @property
    def length(self) -> int:
        """How many positions are stored."""
        return self.layers[0].length

def filter_logits(
    logits: Float[Tensor, "B vocab"], temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "B vocab"]:
    """Logits divided by the temperature, with everything outside top-k and top-p set to -inf.

    top_k keeps the k largest; top_p keeps the smallest set of most likely tokens whose probabilities sum to at
    least p (Holtzman et al., 2020). ValueError for values that make no sense.
    """
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        raise ValueError("temperature=0 must be above 0 here; generate() takes 0 for greedy choice")
    logits = logits / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -math.inf)
    if top_p is not None:
        ordered, order = logits.sort(dim=-1, descending=True)
        p = ordered.softmax(dim=-1)
        drop = p.cumsum(dim=-1) - p >= top_p  # the tokens before this one already reach top_p
        logits = logits.masked_fill(drop.gather(-1, order.argsort(dim=-1)), -math.inf)
    return logits


def check_settings(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """ValueError that names a setting which makes no sense."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature={temperature} must not be negative; 0 always takes the likeliest token")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must lie in (0, 1]")


def choose(
    logits: Float[Tensor, "B vocab"], temperature, top_k, top_p, generator: torch.Generator | None = None
) -> Int[Tensor, "B 1"]:
    """One token per row: the likeliest when the temperature is 0, else drawn from the filtered distribution."""
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    p = filter_logits(logits.float(), temperature, top_k, top_p).softmax(dim=-1)
    return torch.multinomial(p, 1, generator=generator)

@torch.no_grad()
def stream(
    model, idx: Int[Tensor, "B T"], max_new_tokens: int, *, temperature=1.0, top_k=None, top_p=None, generator=None,
    use_cache=True,
):
    """Yield the next token, int64 [B, 1], max_new_tokens times. Arguments as for `generate`."""
    check_settings(temperature, top_k, top_p)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens} must not be negative")
    if idx.shape[1] == 0:
        raise ValueError("the prompt is empty: give at least one token to start from")
    block_size = model.config.block_size
    was_training = model.training
    model.eval()
    idx = idx[:, -block_size:]
    cache = KVCache(model.config.n_layer, block_size) if use_cache else None
    new = idx
    try:
        for _ in range(max_new_tokens):
            if idx.shape[1] > block_size:  # the window slides: every position changes, so the cache is of no use
                idx, cache = idx[:, -block_size:], None
            logits = model(idx) if cache is None else model(new, cache)
            new = choose(logits[:, -1], temperature, top_k, top_p, generator)
            idx = torch.cat([idx, new], dim=1)
            yield new
    finally:
        model.train(was_training)


def generate(
    model, idx: Int[Tensor, "B T"], max_new_tokens: int, *, temperature: float = 1.0, top_k: int | None = None,
    top_p: float | None = None, generator: torch.Generator | None = None, use_cache: bool = True,
) -> Int[Tensor, "B S"]:
    """idx [B, T] continued by max_new_tokens sampled tokens: [B, T + max_new_tokens].

    temperature 0 always takes the likeliest token; higher temperatures flatten the distribution. top_k and top_p
    cut off its tail. The same generator seed gives the same text. Contexts longer than block_size are cropped on
    the left. ValueError for settings that make no sense.
    """
    tokens = stream(
        model, idx, max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator, use_cache=use_cache
    )
    return torch.cat([idx, *tokens], dim=1)
