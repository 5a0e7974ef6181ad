"""The checker of chapter 17."""

from gptlib.exercises import exercise
from gptlib.exercises.answer import expect_close, number, parts


@exercise(difficulty=2, minutes=10)
def estimate_run(attempt):
    """attempt(parameters, steps, tokens_per_step, text_tokens, peak, utilisation) -> (epochs, operations, seconds)."""
    for parameters, steps, tokens_per_step, text_tokens, peak, utilisation in (
        (10_770_816, 3000, 64 * 256, 1_003_854, 990e12, 0.05),
        (818_048, 1200, 16 * 128, 1_003_854, 80e9, 0.5),
        (124_439_808, 10, 500_000, 10_000_000, 65e12, 1.0),
    ):
        answer = attempt(parameters, steps, tokens_per_step, text_tokens, peak, utilisation)
        epochs, operations, seconds = map(number, parts(answer, "epochs", "operations", "seconds"))
        tokens = steps * tokens_per_step
        mistakes = {
            "steps are no epochs: an epoch reads text_tokens once": steps,
            "a step reads tokens_per_step tokens, not one": steps / text_tokens,
            "that is the inverse: all tokens over text_tokens": text_tokens / tokens,
        }
        expect_close(epochs, tokens / text_tokens, mistakes, "epochs: ")
        right = 6 * parameters * tokens
        mistakes = {
            "two per weight and token are the forward pass alone; the backward pass takes four": right / 3,
            "four per weight and token are the backward pass alone; the forward pass takes two": right / 1.5,
            "one per weight and token; a product and a sum, forward and twice backward, are 6": right / 6,
            "a step reads tokens_per_step tokens, not one": right / tokens_per_step,
            "that is one step: multiply by steps": right / steps,
        }
        expect_close(operations, right, mistakes, "operations: ")
        mistakes = {
            "the chip reaches only its utilisation: speed = peak · utilisation": right / peak,
            "divide by the utilisation: a slower chip takes longer": right / peak * utilisation,
        }
        expect_close(seconds, right / (peak * utilisation), mistakes, "seconds: ")
