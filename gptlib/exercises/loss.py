"""The checker of chapter 03."""

import math

from gptlib.exercises import exercise, expect


@exercise(difficulty=1, minutes=5)
def perplexity(attempt):
    """attempt(probabilities of the right tokens) -> exp of the mean of -ln p."""
    for probabilities in ([0.5, 0.5], [1.0], [0.25, 0.5, 0.125], [0.9, 0.001]):
        found = float(attempt(list(probabilities)))
        loss = -sum(map(math.log, probabilities)) / len(probabilities)
        mean = len(probabilities) / sum(probabilities)
        same = math.isclose(mean, math.exp(loss))
        expect(
            same or not math.isclose(found, mean), "take the mean of the logarithms, not of the probabilities"
        )
        expect(
            not math.isclose(found, loss) or loss == math.exp(loss),
            "that is the loss: the perplexity is its exp",
        )
        expect(
            math.isclose(found, math.exp(loss)),
            f"for {probabilities} it is {math.exp(loss):.3f}, yours is {found:.3f}",
        )
