"""The live widgets: the page computes what the book's Python computes, with the same numbers."""

import json
import random
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from live_page import write_page
from test_tokenizer import NASTY, TIKTOKEN

from gptlib.data import load_corpus, split
from gptlib.files import write_text
from gptlib.loss import evaluate
from gptlib.ngram import NGram
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets import attention_explorer, attention_stages, merge_theatre, softmax_playground, surprise
from gptlib.widgets import next_token_sampler as sampler
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


# --- the widgets' states


def close(found, expected, tolerance=1e-6) -> bool:
    """Whether nested lists of numbers agree; NaN arrives as None, an infinite number as a string."""
    return np.allclose(np.array(found, dtype=float), np.array(expected, dtype=float), atol=tolerance, equal_nan=True)


def columns(stages) -> str:
    """JavaScript: stages with plain lists of numbers as columns."""
    return f"""{stages}.map(({{ columns, ...stage }}) => ({{ ...stage,
        columns: Object.entries(columns).map(([name, values]) => [name, Array.from(values, String)]) }}))"""


@pytest.mark.parametrize("settings", [(1.0, None, None), (0.5, 5, None), (1.5, None, 0.9), (2.0, 10, 0.5), (0, 3, 0.2)])
def test_sampler_state(open_page, settings):
    logits = 3 * torch.randn(65, generator=torch.Generator().manual_seed(3))
    labels = [chr(33 + i) for i in range(65)]
    expected = sampler.compute("text", labels, logits, *settings)
    found = open_page().evaluate(
        "([labels, logits, settings]) => Live.next_token_sampler.compute('text', labels, logits, ...settings)",
        [labels, logits.tolist(), list(settings)],
    )
    assert found["tokens"] == list(expected.tokens) and found["labels"] == list(expected.labels)
    assert (found["others"], found["possible"]) == (expected.others, expected.possible)
    for name in ("raw", "filtered", "raw_others", "filtered_others"):
        assert close(found[name], getattr(expected, name)), name


def test_settings_that_make_no_sense_are_named(open_page):
    page = open_page()
    for settings, word in (("-1", "temperature"), ("1, 0", "top_k"), ("1, null, 1.5", "top_p")):
        with pytest.raises(Exception, match=f"{word}=.* must"):
            page.evaluate(f"Live.next_token_sampler.compute('', ['a', 'b'], [0, 1], {settings})")


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_softmax_state(open_page, temperature):
    labels, logits = ["e", " ", "t", "a", "q"], [2.0, 1.5, 1.0, 0.5, -2.0]
    expected = softmax_playground.compute(labels, logits, temperature, target=2)
    found, words = open_page().evaluate(
        """args => {
            const state = Live.softmax_playground.compute(...args);
            return [state, Live.softmax_playground.summary(state)];
        }""",
        [labels, logits, temperature, 2],
    )
    assert words == softmax_playground.summary(expected)
    for name in ("probabilities", "gradient", "loss", "entropy", "choices"):
        assert close(found[name], getattr(expected, name), 1e-12), name


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("text", ["aaabdaaabac", "abcdef", "é è é è", "to be, or not to be", "naïve café " * 20, " " * 200])
def test_theatre_state(open_page, text, cut):
    expected = merge_theatre.compute(text, cut)
    state = open_page().evaluate(
        """([text, cut]) => {
            const { compute, summary, description, encoded_anew } = Live.merge_theatre, state = compute(text, cut);
            const words = state.steps.map((_, n) => [summary, description, encoded_anew].map(say => say(state, n)));
            return { ...state, words };
        }""",
        [text, cut],
    )
    assert state["text"] == expected.text and state["notes"] == list(expected.notes)
    assert [bytes(piece) for piece in state["spelling"]] == list(expected.spelling)
    for number, (found, step) in enumerate(zip(state["steps"], expected.steps, strict=True)):
        assert found["parts"] == [list(part) for part in step.parts]
        assert found["counts"] == [[list(pair), n] for pair, n in step.counts]
        assert (found["joined"] or None) == (list(step.joined) if step.joined else None)
        said, described, anew = state["words"][number]
        assert (said, described) == (
            merge_theatre.summary(expected, number),
            merge_theatre.description(expected, number),
        )
        theirs = merge_theatre.against_tiktoken(expected, number)
        assert anew.split(": ")[1] == theirs.split(": ")[1] and "the same ones" in anew


def test_surprise_state(open_page, trained):
    """Losses of a text over several windows, their mean, their colours and words."""
    text = load_corpus("plays").text[1000:1320]
    losses = surprise.losses_of_model(trained.model, trained.tokenizer)(text)
    expected = surprise.compute(text, losses, "char-cpu")
    page = open_page()
    page.evaluate(LOAD, "char-cpu")
    state, words, tips, colours = page.evaluate(
        """async text => {
            const { compute, summary, tooltip, colour, losses_of_model } = Live.surprise;
            const state = compute(text, await losses_of_model(trained)(text), "char-cpu");
            const tips = state.characters.map((character, i) => tooltip(character, state.losses[i]));
            return [state, summary(state), tips, state.losses.map(colour)];
        }""",
        text,
    )
    assert close(state["losses"], losses, 1e-4) and close(state["loss"], expected.loss, 1e-4)
    assert words == surprise.summary(expected)
    said = [surprise.tooltip(character, loss) for character, loss in zip(text, losses, strict=True)]
    assert np.mean([a == b for a, b in zip(tips, said, strict=True)]) > 0.97  # the last digit may be rounded elsewhere
    assert tips[0] == said[0] == f"{text[0]}: not predicted"
    painted = np.array([surprise.colour(loss) for loss in losses])
    assert np.median(abs(np.array(colours) - painted)) <= 1 and abs(np.array(colours) - painted).max() <= 12


def test_losses_of_tables(open_page, folder):
    """Chapter 03's tables, counted by the page in a text of its own."""
    text = load_corpus("plays").text
    train, asked = text[:30_000], text[30_000:30_300]
    tokenizer = CharTokenizer.from_text(train + asked)
    file = {"name": "plays", "characters": tokenizer.characters, "train": train}
    write_text(folder / "corpus.js", f"Live.corpus({json.dumps(file)});")
    found = open_page().evaluate(
        """async text => {
            const found = [];
            for (const order of [1, 2, 5]) found.push((await Live.losses_of_ngram(order))(text));
            return found;
        }""",
        asked,
    )
    for order, losses in zip((1, 2, 5), found, strict=True):
        table = NGram(order).fit(tokenizer.encode(train), tokenizer.vocab_size)
        assert close(losses[1:], table.losses(tokenizer.encode(asked)), 1e-9), order


@pytest.mark.parametrize("causal", [True, False])
def test_explorer_state(open_page, trained, causal):
    """The weights of every head, and the statistics, from the page's own queries and keys."""
    prompt = "ROMEO:\nBut, soft! what light through yonder window breaks? It is the east"
    tokens, w, vectors = attention_explorer.weights_of_model(trained.model, trained.tokenizer)(prompt, causal)
    expected = attention_explorer.compute(tokens, w, vectors, causal)
    page = open_page()
    page.evaluate(LOAD, "char-cpu")
    state, words = page.evaluate(
        """async ([prompt, causal]) => {
            const { compute, told, vectors_of_model } = Live.attention_explorer;
            const state = compute(...await vectors_of_model(trained, prompt), causal);
            const plain = heads => heads.map(layer => layer.map(head => head.map(row => Array.from(row))));
            const words = [[5, 3], [5, 5], [63, 60], [3, 60]].map(cell => told(state, 1, 2, ...cell));
            return [{ ...state, weights: plain(state.weights), vectors: state.vectors.map(plain),
                uniform: state.uniform.map(row => Array.from(row)) }, words];
        }""",
        [prompt, causal],
    )
    assert state["tokens"] == list(expected.tokens) and state["notes"] == list(expected.notes)
    assert len(state["tokens"]) == 64
    for name in ("weights", "uniform", "entropy", "distance", "uniform_entropy", "uniform_distance"):
        assert close(state[name], getattr(expected, name), 1e-4), name
    assert close(state["vectors"], np.array(expected.vectors), 1e-4)
    for cell, said in zip(((5, 3), (5, 5), (63, 60), (3, 60)), words, strict=True):
        chosen = replace(expected, layer=1, head=2, query=cell[0], key=cell[1])
        assert said == attention_explorer.told(chosen)


@pytest.mark.parametrize("cell", [(6, 4, True), (2, 5, True), (2, 5, False), (0, 0, True)])
def test_stages(open_page, cell):
    """Every number and every sentence of the five stages."""
    draw = torch.Generator().manual_seed(7)
    q, k, v = (2 * torch.randn(7, 16, generator=draw) for _ in range(3))
    tokens = ["c4", "a7", " ", "\n", "h9", "d5", "a?"]
    expected = attention_stages.compute(tokens, q, k, v, *cell)
    found = open_page().evaluate(
        f"([tokens, q, k, v, cell]) => {columns('Live.attention_stages.compute(tokens, q, k, v, ...cell)')}",
        [tokens, q.tolist(), k.tolist(), v.tolist(), list(cell)],
    )
    for stage, theirs in zip(found, expected, strict=True):
        assert (stage["name"], stage["formula"], stage["words"]) == (theirs.name, theirs.formula, theirs.words)
        assert (tuple(stage["rows"]), stage["of_keys"], stage["marked"]) == (theirs.rows, theirs.of_keys, theirs.marked)
        assert [name for name, _ in stage["columns"]] == list(theirs.columns)
        for name, values in stage["columns"]:
            assert close([value.replace("Infinity", "inf") for value in values], theirs.columns[name], 1e-9), name


def test_cards_are_looked_up(open_page, folder):
    """Chapter 05's head, trained for the page: the question looks at the card of its letter and gets its digit."""
    write_text(folder / "cards.js", weights.cards_script())
    page = open_page(("cards", {"prompt": "c4 a7 f0 b2 h9 d5 h?"}))
    page.wait_for_function("document.querySelector('.live').widget?.state")
    looked, output = page.evaluate(
        """() => {
            const { state, stages } = document.querySelector('.live').widget;
            return [Array.from(state.weights[0][0][6]), stages.state[4].columns.output];
        }"""
    )
    assert np.argmax(looked) == 4 and looked[4] > 0.9 and np.argmax(output) == 9
    page.get_by_label("prompt").fill("c4 a7 z1 a?")
    page.get_by_text("'z1' is no card").wait_for()
