"""The checkers of chapter 12. Each calls the reader's function on several inputs and names the mistake."""

import math

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import close, expect_close, parts, tensor


@exercise(difficulty=1, minutes=8)
def min_p_filter(attempt):
    """attempt(logits [B, vocab], min_p) -> [B, vocab], -inf below min_p times each row's peak probability."""
    exact = 1 + torch.tensor([[8.0, 4.0, 2.0, 1.0, 1.0]], dtype=torch.float64).log()
    g = torch.Generator().manual_seed(0)
    # above -10, so that nobody's -inf is mistaken for a logit; two rows with very different peaks
    random = 2 * torch.randn(4, 7, generator=g, dtype=torch.float64)
    random *= torch.tensor([[1.0], [0.2], [1.0], [0.5]])
    for logits, min_p in ((random, 0.3), (exact, 0.24), (random, 0.02), (random - 50, 0.3), (random, 1e-9)):
        given = logits.clone()
        y = tensor(attempt(given, min_p), logits.shape)
        expect(torch.equal(given, logits), "you changed the logits you were given: return new ones")
        p = logits.softmax(dim=-1)
        keep = p >= min_p * p.amax(dim=-1, keepdim=True)
        kept = torch.isfinite(y)
        if torch.equal(kept, keep):
            as_they_are = close(y[kept], logits[kept])
            expect(as_they_are, "the right tokens stay, but their logits must stay as they are")
            continue
        sums = y.sum(dim=-1)
        expect(not close(sums, torch.ones_like(sums)), "return logits, not probabilities")
        zeroed = not torch.equal(keep, kept) and (y[~keep] == 0).all()
        expect(not zeroed, "a dropped token needs the logit -inf; the logit 0 still has a probability")
        mistakes = {
            "you keep what reaches min_p itself; the line is min_p times the row's largest probability": (
                p >= min_p
            ),
            "every row has its own line: take the largest probability of each row": p >= min_p * p.max(),
            "you compare logits; the line is drawn on probabilities": (
                logits >= min_p * logits.amax(dim=-1, keepdim=True)
            ),
            "you dropped what should stay and kept what should go": ~keep,
        }
        for message, wrong in mistakes.items():
            expect(not torch.equal(kept, wrong), message)
        expect(kept.any(dim=-1).all(), "a row has nothing left: the likeliest token always stays")
        expect(not kept.all(), "no token is dropped: those below the line get the logit -inf")
        wrong = int((kept != keep).sum())
        expect(False, f"min_p={min_p}: {wrong} of {kept.numel()} tokens are kept or dropped wrongly")
    on_the_line = tensor(attempt(torch.tensor([[0.0, 0.0, -40.0]]), 1.0), (1, 3))
    expect(
        torch.isfinite(on_the_line[0, :2]).all(), "a token exactly on the line stays: drop what lies below it"
    )


@exercise(difficulty=2, minutes=15)
def attention_step(attempt):
    """attempt(x [C], c_attn [3C, C], (keys [S, C], values [S, C])) -> y [C], (keys, values) [S+1, C]."""
    for T, C, seed in ((6, 4, 0), (3, 9, 1), (1, 5, 2)):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(T, C, generator=g, dtype=torch.float64)
        c_attn = 0.5 * torch.randn(3 * C, C, generator=g, dtype=torch.float64)
        q, k, v = (x @ c_attn.T).split(C, dim=1)
        for t in range(T):
            past = (k[:t].clone(), v[:t].clone())
            y, new = parts(attempt(x[t], c_attn, past), "y", "the pair (keys, values)")
            y = tensor(y, (C,), "y")
            unchanged = torch.equal(past[0], k[:t]) and torch.equal(past[1], v[:t])
            expect(unchanged, "you changed the past you were given; make new tensors")
            keys, values = parts(new, "keys", "values")
            check_past("keys", keys, k, v, q, t)
            check_past("values", values, v, k, q, t)
            check_output(y, q[t], k[: t + 1], v[: t + 1])


def check_past(name: str, found, right, other, q, t: int) -> None:
    """Whether the keys (or values) of positions 0 … t were returned in order; `other` is the other kind."""
    as_before = getattr(found, "shape", None) == (t, right.shape[1])
    expect(not as_before, f"the newest position is not among the {name}: append it to the past")
    found = tensor(found, (t + 1, right.shape[1]), f"after position {t} the {name}")
    mistakes = {
        f"the query is stored among the {name}: it is used once; the rows are query, key, value": q[t],
        "keys and values are exchanged: the rows of c_attn are query, key, value": other[t],
    }
    for message, wrong in mistakes.items():
        expect(not close(found[-1], wrong), message)
    in_front = t > 0 and close(found[0], right[t])
    expect(not in_front, f"append the newest of the {name} at the end, not in front")
    expect_close(found, right[: t + 1], {}, f"the {name} after position {t}: ")


def check_output(y, q, k, v) -> None:
    """Whether y is attention of the newest query over all keys and values."""
    scores = k @ q / math.sqrt(len(q))

    def attended(scores, v):
        return scores.softmax(dim=0) @ v

    mistakes = {
        "the scores are not divided by √head_size": attended(k @ q, v),
        "the softmax over the scores is missing": scores @ v,
    }
    if len(k) > 1:
        mistakes["the newest position must see itself, too: append first"] = attended(scores[:-1], v[:-1])
    for n in range(1, len(k)):
        message = f"the newest position sees only the last {n} of {len(k)} positions: attend to all keys"
        mistakes[message] = attended(scores[-n:], v[-n:])
    expect_close(y, attended(scores, v), mistakes, f"with {len(k)} positions, y: ")


@exercise(difficulty=3, minutes=20)
def speculative_rule(attempt):
    """attempt(p [vocab], q [vocab]) -> accept [vocab], instead [vocab]: p comes out, most is accepted."""
    g = torch.Generator().manual_seed(0)

    def random(n):
        return (2 * torch.randn(n, generator=g, dtype=torch.float64)).softmax(dim=0)

    same = random(5)
    for p, q in (
        (random(6), random(6)),
        ([0.5, 0.5], [0.8, 0.2]),
        (random(30), random(30)),
        ([0.0, 0.7, 0.3, 0.0], [0.5, 0.5, 0.0, 0.0]),
        (same, same),
    ):
        p, q = torch.as_tensor(p, dtype=torch.float64), torch.as_tensor(q, dtype=torch.float64)
        accept, instead = parts(attempt(p.clone(), q.clone()), "accept", "instead")
        accept = tensor(accept, p.shape, "accept")
        instead = tensor(instead, p.shape, "instead")
        check_accept(accept, p, q)
        check_instead(instead, p, q)


def check_accept(accept, p, q) -> None:
    """Whether as many guesses as possible are accepted, and no token comes oftener than in p."""
    expect(torch.isfinite(accept).all(), "accept is not finite: where q is 0, do not divide by it")
    upside_down = torch.where(p > 0, q / p.clamp(min=1e-30), 1.0).clamp(max=1.0)
    differs = not close(p, q)
    expect(not (differs and close(accept, upside_down)), "accept is upside down: min(1, p / q), not q / p")
    expect(
        ((accept >= 0) & (accept <= 1 + 1e-6)).all(), "accept is a probability: it must lie between 0 and 1"
    )
    all_of_them = differs and (accept[q > 0] == 1).all()
    expect(not all_of_them, "you accept every guess: accept fewer where q is larger than p")
    expect(accept[q > 0].any(), "you accept no guess: accept as many as p allows")
    accepted = q * accept  # how often each token comes from the guess
    too_often = (accepted > p + 1e-6).any()
    expect(not too_often, "a token comes from the guess oftener than p allows: accept fewer where q > p")
    most = torch.minimum(p, q)
    expect(
        close(accepted, most),
        f"you accept {accepted.sum().item():.3f} of the guesses, {most.sum().item():.3f} are possible: "
        "accept all where q is smaller than p, and p / q of them elsewhere",
    )


def check_instead(instead, p, q) -> None:
    """Whether what comes after a refusal is what p lacks, when the right share of guesses is accepted."""
    expect(torch.isfinite(instead).all(), "instead is not finite: when p equals q nothing is missing, 0 / 0")
    expect(
        (instead >= 0).all(), "instead is negative where q is larger than p: nothing is missing there, so 0"
    )
    total = instead.sum().item()
    expect(
        abs(total - 1) < 1e-4, f"instead must be a distribution, yours sums to {total:.3f}: divide by the sum"
    )
    missing = (p - q).clamp(min=0)
    if missing.sum() == 0:
        return
    apart = (p - q).abs()
    mistakes = {
        "instead is p: only what is missing of p may come after a refusal, p - min(p, q)": p,
        "instead is |p - q|: where q is larger than p nothing is missing": apart / apart.sum(),
        "instead is q: the guess was refused because it comes too often": q,
    }
    expect_close(instead, missing / missing.sum(), mistakes, hint="only what is missing of p, p - min(p, q)")
