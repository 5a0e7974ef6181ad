"""Solutions to the exercises of chapter 17, each after a line with its checker's name."""


# --- estimate_run
def estimate_run(parameters, steps, tokens_per_step, text_tokens, peak, utilisation):
    tokens = steps * tokens_per_step
    operations = 6 * parameters * tokens
    return tokens / text_tokens, operations, operations / (peak * utilisation)
