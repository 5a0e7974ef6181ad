"""Right and wrong answers to the exercise of chapter 17, on which its checker is tested."""


def estimate(parameters, steps, tokens_per_step, text_tokens, peak, utilisation, per_weight=6.0, divide=True):
    """The estimate, with switches for the bugs."""
    operations = per_weight * parameters * steps * tokens_per_step
    speed = peak * utilisation if divide else peak
    return steps * tokens_per_step / text_tokens, operations, operations / speed


ALTERNATIVES = {"estimate_run": [estimate]}

BUGS = {
    "estimate_run": {
        "forward pass only": lambda *a: estimate(*a, per_weight=2.0),
        "utilisation forgotten": lambda *a: estimate(*a, divide=False),
        "steps counted as epochs": lambda *a: (a[1], *estimate(*a)[1:]),
        "tokens per step forgotten": lambda *a: (
            estimate(*a)[0],
            6.0 * a[0] * a[1],
            6.0 * a[0] * a[1] / (a[4] * a[5]),
        ),
    }
}
