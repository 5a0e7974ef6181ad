"""The checker of chapter 17."""

import math

from gptlib.exercises import exercise, expect


@exercise(difficulty=2, minutes=10)
def estimate_run(attempt):
    """attempt(parameters, steps, tokens_per_step, text_tokens, peak, utilisation) -> (epochs, operations, seconds)."""
    for parameters, steps, tokens_per_step, text_tokens, peak, utilisation in (
        (10_770_816, 3000, 64 * 256, 1_003_854, 990e12, 0.05),
        (818_048, 1200, 16 * 128, 1_003_854, 80e9, 0.5),
        (124_439_808, 10, 500_000, 10_000_000, 65e12, 1.0),
    ):
        found = attempt(parameters, steps, tokens_per_step, text_tokens, peak, utilisation)
        expect(
            isinstance(found, tuple) and len(found) == 3, "return three values: epochs, operations, seconds"
        )
        epochs, operations, seconds = found
        tokens = steps * tokens_per_step
        right = tokens / text_tokens
        expect(
            math.isclose(epochs, right, rel_tol=1e-9),
            f"the text is read {right:.2f} times, yours says {epochs:.2f}: all tokens over text_tokens",
        )
        right = 6 * parameters * tokens
        expect(
            not math.isclose(operations, right / 3, rel_tol=1e-9),
            "two operations per weight and token are the forward pass alone; the backward pass takes four more",
        )
        expect(
            math.isclose(operations, right, rel_tol=1e-9),
            f"6 operations per weight and token make {right:.3g}, yours says {operations:.3g}",
        )
        right = right / (peak * utilisation)
        expect(
            math.isclose(seconds, right, rel_tol=1e-9),
            f"at {utilisation:g} of the peak this takes {right:.3g} s, yours says {seconds:.3g}",
        )
