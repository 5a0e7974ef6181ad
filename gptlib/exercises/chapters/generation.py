"""The checkers of chapter 12. Each calls the reader's function on several inputs and names the mistake."""

import math

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, close, expect_close, number, parts, tensor, whole_number


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


def planned(prompt, count, block_size, keep, *, crop=True, anew=True, refills=True, late=False) -> list:
    """The calls of the model as (start, stop); the switches make the usual mistakes."""
    plan, cached = [], 0
    for i in range(count):
        length = prompt + i
        new = 1
        if i == 0:
            new = min(prompt, block_size) if crop else prompt
        elif cached >= block_size + late and refills:
            new, cached = keep, 0
        plan.append((length - new, length))
        cached = cached + new if anew or new == 1 or i == 0 else block_size
    return plan


@exercise(difficulty=2, minutes=20)
def refill_plan(attempt):
    """attempt(prompt, count, block_size, keep) -> the tokens of each call, (start, stop), one for each new token."""
    cases = [
        (3, 5, 4, 2),
        (3, 1, 8, 4),
        (4, 3, 4, 2),
        (9, 4, 4, 2),
        (1, 20, 8, 4),
        (5, 20, 8, 1),
        (2, 9, 4, 4),
        (3, 0, 4, 2),
    ]
    for case in cases:
        prompt, count, block_size, keep = case
        where = f"prompt={prompt}, count={count}, block_size={block_size}, keep={keep}: "
        found = as_list(attempt(*case), "a list of pairs")
        found = [
            tuple(whole_number(x, "start and stop") for x in parts(pair, "start", "stop")) for pair in found
        ]
        right = planned(*case)
        expect(
            len(found) == count,
            where + f"one call for each of the {count} new tokens, yours has {len(found)}",
        )
        if found == right:
            continue
        mistakes = {
            "a prompt longer than the room is cropped to its last block_size tokens": dict(crop=False),
            "after a refill the cache holds `keep` positions, so there is room again": dict(anew=False),
            "the cache never holds more than block_size positions: refill when it is full": dict(
                refills=False
            ),
            "the refill comes a token too late: when the cache is full, no further token fits": dict(
                late=True
            ),
        }
        for message, switches in mistakes.items():
            wrong = planned(*case, **switches)
            expect(found != wrong, where + message)
        i = next(i for i in range(count) if found[i] != right[i])
        start, stop = found[i]
        expect(
            stop == right[i][1],
            where + f"call {i + 1} must end before token {right[i][1]}, the text's length then, yours {stop}",
        )
        expect(
            start != right[i][0] + 1 or stop - start != keep - 1,
            where + "the newest token counts among the `keep`",
        )
        expect(False, where + f"call {i + 1} must get the tokens {right[i]}, yours gets {found[i]}")


class Table(torch.nn.Module):
    """A model whose logits depend on the last two tokens."""

    def __init__(self, vocab: int):
        super().__init__()
        generator = torch.Generator().manual_seed(vocab)
        self.logits = torch.nn.Parameter(2 * torch.randn(vocab, vocab, vocab, generator=generator))

    def forward(self, idx):
        before = torch.cat([torch.zeros_like(idx[:, :1]), idx[:, :-1]], dim=1)
        return self.logits[before, idx]  # [B, T, vocab]


@exercise(difficulty=2, minutes=25)
def surprise(attempt):
    """attempt(model, ids, prompt) -> the mean of -ln p over ids[prompt:], each given all tokens before it."""
    rng = torch.Generator().manual_seed(0)
    for vocab, n, prompt in ((7, 12, 3), (5, 9, 1), (7, 20, 19), (3, 30, 10)):
        model, ids = Table(vocab), torch.randint(vocab, (n,), generator=rng).tolist()
        given = list(ids)
        found = number(attempt(model, given, prompt), "the mean")
        expect(given == ids, "you changed the list of tokens you were given")
        with torch.no_grad():
            log_p = model(torch.tensor([ids]))[0].double().log_softmax(-1)  # [n, vocab]
        each = [-log_p[t - 1, ids[t]].item() for t in range(1, n)]  # of tokens 1, 2, …
        chosen = each[prompt - 1 :]
        mistakes = {
            "the sum: take the mean": sum(chosen) if len(chosen) > 1 else math.nan,
            "with the wrong sign: -ln p is positive": -sum(chosen) / len(chosen),
            "the tokens of the prompt count, too: leave them out": sum(each) / len(each)
            if prompt > 1
            else math.nan,
            "the first token after the prompt is left out": sum(each[prompt:]) / max(1, len(each[prompt:])),
            "the last token of the prompt counts, too": sum(each[max(0, prompt - 2) :])
            / len(each[max(0, prompt - 2) :])
            if prompt > 1
            else math.nan,
            "the logits at position t are for token t + 1, not for token t": -sum(
                log_p[t, ids[t]].item() for t in range(prompt, n)
            )
            / len(chosen),
            "in bits: use the natural logarithm": sum(chosen) / len(chosen) / math.log(2),
            "the mean of p: take -ln of each first": sum(math.exp(-x) for x in chosen) / len(chosen),
        }
        where = f"{n} tokens, of which the first {prompt} are the prompt: "
        expect_close(found, sum(chosen) / len(chosen), mistakes, where)
