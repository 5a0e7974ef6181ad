"""The checkers of chapter 13. Each calls the reader's function on inputs of several sizes and names the mistake."""

from statistics import NormalDist

import torch

from gptlib.exercises import exercise, expect
from gptlib.exercises.answer import as_list, expect_close, number, parts, tensor, whole_number
from gptlib.gpt import GPT, GPTConfig


@exercise(difficulty=2, minutes=15)
def clear_heads(attempt):
    """attempt(costs [n_heads, N]) -> the indices of the heads whose mean is clear of 0, with Bonferroni's correction."""
    for n_heads, N, seed in ((36, 32, 0), (12, 64, 1), (1, 16, 2)):
        rng = torch.Generator().manual_seed(seed)
        noise = torch.randn(n_heads, N, generator=rng, dtype=torch.float64)
        noise = (noise - noise.mean(dim=1, keepdim=True)) / noise.std(
            dim=1, keepdim=True
        )  # error exactly 1 / √N
        bound = NormalDist().inv_cdf(1 - 0.025 / n_heads)
        # means in units of the error: around each wrong bound, and the right one
        levels = torch.tensor([0.0, 1.8, 2.2, -2.2, bound - 0.05, bound + 0.05, -bound - 0.05, 40.0, -40.0])
        z = levels[torch.arange(n_heads) % len(levels)] if n_heads > 1 else torch.tensor([2.0])
        costs = noise + (z / N**0.5)[:, None]
        right = {i for i, value in enumerate(z.tolist()) if abs(value) > bound}
        found = {whole_number(i, "an index") for i in as_list(attempt(costs.clone()), "a list of indices")}
        where = f"{n_heads} heads, {N} windows: "
        plain = {i for i, value in enumerate(z.tolist()) if abs(value) > 1.9}
        expect(
            n_heads == 1 or found != plain,
            where + "no correction: with 0.05 for each head some are named by chance; use 0.05 / n_heads",
        )
        one_sided = NormalDist().inv_cdf(1 - 0.05 / n_heads)
        loose = {i for i, value in enumerate(z.tolist()) if abs(value) > one_sided}
        expect(
            loose == right or found != loose,
            where + "half of the probability lies on each side: 1 - 0.05 / n_heads / 2",
        )
        only_up = {i for i in right if z[i] > 0}
        expect(
            only_up == right or found != only_up,
            where + "a head whose removal lowers the loss is clear, too: compare |mean| / error",
        )
        everything = {i for i, value in enumerate(z.tolist()) if abs(value) * N**-0.5 > bound}
        expect(
            not found or everything == right or found != everything,
            where + "the error of a mean is the standard deviation over the root of N",
        )
        expect(found == right, where + f"clear are {sorted(right)}, yours are {sorted(found)}")


@exercise(difficulty=2, minutes=15)
def without(attempt):
    """attempt(model, parts, name) -> logits [B, T, vocab] of the stream without that part, divided anew."""
    from gptlib.inspection import decompose, logit_parts

    for bias, seed in ((True, 1), (False, 2)):
        model = GPT(
            GPTConfig(9, 6, n_layer=2, n_head=2, n_embd=8, bias=bias), torch.Generator().manual_seed(seed)
        )
        model = model.double().eval()
        rng = torch.Generator().manual_seed(seed)
        for p in model.parameters():
            torch.nn.init.normal_(p, 0.1, 0.5, generator=rng)
        idx = torch.tensor([[1, 2, 3, 4], [8, 0, 5, 5]])
        written = decompose(model, idx)
        for name in ("mlp 1", "head 0.1", "token"):
            kept = {key: part.clone() for key, part in written.items()}
            answer = attempt(model, kept, name)
            where = f"without {name!r}: "
            expect(
                kept.keys() == written.keys(),
                where + "you changed the dictionary that you were given: leave it as it is",
            )
            found = tensor(answer, (2, 4, 9), where + "the logits")
            with torch.no_grad():
                rest = sum(part for key, part in written.items() if key != name)
                right = model.lm_head(model.ln_f(rest))
                shares = logit_parts(model, written)
                mistakes = {
                    "the divisor is still the old one: take the part out of the stream, then apply model.ln_f": model(
                        idx
                    )
                    - shares[name],
                    "nothing was taken out": model(idx),
                    "model.ln_f is missing": model.lm_head(rest),
                    "these are the logits of the part alone": model.lm_head(model.ln_f(written[name])),
                    "this is the part's share by logit_parts": shares[name],
                }
            expect_close(
                found,
                right,
                mistakes,
                where,
                "the sum of the other parts through model.ln_f and model.lm_head",
            )


@exercise(difficulty=2, minutes=15)
def control_task(attempt):
    """attempt(tokens int64 [B, T], share, seed) -> labels int64 [B, T], one for each kind of token."""
    rng = torch.Generator().manual_seed(1)
    tokens = torch.randint(3000, (40, 250), generator=rng)
    for share in (0.5, 0.2):
        labels = tensor(attempt(tokens.clone(), share, 1), (40, 250), "the labels")
        expect(((labels == 0) | (labels == 1)).all(), "labels are 0 or 1")
        table = torch.full((3000,), -1.0, dtype=torch.float64)
        table[tokens.flatten()] = labels.flatten()
        same = (table[tokens] == labels).all()
        expect(
            same,
            "the same kind of token has different labels: draw a label for each kind, not for each position",
        )
        found = table[table >= 0].mean().item()
        expect(
            abs(found - (1 - share)) > 0.05 or share == 0.5,
            f"share={share} is the probability of the label 1, not of 0",
        )
        expect(abs(found - share) < 0.05, f"share={share}: of the kinds {found:.2f} have the label 1")
        ordered = table[table >= 0]
        runs = (ordered[1:] != ordered[:-1]).double().mean().item()
        expect(
            abs(runs - 2 * share * (1 - share)) < 0.05,
            f"share={share}: labels must be random; yours follow the order of the tokens",
        )
        part = tensor(attempt(tokens[3:5, 7:].clone(), share, 1), (2, 243), "the labels")
        expect(
            (part == labels[3:5, 7:]).all(),
            "the labels of a kind depend on what else is in `tokens`: a probe is tested on another text",
        )
        other = tensor(attempt(tokens.clone(), share, 2), (40, 250), "the labels")
        expect((other != labels).any(), "another seed must give other labels")
        state = torch.get_rng_state()
        attempt(tokens[:2].clone(), share, 1)
        expect(
            torch.equal(state, torch.get_rng_state()),
            "draw from a generator with the seed, not from torch's default one",
        )


@exercise(difficulty=3, minutes=45)
def cost_where(attempt):
    """attempt(before [N, T], after [N, T], marked bool [N, T]) -> rise where marked, elsewhere, error of the difference."""
    for N, T, seed in ((6, 9, 1), (4, 20, 2)):
        rng = torch.Generator().manual_seed(seed)
        before, after = (torch.rand(N, T, generator=rng, dtype=torch.float64) for _ in range(2))
        marked = torch.rand(N, T, generator=rng) < 0.3
        marked[0], marked[1] = False, True  # windows without both kinds
        rise = after - before
        inside, outside = rise[marked].mean(), rise[~marked].mean()
        both = [b for b in range(N) if marked[b].any() and not marked[b].all()]
        differences = torch.stack([rise[b][marked[b]].mean() - rise[b][~marked[b]].mean() for b in both])
        error = differences.std() / len(both) ** 0.5
        found = parts(
            attempt(before.clone(), after.clone(), marked.clone()),
            "rise where marked",
            "elsewhere",
            "the error",
        )
        first, second, third = (
            number(value, name)
            for value, name in zip(found, ("the first", "the second", "the error"), strict=True)
        )
        where = f"N={N}, T={T}: "
        swapped = {
            "before and after are swapped: the rise is after − before": -inside,
            "marked and the others are swapped": outside,
            "this is the mean over all positions": rise.mean(),
            "the first two are over all positions together, not means of windows' means": torch.stack(
                [rise[b][marked[b]].mean() for b in range(N) if marked[b].any()]
            ).mean(),
            "the loss itself, not its rise": after[marked].mean(),
        }
        expect_close(first, inside, swapped, where + "where marked: ")
        expect_close(
            second, outside, {"this is the mean over all positions": rise.mean()}, where + "elsewhere: "
        )
        expect(third == third, where + "the error is not a number: windows without both kinds are left out")
        wrong = {
            "the standard deviation is not yet the error of a mean: divide by the root of the number of windows": differences.std(),
            "divide by N − 1 in the standard deviation": differences.std(unbiased=False) / len(both) ** 0.5,
            "the windows that were left out do not count in the root": differences.std() / N**0.5,
            "windows are the units, not positions": rise.flatten().std() / (N * T) ** 0.5,
        }
        expect_close(third, error, wrong, where + "the error: ")
