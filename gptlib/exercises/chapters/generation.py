"""The checkers of chapter 12. Each calls the reader's function on several inputs and names the mistake."""

import math

import torch

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=8)
def min_p_filter(attempt):
    """attempt(logits [B, vocab], min_p) -> [B, vocab], -inf below min_p times each row's peak probability."""
    exact = torch.tensor([[8.0, 4.0, 2.0, 1.0, 1.0]], dtype=torch.float64).log()
    g = torch.Generator().manual_seed(0)
    # above -10, so that nobody's -inf is mistaken for a logit; two rows with very different peaks
    random = (
        2 * torch.randn(4, 7, generator=g, dtype=torch.float64) * torch.tensor([[1.0], [0.2], [1.0], [0.5]])
    )
    for logits, min_p in ((exact, 0.24), (random, 0.3), (random, 0.02), (random - 50, 0.3), (random, 1e-9)):
        kept_before = logits.clone()
        y = attempt(logits, min_p)
        expect(
            torch.is_tensor(y) and y.shape == logits.shape, f"the result must have shape {list(logits.shape)}"
        )
        expect(torch.equal(logits, kept_before), "you changed the logits you were given: return new ones")
        p = logits.softmax(dim=-1)
        keep = p >= min_p * p.amax(dim=-1, keepdim=True)
        if torch.equal(y, logits.masked_fill(~keep, -math.inf)):
            continue
        expect(
            not torch.allclose(y.exp().sum(dim=-1), p.new_ones(len(y))), "return logits, not probabilities"
        )
        expect(
            torch.isfinite(y).any(dim=-1).all(), "a row has nothing left: the likeliest token always stays"
        )
        kept = torch.isfinite(y)
        expect(
            not torch.equal(kept, p >= min_p) or torch.equal(kept, keep),
            "you keep what reaches min_p itself; the line is min_p times the row's largest probability",
        )
        expect(
            not torch.equal(kept, p >= min_p * p.max()) or torch.equal(kept, keep),
            "every row has its own line: take the largest probability of each row",
        )
        expect(
            not torch.equal(kept, logits >= min_p * logits.amax(dim=-1, keepdim=True)),
            "you compare logits; the line is drawn on probabilities",
        )
        expect(not torch.equal(kept, ~keep), "you dropped what should stay and kept what should go")
        if (kept & ~keep).any() and (y[kept & ~keep] == 0).all():
            expect(False, "a dropped token needs the logit -inf; the logit 0 still has a probability")
        wrong = int((kept != keep).sum())
        expect(wrong == 0, f"min_p={min_p}: {wrong} of {kept.numel()} tokens are kept or dropped wrongly")
        expect(False, "the logits of the tokens that stay must stay as they are")
    on_the_line = attempt(torch.tensor([[0.0, 0.0, -40.0]]), 1.0)
    expect(
        torch.isfinite(on_the_line[0, :2]).all(),
        "a token exactly on the line stays: drop only what lies below it",
    )


@exercise(difficulty=2, minutes=15)
def attention_step(attempt):
    """attempt(x [C], c_attn [3C, C], (keys [S, C], values [S, C])) -> y [C], (keys, values) [S+1, C]."""
    for T, C, seed in ((6, 4, 0), (3, 9, 1), (1, 5, 2)):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(T, C, generator=g, dtype=torch.float64)
        c_attn = torch.randn(3 * C, C, generator=g, dtype=torch.float64)
        q, k, v = (x @ c_attn.T).split(C, dim=1)
        past = (k[:0], v[:0])
        for t in range(T):
            before = tuple(part.clone() for part in past)
            answer = attempt(x[t], c_attn, past)
            expect(
                isinstance(answer, tuple) and len(answer) == 2 and len(answer[1]) == 2,
                "return two things: y, and the pair (keys, values)",
            )
            y, new = answer
            expect(torch.is_tensor(y) and y.shape == (C,), f"y must have shape [{C}]")
            unchanged = all(
                torch.equal(a, b) if a.shape == b.shape else False for a, b in zip(past, before, strict=True)
            )
            expect(unchanged, "you changed the past you were given; make new tensors")
            check_past(new, q, k, v, t)
            check_output(y, q[t], k[: t + 1], v[: t + 1])
            past = (k[: t + 1].clone(), v[: t + 1].clone())


def check_past(new, q, k, v, t):
    """Whether the keys and values of positions 0 … t were returned in order."""
    for name, ours, right in (("keys", new[0], k[: t + 1]), ("values", new[1], v[: t + 1])):
        expect(
            torch.is_tensor(ours) and ours.shape == right.shape,
            f"after position {t} there must be {t + 1} {name} of {k.shape[1]} numbers",
        )
        if torch.allclose(ours, right):
            continue
        expect(
            t == 0 or not torch.allclose(ours[0], right[-1]),
            f"append the newest of the {name} at the end, not in front",
        )
        expect(
            not torch.allclose(ours[-1], q[t]), f"the query was stored among the {name}: it is used once only"
        )
        other = v if name == "keys" else k
        expect(
            not torch.allclose(ours[-1], other[t]),
            "keys and values are exchanged: rows are query, key, value",
        )
        expect(False, f"the {name} after position {t} are wrong")


def check_output(y, q, k, v):
    """Whether y is attention of the newest query over all keys and values."""
    scores = k @ q
    if torch.allclose(y, (scores / math.sqrt(len(q))).softmax(dim=0) @ v):
        return
    expect(not torch.allclose(y, scores.softmax(dim=0) @ v), "the scores are not divided by √head_size")
    if len(k) > 1:
        without_itself = (scores[:-1] / math.sqrt(len(q))).softmax(dim=0) @ v[:-1]
        expect(
            not torch.allclose(y, without_itself), "the newest position must see itself, too: append first"
        )
        expect(not torch.allclose(y, v[-1]), "the newest position sees only itself: attend to all keys")
    expect(not torch.allclose(y, scores / math.sqrt(len(q)) @ v), "the softmax over the scores is missing")
    difference = (y - (scores / math.sqrt(len(q))).softmax(dim=0) @ v).abs().max().item()
    expect(False, f"with {len(k)} positions, y is off by {difference:.3g}")


@exercise(difficulty=3, minutes=20)
def speculative_rule(attempt):
    """attempt(p [vocab], q [vocab]) -> accept [vocab], instead [vocab]: p comes out, most is accepted."""
    g = torch.Generator().manual_seed(0)

    def random(n):
        return (2 * torch.randn(n, generator=g, dtype=torch.float64)).softmax(dim=0)

    halves = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.8, 0.2], dtype=torch.float64)
    zeros = torch.tensor([0.0, 0.7, 0.3, 0.0], dtype=torch.float64), torch.tensor([0.5, 0.5, 0, 0]).double()
    same = random(5)
    for p, q in (halves, (random(6), random(6)), (random(30), random(30)), zeros, (same, same.clone())):
        answer = attempt(p.clone(), q.clone())
        expect(
            isinstance(answer, tuple) and len(answer) == 2 and all(a.shape == p.shape for a in answer),
            f"return two tensors of shape [{len(p)}]: accept and instead",
        )
        accept, instead = answer
        drawn = q > 0
        expect(torch.isfinite(accept[drawn]).all(), "accept is not finite for a token that q can draw")
        expect(
            ((accept[drawn] >= 0) & (accept[drawn] <= 1 + 1e-9)).all(),
            "accept is a probability: it must lie between 0 and 1",
        )
        kept = torch.where(drawn, q * accept, 0.0)  # how often each token comes from the guess
        expect(
            (kept <= p + 1e-9).all(),
            "a token comes from the guess oftener than p allows: accept it less when q is larger than p",
        )
        best = torch.minimum(p, q)
        expect(
            torch.allclose(kept, best, atol=1e-9),
            f"you accept {kept.sum().item():.3f} of the guesses, {best.sum().item():.3f} are possible",
        )
        expect(torch.isfinite(instead).all(), "instead is not finite: when p equals q nothing is missing")
        expect(
            (instead >= 0).all() and abs(instead.sum().item() - 1) < 1e-9,
            f"instead must be a distribution, yours sums to {instead.sum().item():.3f}",
        )
        result = kept + (1 - kept.sum()) * instead
        off = (result - p).abs().max().item()
        expect(
            off < 1e-9,
            f"what comes out is off p by {off:.3g}: after a refusal only what is missing of p may come",
        )
