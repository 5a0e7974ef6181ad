"""Solutions to the exercises of chapter 17, each after a line with its checker's name."""

import statistics


# --- estimate_run
def estimate_run(parameters, steps, tokens_per_step, text_tokens, peak, utilisation):
    tokens = steps * tokens_per_step
    operations = 6 * parameters * tokens
    return tokens / text_tokens, operations, operations / (peak * utilisation)


# --- judge
def judge(losses_of, left, right):
    means = [statistics.fmean(losses_of(passage)[1:]) for passage in (left, right)]
    return "left" if means[0] > means[1] else "right"
