"""The live widgets: the page computes what the book's Python computes, with the same numbers."""

import random
import sys
import unicodedata

import numpy as np
import pytest
import torch
from live_page import write_page
from test_tokenizer import NASTY, TIKTOKEN

from gptlib.data import load_corpus, split
from gptlib.files import write_text
from gptlib.loss import evaluate
from gptlib.widgets.shipped_model import trained_model
from web import weights

LOAD = "async name => { window.trained = await Live.trained_model(name) }"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The scripts, GPT-2's merges and the small model's weights, as the web book has them."""
    folder = tmp_path_factory.mktemp("live")
    write_text(folder / "weights-char-cpu.js", weights.script("char-cpu"))
    write_text(folder / "merges-gpt2.js", weights.merges_script())
    return folder


@pytest.fixture
def open_page(browser, folder):
    """A function from places and a viewport to a page with these widgets; no page may have errors."""
    errors, pages = [], []

    def open_page(*places, width=900, name="index.html", **context):
        page = browser.new_page(viewport={"width": width, "height": 900}, **context)
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        page.goto(write_page(folder, list(places), name))
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


@pytest.fixture(scope="module")
def trained():
    """char-cpu with the weights that the page has."""
    trained = trained_model("char-cpu")
    weights.dequantised(trained.model)
    return trained


def prompts(trained) -> list[list[int]]:
    """50 prompts of 1 to 200 tokens; the window has 128."""
    ids = trained.tokenizer.encode(load_corpus("plays").text)
    draw = random.Random(0)
    lengths = [1, 2, 127, 128, 129, 200, *(draw.randrange(3, 160) for _ in range(44))]
    starts = [draw.randrange(len(ids) - 200) for _ in lengths]
    return [ids[start : start + length] for start, length in zip(starts, lengths, strict=True)]


# --- the model


@torch.no_grad()
def test_logits_equal_pytorch(open_page, trained):
    """The next token's logits of 50 prompts, with the cache and in slices; and of all positions at once."""
    page, given = open_page(), prompts(trained)
    page.evaluate(LOAD, "char-cpu")
    found = page.evaluate(
        """async prompts => {
            const logits_of = Live.logits_from_model(trained.model), found = [];
            for (const ids of prompts) found.push(Array.from(await logits_of(ids)));
            return found;
        }""",
        given,
    )
    for ids, logits in zip(given, found, strict=True):
        expected = trained.model(torch.tensor([ids[-128:]]))[0, -1]
        assert np.abs(np.array(logits) - expected.numpy()).max() < 1e-4
    window = given[3]
    whole = page.evaluate("ids => trained.model.forward(ids).map(row => Array.from(row))", window)
    assert np.abs(np.array(whole) - trained.model(torch.tensor([window]))[0].numpy()).max() < 1e-4


def test_a_growing_text_shares_the_cache(open_page, trained):
    """One token after the other, a step back, another token: the logits are those of the whole text."""
    page = open_page()
    page.evaluate(LOAD, "char-cpu")
    worst = page.evaluate(
        """async ids => {
            const shared = Live.logits_from_model(trained.model);
            let worst = 0;
            for (const n of [126, 127, 128, 129, 130, 40, 41, 20, 128]) {
                const text = [...ids.slice(0, n - 1), n % 65];
                const [a, b] = [await shared(text), await Live.logits_from_model(trained.model)(text)];
                worst = Math.max(worst, ...a.map((logit, i) => Math.abs(logit - b[i])));
            }
            return worst;
        }""",
        prompts(trained)[5],
    )
    assert worst < 1e-5


@pytest.mark.tinyshakespeare
def test_eight_bits_cost_less_than_a_thousandth_of_a_nat():
    """char-cpu by exact evaluation, before and after."""
    trained = trained_model("char-cpu")
    val = split(torch.tensor(trained.tokenizer.encode(load_corpus().text)))[1]
    before = evaluate(trained.model, val, 128)
    after = evaluate(weights.dequantised(trained.model), val, 128)
    print(f"char-cpu: {before:.4f} nats, in 8 bits {after:.4f}")
    assert abs(after - before) < 1e-3


def test_quantise_rounds_to_half_a_step():
    matrix = torch.randn(5, 300, generator=torch.Generator().manual_seed(1))
    matrix[2] = 0
    whole, scales = weights.quantise(matrix)
    error = (weights.dequantise(whole, scales) - matrix).abs()
    assert whole.dtype == torch.int8 and (error <= scales[:, None] * 0.5001).all()
    assert weights.quantise(torch.tensor([[1.0, -2.0]]))[0].tolist() == [[64, -127]]


# --- tokens


def fuzz() -> list[str]:
    """The strings of the tokenizer's own tests, and 300 of characters that Unicode 14 has already."""
    draw = random.Random(1)
    assigned = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    usual = [chr(c) for c in range(32, 1024) if unicodedata.category(chr(c)) != "Cn"]
    lines = ["".join(draw.choice(draw.choice([assigned, usual, " \n'st"])) for _ in range(40)) for _ in range(300)]
    return [*NASTY, *lines]


def test_gpt2_ids_equal_tiktoken(open_page):
    texts = [*fuzz(), load_corpus("plays").text[:20_000]]
    page = open_page()
    found = page.evaluate(
        """async texts => {
            const tokenizer = await Live.gpt2_tokenizer();
            return texts.map(text => [tokenizer.encode(text), tokenizer.decode(tokenizer.encode(text))]);
        }""",
        texts,
    )
    for text, (ids, decoded) in zip(texts, found, strict=True):
        assert ids == TIKTOKEN.encode_ordinary(text), repr(text)
        assert decoded == text
