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


def plan(prompt, count, block_size, keep, crop=True, refill=True, late=0, extra=0, cached_after=None):
    """refill_plan with switches for the bugs."""
    calls, start = [], max(0, prompt - block_size) if crop else 0
    first, done = start, start  # where the cache begins, and how far it goes
    for stop in range(prompt, prompt + count):
        if refill and done - first >= block_size + late and calls:
            first = done = stop - keep + extra
            if cached_after is not None:
                first = stop - 1 - cached_after
        calls.append((done, stop))
        done = stop
    return calls


def plan_as_arrays(*given):
    return [list(call) for call in plan(*given)]


def negative_log(p):
    return [-math.log(x) for x in p]


def chances(model, ids):
    """p of the tokens 1, 2, … of a list."""
    rows = model(torch.tensor([ids]))[0].detach().softmax(-1)
    return [rows[t - 1, ids[t]].item() for t in range(1, len(ids))]


def mean(values):
    return sum(values) / len(values)


def surprise_token_by_token(model, ids, prompt):
    """One pass for each token."""
    total = 0
    for t in range(prompt, len(ids)):
        total -= model(torch.tensor([ids[:t]]))[0, -1].log_softmax(-1)[ids[t]]
    return total / (len(ids) - prompt)


def surprise_by_cross_entropy(model, ids, prompt):
    logits = model(torch.tensor([ids]))[0, prompt - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[prompt:]))


def surprise_of_own_position(model, ids, prompt):
    rows = model(torch.tensor([ids]))[0].log_softmax(-1)
    return -mean([rows[t, ids[t]].item() for t in range(prompt, len(ids))])


ALTERNATIVES = {
    "min_p_filter": [min_p_in_logs, lambda x, m: min_p_in_logs(x.float(), m).numpy()],
    "refill_plan": [plan, plan_as_arrays],
    "surprise": [surprise_token_by_token, surprise_by_cross_entropy],
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
        "shifted by 5": (lambda x, m: min_p_in_logs(x, m) + 5, "as they are"),
        "log-probabilities": (lambda x, m: min_p_in_logs(x, m).log_softmax(-1), "as they are"),
        "log-probabilities, filtered": (lambda x, m: min_p_in_logs(x.log_softmax(-1), m), "as they are"),
    },
    "refill_plan": {
        "the prompt is not cropped": (lambda *given: plan(*given, crop=False), "is cropped"),
        "never refilled": (lambda *given: plan(*given, refill=False), "refill when it is full"),
        "a token too late": (lambda *given: plan(*given, late=1), "too late"),
        "the newest does not count": (lambda p, n, r, k: plan(p, n, r, k, extra=-1), "must get the tokens"),
        "full again after each refill": (
            lambda p, n, r, k: plan(p, n, r, k, cached_after=r - 1),
            "there is room again",
        ),
        "a call too few": (lambda p, n, r, k: plan(p, n - 1, r, k), "one call for each"),
        "numbers, not pairs": (lambda *given: [stop for _, stop in plan(*given)], "2 values"),
        "nothing": (lambda *given: None, "a list of pairs"),
        "one token further": (lambda *given: [(a + 1, b + 1) for a, b in plan(*given)], "must end before"),
    },
    "surprise": {
        "the sum": (lambda m, ids, n: sum(negative_log(chances(m, ids))[n - 1 :]), "take the mean"),
        "the sign": (lambda m, ids, n: -mean(negative_log(chances(m, ids))[n - 1 :]), "sign"),
        "with the prompt": (lambda m, ids, n: mean(negative_log(chances(m, ids))), "leave them out"),
        "without the first": (
            lambda m, ids, n: mean(negative_log(chances(m, ids))[n:] or [0.0]),
            "left out",
        ),
        "own position": (surprise_of_own_position, "for token t + 1"),
        "bits": (lambda m, ids, n: mean(negative_log(chances(m, ids))[n - 1 :]) / math.log(2), "natural"),
        "mean of p": (lambda m, ids, n: mean(chances(m, ids)[n - 1 :]), "-ln of each first"),
        "the last of the prompt, too": (
            lambda m, ids, n: mean(negative_log(chances(m, ids))[max(0, n - 2) :]),
            "of the prompt counts",
        ),
        "nothing": (lambda m, ids, n: None, "must be a number"),
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
