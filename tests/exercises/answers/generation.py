"""Right and wrong answers to the exercises of chapter 12, on which its checkers are tested."""

import math

import torch


def min_p_in_logs(logits, min_p):
    """The same line on the logits: log p differs from them by a constant."""
    line = logits.amax(dim=-1, keepdim=True) + math.log(min_p)
    return torch.where(logits >= line, logits, -math.inf)


def min_p_with(keep, filler=-math.inf):
    """A filter that keeps where keep(logits, p, min_p) says."""

    def min_p_filter(logits, min_p):
        return logits.masked_fill(~keep(logits, logits.softmax(dim=-1), min_p), filler)

    return min_p_filter


def peak(p):
    return p.amax(dim=-1, keepdim=True)


def min_p_in_place(logits, min_p):
    p = logits.softmax(dim=-1)
    return logits.masked_fill_(p < min_p * peak(p), -math.inf)


def step_in_loops(x, c_attn, past):
    """attention_step without matrices."""
    C = len(x)
    q, k, v = ([sum(c_attn[i * C + r] * x) for r in range(C)] for i in range(3))
    keys, values = [*past[0], torch.stack(k)], [*past[1], torch.stack(v)]
    scores = [math.exp(sum(torch.stack(q) * key).item() / math.sqrt(C)) for key in keys]
    y = sum(score * value for score, value in zip(scores, values, strict=True)) / sum(scores)
    return y, (torch.stack(keys), torch.stack(values))


def step(
    x, c_attn, past, *, order=(0, 1, 2), scaled=True, softmax=True, itself=True, front=False, seen=slice(None)
):
    """attention_step with switches for the bugs."""
    parts = (c_attn @ x).split(len(x))
    q, k, v = (parts[i] for i in order)
    keys, values = (
        torch.cat([new[None], old] if front else [old, new[None]])
        for old, new in zip(past, (k, v), strict=True)
    )
    used_k, used_v = (keys, values) if itself or not len(past[0]) else past
    used_k, used_v = used_k[seen], used_v[seen]
    scores = used_k @ q / (math.sqrt(len(x)) if scaled else 1)
    weights = scores.softmax(dim=0) if softmax else scores
    return weights @ used_v, (keys, values)


def with_bug(**switches):
    return lambda x, c_attn, past: step(x, c_attn, past, **switches)


def as_lists(part):
    return part.tolist() if torch.is_tensor(part) else [rows.tolist() for rows in part]


def step_query_stored(x, c_attn, past):
    y, (keys, values) = step(x, c_attn, past)
    return y, (torch.cat([past[0], (c_attn @ x)[None, : len(x)]]), values)


def step_in_place(x, c_attn, past):
    y, new = step(x, c_attn, past)
    for old in past:
        old.mul_(0)
    return y, new


def rule_in_loops(p, q):
    """speculative_rule, token by token."""
    accept = [min(1.0, (a / b).item()) if b > 0 else 0.0 for a, b in zip(p, q, strict=True)]
    missing = [max(0.0, (a - b).item()) for a, b in zip(p, q, strict=True)]
    instead = [m / sum(missing) for m in missing] if sum(missing) else [1 / len(p)] * len(p)
    return torch.tensor(accept, dtype=p.dtype), torch.tensor(instead, dtype=p.dtype)


def changed(accept=None, instead=None):
    """The right rule with one part replaced."""

    def rule(p, q):
        right = rule_in_loops(p, q)
        return accept(p, q) if accept else right[0], instead(p, q) if instead else right[1]

    return rule


def normalised(x):
    return x / x.sum()


ALTERNATIVES = {
    "min_p_filter": [min_p_in_logs, lambda x, m: min_p_in_logs(x.float(), m).numpy()],
    "attention_step": [step, step_in_loops, lambda *given: list(map(as_lists, step(*given)))],
    "speculative_rule": [
        rule_in_loops,
        lambda p, q: [t.tolist() for t in rule_in_loops(p.float(), q.float())],
    ],
}

BUGS = {
    "min_p_filter": {
        "line at min_p itself": (min_p_with(lambda x, p, m: p >= m), "min_p itself"),
        "one line for all rows": (min_p_with(lambda x, p, m: p >= m * p.max()), "its own line"),
        "logits compared": (min_p_with(lambda x, p, m: x >= m * peak(x)), "you compare logits"),
        "kept and dropped exchanged": (min_p_with(lambda x, p, m: p < m * peak(p)), "what should go"),
        "dropped to 0": (min_p_with(lambda x, p, m: p >= m * peak(p), filler=0.0), "the logit 0"),
        "on the line is dropped": (min_p_with(lambda x, p, m: p > m * peak(p)), "exactly on the line"),
        "in place": (min_p_in_place, "you changed the logits"),
        "probabilities returned": (
            lambda x, m: min_p_in_logs(x, m).softmax(-1),
            "not probabilities",
        ),
        "nothing dropped": (lambda x, m: x + 0, "no token is dropped"),
        "all dropped": (lambda x, m: torch.full_like(x, -math.inf), "nothing left"),
        "scaled": (lambda x, m: 2 * min_p_in_logs(x, m), "as they are"),
        "shifted": (lambda x, m: min_p_in_logs(x, m) - peak(x), "as they are"),
    },
    "attention_step": {
        "not scaled": (with_bug(scaled=False), "not divided"),
        "no softmax": (with_bug(softmax=False), "softmax"),
        "does not see itself": (with_bug(itself=False), "see itself"),
        "sees only itself": (with_bug(seen=slice(-1, None)), "the last 1 of"),
        "sees only the last two": (with_bug(seen=slice(-2, None)), "the last 2 of"),
        "newest in front": (with_bug(front=True), "not in front"),
        "keys and values exchanged": (with_bug(order=(0, 2, 1)), "keys and values are exchanged"),
        "query and key exchanged": (with_bug(order=(1, 0, 2)), "the rows are query, key, value"),
        "query stored": (step_query_stored, "used once"),
        "past not extended": (
            lambda x, c_attn, past: (step(x, c_attn, past)[0], past),
            "append it to the past",
        ),
        "past overwritten": (step_in_place, "changed the past"),
        "output only": (lambda x, c_attn, past: step(x, c_attn, past)[0], "2 values"),
    },
    "speculative_rule": {
        "accept above 1": (changed(accept=lambda p, q: p / q.clamp(min=1e-30)), "between 0 and 1"),
        "accept upside down": (changed(accept=lambda p, q: (q / p).clamp(max=1)), "upside down"),
        "always accepts": (changed(accept=lambda p, q: torch.ones_like(p)), "every guess"),
        "never accepts": (lambda p, q: (torch.zeros_like(p), p), "no guess"),
        "accepts p": (changed(accept=lambda p, q: p), "are possible"),
        "accepts too often": (changed(accept=lambda p, q: (p / q).clamp(max=1).sqrt()), "oftener"),
        "draws from p after a refusal": (changed(instead=lambda p, q: p), "instead is p"),
        "draws from q after a refusal": (changed(instead=lambda p, q: q), "instead is q"),
        "draws from |p - q|": (changed(instead=lambda p, q: normalised((p - q).abs() + 1e-12)), "|p - q|"),
        "not normalised": (changed(instead=lambda p, q: (p - q).clamp(min=0)), "divide by the sum"),
        "negative": (changed(instead=lambda p, q: p - q), "negative"),
        "0 / 0 when p equals q": (
            changed(instead=lambda p, q: normalised((p - q).clamp(min=0))),
            "p equals q",
        ),
        "0 / 0 where q is 0": (changed(accept=lambda p, q: (p / q).clamp(max=1)), "q is 0"),
    },
}
