"""tools/measure/inspection.py: the parts of what chapter 13 stores, on tiny models."""

import math

import pytest
import torch

from gptlib.gpt import GPT, GPTConfig
from gptlib.intervention import Site
from gptlib.loss import NGram
from gptlib.tokenizer import CharTokenizer
from tools.measure import inspection

TEXT = "KING:\nThe sun is low.\n\nQUEEN:\nAll the men see it.\n\n"  # with all that heads may look at
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
    ids = torch.tensor(TOKENIZER.encode(TEXT * 4))
    windows = torch.stack([ids[start : start + 41] for start in (0, 5, 11, 17)])
    found = inspection.head_table(model, TOKENIZER, windows, windows[:, :-1], texts=4)
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


def test_a_patch_adds_what_its_positions_carry(model):
    """After the last block only the last position is read; a text patched with itself changes nothing."""
    ids = torch.tensor([TOKENIZER.encode(TEXT[:38])])
    corrupt, place = ids.clone(), 6
    corrupt[0, place] = TOKENIZER.encode("t")[0]
    metric, last = inspection.case_metric(TOKENIZER), Site("stream", model.config.n_layer)
    parts = inspection.three_patches(model, ids, corrupt, place, metric, last)
    with torch.no_grad():
        whole = (metric(model(ids)) - metric(model(corrupt))).item()
    assert abs(whole) > 1e-5
    torch.testing.assert_close(parts, torch.tensor([0, 0, whole]), rtol=0, atol=1e-6)
    same = inspection.three_patches(model, ids, ids, place, metric, Site("stream", 1))
    assert same.abs().max() < 1e-6
