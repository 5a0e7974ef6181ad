"""HellaSwag: files, scores against Hugging Face's model on the same weights, and what is refused."""

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gptlib.benchmark import Question, ending_logprobs, plain, read_hellaswag, score
from gptlib.checkpoint import load_checkpoint
from gptlib.commands.export import Export, run_export
from gptlib.data import TextError
from gptlib.files import DATA
from gptlib.gpt import GPT, GPTConfig
from gptlib.tokenizer import BPETokenizer, ByteTokenizer

SAMPLE = DATA / "hellaswag" / "sample.jsonl"
FIELDS = {"activity_label": "A", "ctx_a": "One does.", "ctx_b": "then he", "endings": ["a b", "c"]}
FIELDS["label"] = 1


def theirs(model, context: list[int], ending: list[int], block_size: int) -> float:
    """The ending's log-probability by Hugging Face's model, alone and without padding."""
    row = torch.tensor([(context + ending)[-block_size - 1 :]])
    with torch.no_grad():
        log_p = model(row[:, :-1]).logits.log_softmax(-1)[0].gather(-1, row[0, 1:, None])
    return log_p[-len(ending) :].sum().item()


def test_the_sample_has_the_fields_and_every_answer_in_turn():
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    wanted = {"ind", "activity_label", "ctx_a", "ctx_b", "ctx", "split", "split_type", "label"}
    wanted |= {"endings", "source_id"}
    assert len(rows) == 24 and all(row.keys() == wanted for row in rows)
    assert [[row["label"] for row in rows].count(label) for label in range(4)] == [6] * 4
    questions = read_hellaswag(SAMPLE)
    assert questions[1].context == "Walking the dog: A man takes a lead from a hook by the door. His dog"


def test_a_random_gpt2_scores_as_theirs():
    tokenizer = BPETokenizer.gpt2()
    model = GPT(GPTConfig(50257, 32, n_layer=2, n_head=2, n_embd=16), torch.Generator().manual_seed(5)).eval()
    same_as_theirs(model, tokenizer)


def test_an_exported_model_scores_as_theirs(tmp_path, capsys):
    run_export(Export("char-cpu", tmp_path / "hf"))
    checkpoint = load_checkpoint(DATA / "checkpoints" / "char-cpu")
    same_as_theirs(checkpoint.build_model(), checkpoint.tokenizer, tmp_path / "hf")


def same_as_theirs(model, tokenizer, folder=None):
    """Every log-probability to 1e-6, and so every answer, by sum and per character."""
    c = model.config
    if folder:
        other = GPT2LMHeadModel.from_pretrained(folder)
    else:
        sizes = dict(vocab_size=c.vocab_size, n_positions=c.block_size, n_embd=c.n_embd, n_layer=c.n_layer)
        sizes |= dict(n_head=c.n_head, bos_token_id=None, eos_token_id=None)
        other = GPT2LMHeadModel(GPT2Config(**sizes))
        other.load_state_dict(model.to_gpt2_state_dict(), strict=False)
        other.tie_weights()
    other, model, questions = other.eval().double(), model.double(), read_hellaswag(SAMPLE)
    by_sum, by_character = [], []
    for question in questions:
        context = tokenizer.encode(question.context)
        endings = [tokenizer.encode(" " + ending) for ending in question.endings]
        right = [theirs(other, context, ending, c.block_size) for ending in endings]
        assert ending_logprobs(model, context, endings).tolist() == pytest.approx(right, abs=1e-6)
        means = [total / len(ending) for total, ending in zip(right, question.endings, strict=True)]
        by_sum.append(max(range(4), key=right.__getitem__) == question.label)
        by_character.append(max(range(4), key=means.__getitem__) == question.label)
    found = score(model, tokenizer, questions)
    assert found.by_sum == by_sum and found.by_character == by_character


class Successor(torch.nn.Module):
    """A model of bytes that is sure of one thing: after each byte comes the next one."""

    def __init__(self):
        super().__init__()
        self.config, self.weight = GPTConfig(256, 64, 1, 1, 1), torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, idx):
        return torch.nn.functional.one_hot((idx + 1) % 256, 256) * self.weight


def test_sum_and_length_may_disagree():
    """The ending " !" has one byte that is no successor; " #$%" has two, for three characters."""
    found = score(Successor(), ByteTokenizer(), [Question("xyz", ("!", "#$%"), 0)])
    assert found.by_sum == [True] and found.by_character == [False]
    assert "1 of 1   100.0 %" in found.lines() and "0 of 1     0.0 %" in found.lines()


def test_marks_are_taken_out():
    assert plain(" One [title] Two  [step]three [substeps] x") == "One. Two three x"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"label": 2}, "label 2 of 2 endings"),
        ({"endings": None}, "TypeError"),
        ({"ctx_a": ...}, "KeyError: 'ctx_a'"),
        ({"label": ""}, "invalid literal"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, change, word):
    row = {key: value for key, value in {**FIELDS, **change}.items() if value is not ...}
    path = tmp_path / "some.jsonl"
    path.write_text(json.dumps(FIELDS) + "\n\n" + json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(TextError, match="line 3 is no HellaSwag question") as refused:
        read_hellaswag(path)
    assert word in str(refused.value)


def test_files_that_hold_nothing(tmp_path):
    with pytest.raises(TextError, match="cannot be read"):
        read_hellaswag(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(TextError, match="holds no question"):
        read_hellaswag(tmp_path / "empty.jsonl")


def test_endings_that_do_not_fit_and_characters_that_are_unknown():
    model = GPT(GPTConfig(256, 8, n_layer=1, n_head=1, n_embd=4)).train()
    for context, ending in (([1], []), ([1], [2] * 9), ([], [2])):
        with pytest.raises(ValueError, match="block_size=8, after a context"):
            ending_logprobs(model, context, [ending])
    checkpoint = load_checkpoint(DATA / "checkpoints" / "char-cpu")
    with pytest.raises(ValueError, match="question 1 cannot be encoded"):
        score(checkpoint.build_model(), checkpoint.tokenizer, [Question("Ω", ("a",), 0)])
    score(model, ByteTokenizer(), [Question("a", ("b", "c"), 0)])
    assert model.training  # as it was
