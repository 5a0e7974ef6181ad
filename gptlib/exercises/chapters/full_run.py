"""The checkers of chapter 17."""

import math
from statistics import fmean

from gptlib.exercises import exercise, expect
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


@exercise(difficulty=2, minutes=15)
def judge(attempt):
    """attempt(losses_of, left, right) -> "left" or "right": the side whose mean loss is higher."""
    told, asked = {"b": 1.0, "c": 2.0, "d": 6.0}, set()

    def losses_of(text):
        asked.add(text)
        return [math.nan, *(told[c] for c in text[1:])]

    pairs = [
        ("acc", "abb"),
        ("acc", "abbbbb"),
        ("accc", "abbd"),
        ("accb", "abc"),
        ("abcbb", "abb"),
        ("abd", "accccc"),
        ("ac", "abbcbc"),
    ]
    pairs += [(right, left) for left, right in pairs]
    scores = {
        "name the higher mean loss: real text is less likely than what a model writes": lambda x: (
            -fmean(x[1:])
        ),
        "take the mean, not the sum: a long passage has more losses": lambda x: sum(x[1:]),
        "the first loss is NaN, which is no 0: it counts neither in the sum nor in the number": lambda x: (
            sum(x[1:]) / len(x)
        ),
        "take the mean of all losses, not the largest": lambda x: max(x[1:]),
        "take the mean of all losses, not the last one": lambda x: x[-1],
        "you name one side always. The first loss is NaN, and a comparison with NaN is false: leave it out": fmean,
    }

    def answers(score):
        """Of a judge that answers "right" where the left score is not higher, and of one with the sides swapped."""
        higher = [(score(losses_of(left)) > score(losses_of(right))) for left, right in pairs]
        swapped = [(score(losses_of(right)) > score(losses_of(left))) for left, right in pairs]
        return [["left" if h else "right" for h in higher], ["right" if h else "left" for h in swapped]]

    found = []
    for left, right in pairs:
        asked.clear()
        answer = attempt(losses_of, left, right)
        expect(
            isinstance(answer, str) and answer in ("left", "right"),
            f'return "left" or "right", not {answer!r}',
        )
        expect({left, right} <= asked, "ask losses_of for both passages: their text alone does not tell")
        found.append(answer)
    for message, score in scores.items():
        expect(found not in answers(score), message)
    for (left, right), answer, best in zip(pairs, found, answers(lambda x: fmean(x[1:]))[0], strict=True):
        shown = [[told[c] for c in text[1:]] for text in (left, right)]
        expect(
            answer == best,
            f"with losses {shown[0]} on the left and {shown[1]} on the right: {best}, not {answer}",
        )
