"""Programs: a model that writes Python, and how many of its samples are Python."""

import ast
import math
import warnings

from gptlib.config import RunConfig, TrainConfig
from gptlib.gpt import GPTConfig

PYTHON_PRESETS = {  # on shards of Python source, whose tokenizer has 4,096 tokens
    "python-gpu": RunConfig(
        GPTConfig(4096, 256, n_layer=4, n_head=5, n_embd=160, dropout=0.2, bias=False),
        TrainConfig(
            2500,
            batch_size=64,
            learning_rate=4e-3,
            min_learning_rate=0.0,
            warmup_steps=100,
            decay="linear",
            optimizer="muon",
            muon_learning_rate=0.02,
            eval_interval=250,
        ),
        "bpe",
    )
}
CONTINUES = ("else", "elif", "except", "finally", "case", ")", "]", "}")  # no statement begins with these


def whole_statements(text: str) -> str:
    """A text that was cut off somewhere, without its last statement, of which the end is missing.

    `whole_statements("import os\\n\\n\\ndef f(x):\\n    ret")` is `"import os\\n\\n\\n"`.
    """
    lines = text.splitlines(keepends=True)
    begins = [k for k, line in enumerate(lines) if not line[0].isspace() and not line.startswith(CONTINUES)]
    return "".join(lines[: begins[-1]]) if begins else ""


def parses(text: str) -> bool:
    """Whether the text is Python by its grammar, with at least one statement."""
    return bool(statements(text))


def statements(text: str) -> list[ast.stmt]:
    """The text's statements that are inside no other one; none where it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange escapes in strings
        try:
            return ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


def compiles(text: str) -> bool:
    """Whether Python also compiles the text: no `return` outside a function, no argument twice. Nothing is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "sample", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return parses(text)


def interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Where the probability behind `successes` of `n` lies, with 95 % confidence: Wilson's interval (1927)."""
    p, weight = successes / n, z * z / n
    middle = (p + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(p * (1 - p) / n + weight / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)
