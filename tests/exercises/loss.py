"""Right and wrong answers to the exercise of chapter 03, on which its checker is tested."""

import math


def by_product(probabilities):
    return math.prod(probabilities) ** (-1 / len(probabilities))


ALTERNATIVES = {"perplexity": [by_product]}

BUGS = {
    "perplexity": {
        "the loss itself": lambda p: -sum(map(math.log, p)) / len(p),
        "mean of the probabilities": lambda p: len(p) / sum(p),
        "sum instead of mean": lambda p: 1 / math.prod(p),
        "base two": lambda p: 2 ** (-sum(map(math.log, p)) / len(p)),
        "sign forgotten": lambda p: math.exp(sum(map(math.log, p)) / len(p)),
    }
}
