"""A benchmark of multiple choice: which of several endings a model finds the likeliest."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptlib.data import TextError
from gptlib.loss import log_softmax
from gptlib.programs import interval
from gptlib.tokenizer import Tokenizer


@dataclass(frozen=True)
class Question:
    """A context, its endings, and the number of the right one."""

    context: str
    endings: tuple[str, ...]
    label: int


def read_hellaswag(path) -> list[Question]:
    """The questions of a file of JSON lines in HellaSwag's format; TextError names the line that is none."""
    questions = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                questions.append(question_of(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise TextError(f"{path}, line {number} is no HellaSwag question ({reason})") from None
    if not questions:
        raise TextError(f"{path} holds no question")
    return questions


def question_of(row: dict) -> Question:
    """A question from the fields of HellaSwag's files: `activity_label`, `ctx_a`, `ctx_b`, `endings`, `label`."""
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    endings, label = tuple(map(plain, row["endings"])), int(row["label"])
    if not 0 <= label < len(endings):
        raise ValueError(f"label {label} of {len(endings)} endings")
    return Question(plain(context), endings, label)


def plain(text: str) -> str:
    """A text without the marks that WikiHow's articles left in it: `[title]`, `[step]`, double spaces."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ").strip()


@torch.no_grad()
def ending_logprobs(model, context: list[int], endings: list[list[int]]) -> Float[Tensor, " k"]:
    """log p(ending | context) of each of k endings: the sum over its tokens. Contexts that are too long lose their beginning.

    ValueError for an ending that is empty, or longer than block_size.
    """
    block_size, device = model.config.block_size, next(model.parameters()).device
    rows = [(context + ending)[-block_size - 1 :] for ending in endings]
    for row, ending in zip(rows, endings, strict=True):
        if not 0 < len(ending) < len(row):
            raise ValueError(f"an ending of {len(ending)} tokens: it needs 1 to block_size={block_size}, after a context")
    idx = padded(rows, device)  # [k, T + 1]
    # blank
    log_p = log_softmax(model(idx[:, :-1]).float())  # [k, T, vocab]
    of_target = log_p.gather(-1, idx[:, 1:, None])[..., 0]  # [k, T]
    sums = []
    for i, (row, ending) in enumerate(zip(rows, endings, strict=True)):
        last = len(row) - 1
        sums.append(of_target[i, last - len(ending) : last].sum())
    # end
    return torch.stack(sums)


def padded(rows: list[list[int]], device) -> Int[Tensor, "k S"]:
    """Rows of different lengths as one tensor; what is missing at the end is 0, which no causal model sees in time."""
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)


@dataclass(frozen=True)
class Score:
    """Which questions were answered rightly: by the sum of log-probabilities, and by that sum per character."""

    by_sum: list[bool]
    by_character: list[bool]

    def lines(self) -> str:
        """Both accuracies with their intervals, and what chance would reach."""
        n, told = len(self.by_sum), []
        for name, right in (("sum of log-probabilities", self.by_sum), ("per character", self.by_character)):
            low, high = interval(sum(right), n)
            told.append(f"{name:24} {sum(right):5} of {n:,}   {100 * sum(right) / n:5.1f} %   95 % interval {100 * low:.1f} to {100 * high:.1f}")
        return "\n".join(told)


def score(model, tokenizer: Tokenizer, questions: list[Question]) -> Score:
    """Answer all questions: the ending with the largest log-probability, whole and per character."""
    by_sum, by_character = [], []
    was_training = model.training
    model.eval()
    try:
        for number, question in enumerate(questions, start=1):
            try:
                context = tokenizer.encode(question.context)
                endings = [tokenizer.encode(" " + ending) for ending in question.endings]
            except ValueError as error:
                raise ValueError(f"question {number} cannot be encoded: {error}") from None
            sums = ending_logprobs(model, context, endings).tolist()
            means = [total / len(ending) for total, ending in zip(sums, question.endings, strict=True)]
            by_sum.append(sums.index(max(sums)) == question.label)
            by_character.append(means.index(max(means)) == question.label)
    finally:
        model.train(was_training)
    return Score(by_sum, by_character)
