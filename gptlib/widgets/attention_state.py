"""What the attention explorer knows: the weights, their statistics, and uniform attention beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_TOKENS = 64


@dataclass(frozen=True, eq=False)
class AttentionState:
    """What the explorer shows. weights[l, h, t, s]: what query t takes from key s in head h of layer l."""

    tokens: tuple[str, ...]
    weights: np.ndarray  # [n_layer, n_head, T, T]
    uniform: np.ndarray  # [T, T]: equal weights for all keys that may be seen, 0 for the others
    entropy: np.ndarray  # [n_layer, n_head], bits, mean over queries
    distance: np.ndarray  # [n_layer, n_head], tokens between query and key, mean over queries
    uniform_entropy: float
    uniform_distance: float
    notes: tuple[str, ...]  # what a reader has to know: a cut prompt, a missing mask, a look into the future
    layer: int = 0
    head: int = 0
    against_uniform: bool = False  # show each weight divided by the uniform one


def entropy_in_bits(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries of -Σ w log₂ w: [..., T, T] -> [...]. n equal weights have log₂ n bits."""
    logs = np.log2(np.where(weights > 0, weights, 1))
    return -(weights * logs).sum(-1).mean(-1)


def mean_distance(weights: np.ndarray) -> np.ndarray | np.floating:
    """Mean over queries t of Σ w |t - s|, in tokens: [..., T, T] -> [...]."""
    position = np.arange(weights.shape[-1])
    return (weights * abs(position[:, None] - position)).sum(-1).mean(-1)


def compute(tokens: Sequence[str], weights, causal: bool = True) -> AttentionState:
    """What can be said about `weights` [n_layer, n_head, T, T]; `tokens` may go on beyond the first T.

    At most MAX_TOKENS tokens are kept. ValueError when a query's weights are no distribution over the keys.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 4 or weights.shape[-1] != weights.shape[-2]:
        raise ValueError(f"weights of shape {list(weights.shape)}: expected [n_layer, n_head, T, T]")
    T = min(weights.shape[-1], MAX_TOKENS)
    if not 1 <= T <= len(tokens):
        raise ValueError(
            f"weights for {T} positions and {len(tokens)} tokens: there must be a token for each"
        )
    weights = weights[:, :, :T, :T]
    sums = weights.sum(-1).ravel()
    if not np.allclose(sums, 1, atol=1e-3):  # false for NaN too
        worst = sums[np.argmax(abs(sums - 1))]
        raise ValueError(
            f"a query's weights must sum to 1 over the first {T} keys; one row sums to {worst:.3f}"
        )
    allowed = np.tri(T) if causal else np.ones((T, T))
    uniform = allowed / allowed.sum(-1, keepdims=True)
    notes = []
    if len(tokens) > T:
        notes.append(f"The prompt has {len(tokens)} tokens; the first {T} are shown.")
    if not causal:
        notes.append(
            "The mask is off: each query sees the whole prompt, which the model was never trained for."
        )
    leak = (weights * (allowed == 0)).sum(-1).max()
    if leak > 0:
        notes.append(
            f"The mask leaks: a query gives {100 * leak:.2g} % of its weight to keys that come after it."
        )
    return AttentionState(
        tokens=tuple(tokens[:T]),
        weights=weights,
        uniform=uniform,
        entropy=entropy_in_bits(weights),
        distance=mean_distance(weights),
        uniform_entropy=float(entropy_in_bits(uniform)),
        uniform_distance=float(mean_distance(uniform)),
        notes=tuple(notes),
    )


def shade(state: AttentionState) -> np.ndarray:
    """Brightness from 0 to 1 for each weight, NaN where the mask hides the key: [n_layer, n_head, T, T].

    The root of the weight, so that small weights can be told from none; or, against uniform, 1/2 for the
    uniform weight and 1/6 more for each doubling.
    """
    if state.against_uniform:
        with np.errstate(divide="ignore", invalid="ignore"):
            brightness = (0.5 + np.log2(state.weights / state.uniform) / 6).clip(0, 1)
    else:
        brightness = np.sqrt(state.weights).clip(0, 1)
    return np.where((state.uniform > 0) | (state.weights > 0), brightness, np.nan)
