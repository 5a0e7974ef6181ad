"""Solutions to the exercises of chapter 15, each after a line with its checker's name."""

import math
import os


# --- step_ms
def step_ms(weights, n, compute_ms, bandwidth):
    sent = 2 * (n - 1) / n * 4 * weights  # bytes
    return compute_ms + 1e3 * sent / (bandwidth * 1e9)


# --- buckets
def buckets(sizes, limit):
    found, held = [[]], 0
    for i in reversed(range(len(sizes))):
        if held >= limit:
            found.append([])
            held = 0
        found[-1].append(i)
        held += sizes[i]
    return found


# --- read_span
def read_span(parts, a, b):
    found = []
    for part in parts:
        if max(a, 0) < min(b, len(part)):
            found += part[max(a, 0) : b]
        a, b = a - len(part), b - len(part)
    return found


# --- write_whole
def write_whole(path, pieces):
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# --- questions_needed
def questions_needed(p, q, z=2.0):
    variance = p * (1 - p) + q * (1 - q)
    return math.ceil(z * z * variance / (p - q) ** 2)


# --- paired
def paired(first, second):
    b = sum(x and not y for x, y in zip(first, second))
    c = sum(y and not x for x, y in zip(first, second))
    return (b - c) / math.sqrt(b + c) if b + c else 0.0
