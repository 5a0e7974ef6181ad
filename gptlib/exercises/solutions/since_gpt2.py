"""Solutions to the exercises of chapter 16, each after a line with its checker's name."""

import math

from gptlib.board import T_975, interval


# --- cache_bytes
def cache_bytes(n_layer, n_kv_head, head_size, positions, bytes_each):
    numbers = 2 * n_layer * n_kv_head * positions * head_size  # a key and a value
    return numbers * bytes_each


# --- to_halves
def to_halves(weight, n_head):
    rows, C = weight.shape
    pairs = weight.reshape(n_head, rows // n_head // 2, 2, C)
    return pairs.transpose(1, 2).reshape(rows, C)


# --- pairs_needed
def pairs_needed(effect, deviation):
    for n in range(2, 6):
        if T_975[n - 1] * deviation / math.sqrt(n) < abs(effect):
            return n
    return None


# --- report
def report(with_change, without):
    mean, half = interval([a - b for a, b in zip(with_change, without, strict=True)])
    if abs(mean) <= half:
        return "cannot tell"
    return "helps" if mean < 0 else "hurts"
