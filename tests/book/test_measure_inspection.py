"""tools/measure/inspection.py: the parts of what chapter 13 stores, on tiny models."""

import math

import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.intervention import Site, record
from gptlib.loss import NGram
from gptlib.tokenizer import CharTokenizer
from tools.measure import inspection

LETTERS = "\n :,.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKENIZER = CharTokenizer.from_text(LETTERS)


@pytest.fixture
def model():
    config = GPTConfig(len(LETTERS), block_size=40, n_layer=2, n_head=2, n_embd=16)
    return GPT(config, torch.Generator().manual_seed(1)).eval()


def drawn(rows: int, length: int) -> torch.Tensor:
    return torch.randint(len(LETTERS), (rows, length), generator=torch.Generator().manual_seed(2))


def test_a_tables_guesses_are_its_probabilities_after_each_position():
    tokens = drawn(1, 300)[0]
    table = NGram(2).fit(tokens, len(LETTERS))
    row = tokens[:12]
    guesses = inspection.table_guesses(table, row)
    assert guesses.shape == (11, len(LETTERS))
    torch.testing.assert_close(guesses.exp().sum(dim=-1), torch.ones(11, dtype=torch.float64))
    expected = math.log(table.probabilities(row[:5].tolist())[3])
    assert abs(guesses[4, 3].item() - expected) < 1e-12


def test_every_head_is_measured_in_all_ways(model):
    windows = drawn(3, 33)
    found = inspection.head_table(model, TOKENIZER, windows, windows[:, :-1], texts=2)
    heads = [str(Site("head", layer, head)) for layer in range(2) for head in range(2)]
    assert list(found) == ["loss", *heads]
    for head in heads:
        assert set(found[head]["worth"]) == set(inspection.HOWS)
        for share, _ in (look["share"] for look in found[head]["looks"].values()):
            assert 0 <= share <= 1 or math.isnan(share)
    mean, _ = found["loss"]
    assert abs(mean - math.log(len(LETTERS))) < 0.2  # an untrained model guesses


def test_pairs_of_lines_differ_in_one_letter():
    line = "The king comes home at last to his own house,\n"
    pairs = inspection.line_pairs(line * 200, TOKENIZER, 3)
    assert len(pairs) == 3
    for clean, corrupt, place in pairs:
        assert (clean != corrupt).nonzero()[:, 1].tolist() == [place]
        assert TOKENIZER.decode(clean[0, place : place + 1].tolist()) == "T"
        assert TOKENIZER.decode(corrupt[0, place : place + 1].tolist()) == "t"
    assert inspection.line_pairs("SPEAKER:\n" * 400, TOKENIZER, 3) == []  # a speaker's name is no line


def test_the_metric_is_the_log_odds_of_a_capital():
    logits = torch.zeros(1, 4, len(LETTERS))
    metric = inspection.case_metric(TOKENIZER)
    assert metric(logits).abs().max() < 1e-6  # as many capitals as small letters
    logits[0, -1, TOKENIZER.encode("Q")] = 100.0
    assert metric(logits).item() > 90


def test_patching_everything_in_three_parts_ends_where_the_clean_text_does(model):
    (clean, corrupt, place), *_ = inspection.line_pairs(
        "The king comes at last to us,\n" * 200, TOKENIZER, 1
    ) or [(drawn(1, 30), drawn(1, 30), 5)]
    metric = inspection.case_metric(TOKENIZER)
    clean, corrupt = clean[:, :40], corrupt[:, :40]
    last = Site("stream", model.config.n_layer)
    parts = inspection.three_patches(model, clean, corrupt, place, metric, last)
    whole = metric(model(clean)) - metric(model(corrupt))
    torch.testing.assert_close(parts, torch.tensor([0, 0, whole.item()]))  # only the last position is read
    same = inspection.three_patches(model, clean, clean, place, metric, Site("stream", 1))
    assert same.abs().max() < 1e-6  # the control: nothing differs, so nothing is found
    assert record(model, clean, [last])[last].shape[-1] == 16
