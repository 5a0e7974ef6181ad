"""Right and wrong answers to the exercise of chapter 17, on which its checker is tested."""

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


ALTERNATIVES = {"estimate_run": [estimate, lambda *given: list(np.float32(estimate(*given)))]}

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
    }
}
