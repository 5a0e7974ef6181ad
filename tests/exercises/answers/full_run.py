"""Right and wrong answers to the exercises of chapter 17, on which their checkers are tested."""

import statistics

import numpy as np


def estimate(
    parameters, steps, tokens_per_step, text_tokens, peak, utilisation, *, per_weight=6.0, power=1, epoch=None
):
    """The estimate, with switches for the bugs."""
    operations = per_weight * parameters * steps * tokens_per_step
    epochs = steps * tokens_per_step / text_tokens if epoch is None else epoch
    return epochs, operations, operations / (peak * utilisation**power)


def with_bug(**switches):
    return lambda *given: estimate(*given, **switches)


def judged_by(score, sides=("left", "right")):
    """A judge that names the side with the higher score of its losses."""

    def judge(losses_of, left, right):
        return sides[0] if score(losses_of(left)) > score(losses_of(right)) else sides[1]

    return judge


def by_loop(losses_of, left, right):
    best = None
    for side, text in (("left", left), ("right", right)):
        known = [loss for loss in losses_of(text) if loss == loss]
        if best is None or sum(known) / len(known) > best[0]:
            best = sum(known) / len(known), side
    return best[1]


ALTERNATIVES = {
    "judge": [by_loop, judged_by(lambda losses: np.nanmean(np.float32(losses)))],
    "estimate_run": [estimate, lambda *given: list(np.float32(estimate(*given)))],
}

BUGS = {
    "estimate_run": {
        "forward pass only": (with_bug(per_weight=2.0), "forward pass alone"),
        "backward pass only": (with_bug(per_weight=4.0), "backward pass alone"),
        "one operation per weight": (with_bug(per_weight=1.0), "one per weight"),
        "utilisation forgotten": (with_bug(power=0), "only its utilisation"),
        "utilisation multiplied": (with_bug(power=-1), "divide by the utilisation"),
        "steps counted as epochs": (lambda *given: estimate(*given, epoch=given[1]), "no epochs"),
        "tokens per step forgotten": (
            lambda *given: (estimate(*given)[0], *estimate(*given[:2], 1, *given[3:])[1:]),
            "tokens_per_step",
        ),
        "one step": (
            lambda *given: (estimate(*given)[0], *estimate(given[0], 1, *given[2:])[1:]),
            "one step",
        ),
        "seconds alone": (lambda *given: estimate(*given)[2], "3 values"),
    },
    "judge": {
        "the lower loss": (judged_by(lambda losses: -statistics.fmean(losses[1:])), "higher mean loss"),
        "sums": (judged_by(lambda losses: sum(losses[1:])), "mean, not the sum"),
        "NaN kept": (judged_by(statistics.fmean), "NaN"),
        "NaN kept, the other side first": (judged_by(statistics.fmean, ("right", "left")), "NaN"),
        "the largest loss": (judged_by(lambda losses: max(losses[1:])), "not the largest"),
        "the last loss": (judged_by(lambda losses: losses[-1]), "not the last"),
        "NaN left out of the sum, not of the number": (
            judged_by(lambda x: sum(x[1:]) / len(x)),
            "nor in the number",
        ),
        "NaN as 0": (judged_by(lambda x: statistics.fmean([0.0, *x[1:]])), "which is no 0"),
        "the length": (
            lambda of, left, right: "left" if len(left) > len(right) else "right",
            "both passages",
        ),
        "the loss itself": (lambda of, left, right: statistics.fmean(of(left)), 'return "left" or "right"'),
        "always left": (lambda of, left, right: of(left) and of(right) and "left", "one side always"),
        "a truth value": (lambda of, left, right: True, '"left" or "right"'),
    },
}
