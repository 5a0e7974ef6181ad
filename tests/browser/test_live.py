"""The live widgets: the page computes what the book's Python computes, with the same numbers."""

import json
import random
import sys
import unicodedata
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from accessibility import findings
from lab import ROOT
from live_page import LIVE, write_page
from test_tokenizer import NASTY, TIKTOKEN

from gptlib.data import load_corpus
from gptlib.files import DATA, write_text
from gptlib.loss import evaluate
from gptlib.ngram import NGram
from gptlib.tokenizer import CharTokenizer
from gptlib.widgets import attention_explorer, attention_stages, merge_theatre, softmax_playground, surprise
from gptlib.widgets import next_token_sampler as sampler
from gptlib.widgets.shipped_model import trained_model
from web import pictures, weights
from web.chapter import definitions


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
def page(browser, folder):
    """A page without widgets, in which the small model is `trained`."""
    page = browser.new_page()
    page.goto(write_page(folder, [], "bare.html"))
    page.evaluate("async () => { window.trained = await Live.trained_model('char-cpu') }")
    yield page
    page.close()


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
def test_logits_equal_pytorch(page, trained):
    """The next token's logits of 50 prompts, with the cache and in slices; and of all positions at once."""
    given = prompts(trained)
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


def test_a_growing_text_shares_the_cache(page, trained):
    """One token after the other, a step back, another token: the logits are those of the whole text."""
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


def test_eight_bits_cost_less_than_a_thousandth_of_a_nat():
    """By exact evaluation of the validation text, as stored; measured again on its first 6,000 characters."""
    stored = json.loads((DATA / "runs" / "quantisation.json").read_text(encoding="utf-8"))
    for name in weights.MODELS:
        assert abs(stored[name]["8 bits"] - stored[name]["float"]) < 1e-3
    trained = trained_model("char-cpu")
    tokens = torch.tensor(trained.tokenizer.encode(load_corpus("plays").text[:6000]))
    before = evaluate(trained.model, tokens, 128)
    assert 0 < abs(evaluate(weights.dequantised(trained.model), tokens, 128) - before) < 5e-3


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
    lines = [
        "".join(draw.choice(draw.choice([assigned, usual, " \n'st"])) for _ in range(40)) for _ in range(300)
    ]
    return [*NASTY, *lines]


def test_gpt2_ids_equal_tiktoken(page):
    texts = [*fuzz(), "\ufeffa byte order mark", load_corpus("plays").text[:20_000]]
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
    return np.allclose(
        np.array(found, dtype=float), np.array(expected, dtype=float), atol=tolerance, equal_nan=True
    )


def columns(stages) -> str:
    """JavaScript: stages with plain lists of numbers as columns."""
    return f"""{stages}.map(({{ columns, ...stage }}) => ({{ ...stage,
        columns: Object.entries(columns).map(([name, values]) => [name, Array.from(values, String)]) }}))"""


@pytest.mark.parametrize(
    "settings", [(1.0, None, None), (0.5, 5, None), (1.5, None, 0.9), (2.0, 10, 0.5), (0, 3, 0.2)]
)
def test_sampler_state(page, settings):
    logits = 3 * torch.randn(65, generator=torch.Generator().manual_seed(3))
    labels = [chr(33 + i) for i in range(65)]
    expected = sampler.compute("text", labels, logits, *settings)
    found = page.evaluate(
        "args => Live.next_token_sampler.compute(...args)",
        ["text", labels, logits.tolist(), *settings],
    )
    assert found["tokens"] == list(expected.tokens) and found["labels"] == list(expected.labels)
    assert (found["others"], found["possible"]) == (expected.others, expected.possible)
    for name in ("raw", "filtered", "raw_others", "filtered_others"):
        assert close(found[name], getattr(expected, name)), name


def test_top_p_ends_where_it_is_reached(page):
    """Two tokens of one half each: for p = 1/2 the first is enough."""
    assert page.evaluate("Array.from(Live.probabilities([0, 0], 1, null, 0.5))") == [1, 0]


def test_settings_that_make_no_sense_are_named(page):
    for settings, word in (("-1", "temperature"), ("1, 0", "top_k"), ("1, null, 1.5", "top_p")):
        with pytest.raises(Exception, match=f"{word}=.* must"):
            page.evaluate(f"Live.next_token_sampler.compute('', ['a', 'b'], [0, 1], {settings})")


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_softmax_state(page, temperature):
    labels, logits = ["e", " ", "t", "a", "q"], [2.0, 1.5, 1.0, 0.5, -2.0]
    expected = softmax_playground.compute(labels, logits, temperature, target=2)
    found, words = page.evaluate(
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
@pytest.mark.parametrize(
    "text", ["aaabdaaabac", "abcdef", "é è é è", "to be, or not to be", "naïve café " * 20, " " * 200]
)
def test_theatre_state(page, text, cut):
    expected = merge_theatre.compute(text, cut)
    state = page.evaluate(
        """([text, cut]) => {
            const { compute, summary, description, encoded_anew } = Live.merge_theatre;
            const state = compute(text, cut), lines = [summary, description, encoded_anew];
            const words = state.steps.map((_, n) => lines.map(say => say(state, n)));
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


def test_surprise_state(page, trained):
    """Losses of a text over several windows, their mean, their colours and words."""
    text = load_corpus("plays").text[1000:1320]
    losses = surprise.losses_of_model(trained.model, trained.tokenizer)(text)
    expected = surprise.compute(text, losses, "char-cpu")
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
    assert (
        np.mean([a == b for a, b in zip(tips, said, strict=True)]) > 0.97
    )  # the last digit may be rounded elsewhere
    assert tips[0] == said[0] == f"{text[0]}: not predicted"
    painted = np.array([surprise.colour(loss) for loss in losses])
    assert np.median(abs(np.array(colours) - painted)) <= 1 and abs(np.array(colours) - painted).max() <= 12


def test_losses_of_tables(page, folder):
    """Chapter 03's tables, counted by the page in a text of its own."""
    text = load_corpus("plays").text
    train, asked = text[:30_000], text[30_000:30_300]
    tokenizer = CharTokenizer.from_text(train + asked)
    file = {"name": "plays", "characters": tokenizer.characters, "train": train}
    write_text(folder / "corpus.js", f"Live.corpus({json.dumps(file)});")
    found = page.evaluate(
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
def test_explorer_state(page, trained, causal):
    """The weights of every head, and the statistics, from the page's own queries and keys."""
    prompt = "ROMEO:\nBut, soft! what light through yonder window breaks? It is the east"
    tokens, w, vectors = attention_explorer.weights_of_model(trained.model, trained.tokenizer)(prompt, causal)
    expected = attention_explorer.compute(tokens, w, vectors, causal)
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
def test_stages(page, cell):
    """Every number and every sentence of the five stages."""
    draw = torch.Generator().manual_seed(7)
    q, k, v = (2 * torch.randn(7, 16, generator=draw) for _ in range(3))
    tokens = ["c4", "a7", " ", "\n", "h9", "d5", "a?"]
    expected = attention_stages.compute(tokens, q, k, v, *cell)
    found = page.evaluate(
        f"([tokens, q, k, v, cell]) => {columns('Live.attention_stages.compute(tokens, q, k, v, ...cell)')}",
        [tokens, q.tolist(), k.tolist(), v.tolist(), list(cell)],
    )
    for stage, theirs in zip(found, expected, strict=True):
        assert (stage["name"], stage["formula"], stage["words"]) == (
            theirs.name,
            theirs.formula,
            theirs.words,
        )
        assert (tuple(stage["rows"]), stage["of_keys"], stage["marked"]) == (
            theirs.rows,
            theirs.of_keys,
            theirs.marked,
        )
        assert [name for name, _ in stage["columns"]] == list(theirs.columns)
        for name, values in stage["columns"]:
            assert close(
                [value.replace("Infinity", "inf") for value in values], theirs.columns[name], 1e-9
            ), name


def test_cards_are_looked_up(open_page, folder):
    """Chapter 05's head, trained for the page: a question looks at the card of its letter."""
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


# --- the widgets, used as readers use them

PLACES = json.loads((LIVE / "places.json").read_text(encoding="utf-8"))
# one of each widget; the tables of `surprise` are those of the small text that a test above has put there
ALL = [(place["live"], place["options"]) for places in PLACES.values() for place in places.values()]
EACH = list({name: (name, options) for name, options in reversed(ALL)}.values())
READY = """() => [...document.querySelectorAll('.live')].every(({ widget }) =>
    widget && (widget.state || (widget.writing === false && widget.text)))"""


@pytest.fixture(scope="session")
def all_scripts(folder):
    """All that the widgets load, with a small text in the place of the corpus and few pictures."""
    pictures.write_set(folder, "dashboard", islice(pictures.dashboard_frames(), 2))
    write_text(folder / "cards.js", weights.cards_script())
    text = load_corpus("plays").text[:30_000]
    file = {"name": "plays", "characters": CharTokenizer.from_text(text).characters, "train": text}
    write_text(folder / "corpus.js", f"Live.corpus({json.dumps(file)});")


def widget_of(page, expression: str):
    """An expression of `widget`, the first on the page."""
    return page.evaluate(
        f"(() => {{ const {{ widget }} = document.querySelector('.live'); return {expression} }})()"
    )


def wait_for(page, expression: str) -> None:
    """Wait until an expression of `widget` is true."""
    page.wait_for_function(
        f"(() => {{ const {{ widget }} = document.querySelector('.live'); return {expression} }})()"
    )


# their text has numbers of the large model; the page opens with the small one
NOTED = (("05_attention", "a515d738"), ("12_generation", "45ac852e"), ("12_generation", "1972819b"))


def test_places_name_widget_cells():
    """Every place is a widget cell of its notebook, with a widget that there is."""
    for chapter, places in PLACES.items():
        notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
        tagged = {cell["id"] for cell in notebook["cells"] if "widget" in cell["metadata"].get("tags", [])}
        assert set(places) <= tagged, chapter


def test_the_same_seed_writes_the_same_text(open_page):
    texts = []
    for seed in (5, 5, 6):
        page = open_page(("playground", {"prompt": "KING:\n"}))
        wait_for(page, "widget")
        page.get_by_label("length").fill("40")
        page.get_by_label("seed").fill(str(seed))
        page.get_by_label("prompt").press("Enter")
        wait_for(page, "widget.writing === false && widget.text.length === 40")
        texts.append(widget_of(page, "widget.text"))
        assert page.get_by_role("region", name="text of the model").inner_text() == "KING:\n" + texts[-1]
    assert texts[0] == texts[1] != texts[2]


def test_the_cache_changes_no_text(page, trained):
    """From within the window to beyond it, with the cache and by a whole forward pass for each token."""
    same = page.evaluate(
        """async prompt => {
            const { model } = trained;
            let ids = prompt, generator = new Live.Generator(3);
            for (let i = 0; i < 14; i++) {
                const logits = model.forward(ids.slice(-128)).at(-1);
                ids = [...ids, Live.draw(Live.probabilities(logits, 0.8, 10, 0.9), generator)];
            }
            const settings = { temperature: 0.8, top_k: 10, top_p: 0.9, generator: new Live.Generator(3) };
            let streamed = prompt;
            for await (const id of Live.stream(model, prompt, 14, settings)) streamed = [...streamed, id];
            return String(streamed) === String(ids);
        }""",
        prompts(trained)[5][:121],
    )
    assert same


def test_draws_have_the_probabilities(page):
    """20,000 draws: each share is within four standard errors of its probability."""
    p = [0.5, 0.3, 0.0, 0.15, 0.05]
    counts = page.evaluate(
        """p => {
            const counts = p.map(() => 0), generator = new Live.Generator(1);
            for (let i = 0; i < 20000; i++) counts[Live.draw(p, generator)]++;
            return counts;
        }""",
        p,
    )
    for count, share in zip(counts, p, strict=True):
        assert abs(count / 20_000 - share) <= 4 * (share * (1 - share) / 20_000) ** 0.5


def test_a_reader_stops_and_is_told_of_mistakes(open_page):
    page = open_page(("playground", {"prompt": "ROMEO:"}))
    wait_for(page, "widget")
    page.get_by_label("length").fill("240")
    written = page.evaluate(
        """async () => {
            const { widget } = document.querySelector('.live');
            widget.write();
            while (!widget.writing || widget.text.length < 3) await new Promise(requestAnimationFrame);
            widget.button.click();
            await widget.waiting;
            return widget.text.length;
        }"""
    )
    assert 3 <= written < 240 and page.get_by_role("button", name="Write").is_visible()
    for prompt, said in (("", "the prompt is empty"), ("naïve", "unknown character 'ï' at position 2")):
        page.get_by_label("prompt").fill(prompt)
        page.get_by_role("button", name="Write").click()
        page.get_by_text(said).wait_for()


def test_drawing_token_by_token(open_page):
    """Draw, continue, take a token, go back: the notebook's buttons with the same effects."""
    page = open_page(("sampler", {"prompt": "ROMEO:\n"}))
    wait_for(page, "widget?.state")
    draw = page.locator("button.live-primary")
    for length in (1, 2):
        draw.click()
        wait_for(page, "widget.state.drawn !== null")
        drawn = widget_of(page, "widget.labels[widget.state.drawn]")
        draw.click()
        wait_for(page, f"widget.text.length === {length}")
        assert widget_of(page, "widget.text").endswith(drawn)
    page.get_by_label("top-p").fill("0.5")
    wait_for(page, "widget.state.possible < 65")
    assert widget_of(
        page, "widget.state.filtered_others + widget.state.filtered.reduce((a, b) => a + b)"
    ) == pytest.approx(1)
    page.locator(".live-token").nth(3).click()
    wait_for(page, "widget.text.length === 3")
    for length in (2, 1, 0):
        page.get_by_role("button", name="One back").click()
        wait_for(page, f"widget.text.length === {length}")
    assert page.get_by_role("button", name="One back").is_disabled()


EXPLORER = ("attention", {"prompt": "ROMEO:\nBut, soft!"})  # 17 tokens
CHOSEN = "[widget.query.value, widget.key.value]"


def click_cell(page, query, key, tokens=17):
    """A click in the middle of a cell of the matrix."""
    matrix = page.locator(".live-matrix canvas")
    side = matrix.bounding_box()["width"]
    matrix.click(position={"x": side * (key + 0.5) / tokens, "y": side * (query + 0.5) / tokens})


def test_a_cell_shows_its_stages(open_page):
    """A click chooses query and key and shows the first stage; Play plays. The page stays where it is."""
    page = open_page(EXPLORER)
    wait_for(page, "widget?.state")
    page.get_by_role("button", name="softmax", exact=True).click()
    page.locator(".live-matrix canvas").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    click_cell(page, 9, 5)
    assert widget_of(page, CHOSEN) == [9, 5]
    assert widget_of(page, "[widget.stages.stage, widget.stages.timer ?? null]") == [1, None]
    page.wait_for_timeout(400)  # a smooth scroll would be under way
    assert page.evaluate("scrollY") == before
    page.get_by_role("button", name="Play").click()
    wait_for(page, "widget.stages.stage === 2")
    click_cell(page, 9, 4)
    assert widget_of(page, "[widget.stages.stage, widget.stages.timer]") == [1, None]
    page.get_by_role("button", name="layer 2, head 1").click()
    assert widget_of(page, "[widget.layer.value, widget.head.value]") == [2, 1]
    page.get_by_label("causal mask").uncheck()
    page.get_by_text("The mask is off").wait_for()


def test_an_edited_prompt_keeps_the_chosen_cell(open_page):
    """The row and key that a reader chose stay, or the nearest that there are."""
    page = open_page(EXPLORER)
    wait_for(page, "widget?.state")
    assert widget_of(page, "widget.query.value") == 16  # nothing chosen: the last query
    click_cell(page, 9, 5)
    for prompt, cell in (("ROMEO:\\nBut, softly!", [9, 5]), ("RO", [1, 1]), ("ROMEO, ROMEO", [9, 5])):
        page.get_by_label("prompt").fill(prompt)
        wait_for(page, f"widget.state.tokens.length === {len(prompt.replace(chr(92) + 'n', ' '))}")
        assert widget_of(page, CHOSEN) == cell


def test_row_and_column_are_typed(open_page):
    """Tab goes from the slider to its field; a number beyond the prompt is the nearest one."""
    page = open_page(EXPLORER)
    wait_for(page, "widget?.state")
    page.get_by_label("query (row)", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("12")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    assert widget_of(page, CHOSEN) == [12, 3]
    assert page.get_by_label("key (column)", exact=True).input_value() == "3"
    page.get_by_text("query 12 (s), key 3 (E): weight").wait_for()
    row = page.get_by_label("query (row) as a number")
    row.fill("99")
    assert widget_of(page, CHOSEN) == [16, 3] and row.input_value() == "16"
    row.fill("")
    assert widget_of(page, CHOSEN) == [16, 3]
    row.blur()
    assert row.input_value() == "16"


def test_another_token_or_head_shows_its_largest_weight(open_page):
    """After a click on a token or a head the line tells the key with the row's largest weight."""
    page = open_page(EXPLORER)
    wait_for(page, "widget?.state")
    click_cell(page, 9, 5)

    def told_the_largest(query, layer, head):
        row = widget_of(page, f"Array.from(widget.state.weights[{layer}][{head}][{query}])")
        assert widget_of(page, CHOSEN) == [query, int(np.argmax(row))]
        assert page.locator(".live-told").inner_text().startswith(f"query {query} (")
        assert f"weight {100 * max(row):.1f} %" in page.locator(".live-told").inner_text()

    page.get_by_role("button", name="layer 2, head 1").click()
    told_the_largest(9, 2, 1)
    page.locator(".live-chosen-tokens button").nth(11).click()
    told_the_largest(11, 2, 1)
    page.locator(".live-chosen-tokens [aria-pressed=true]").press("ArrowRight")
    told_the_largest(12, 2, 1)
    page.get_by_label("head", exact=True).select_option(index=0)
    told_the_largest(12, 2, 0)


def test_a_line_break_is_typed_as_two_characters(open_page):
    """A tab or a backslash in a prompt is no character of the model: the message says what to type."""
    page = open_page(EXPLORER, ("playground", {}), ("sampler", {}))
    page.wait_for_function(READY)
    for prompt, named in (("ROMEO:\t", "⇥"), ("ROMEO:\\", "\\")):
        for place in page.locator(".live").all():
            place.get_by_label("prompt").fill(prompt)
            place.get_by_label("prompt").press("Enter")
            message = place.locator(".live-message")
            message.get_by_text(f"unknown character '{named}' at position 6").wait_for()
            assert "In this field, \\n stands for a line break" in message.inner_text()


def test_a_note_stands_above_the_widget(open_page):
    """Where the text's numbers are of the large model, a line says so."""
    noted = [PLACES[chapter][cell] for chapter, cell in NOTED]
    page = open_page(*((place["live"], place["options"]) for place in noted))
    page.wait_for_function(READY)
    for place in page.locator(".live").all():
        assert "numbers are of the large model" in place.locator(".live-widget > :first-child").inner_text()


def test_motion_is_left_out_where_a_reader_wants_none(open_page):
    page = open_page(("attention", {"prompt": "ROMEO:"}), reduced_motion="reduce")
    wait_for(page, "widget?.state")
    page.locator(".live-matrix canvas").click()
    assert widget_of(page, "widget.stages.timer ?? null") is None
    assert (
        page.locator(".live-strip.new i").first.evaluate("bar => getComputedStyle(bar).animationName")
        == "none"
    )


def test_a_static_figure_stays_where_nothing_can_live(open_page, folder):
    """Without its weights a widget says so in a line; an unknown widget says nothing."""
    page = open_page(("playground", {"model": "nowhere"}), ("unknown", {}))
    page.get_by_text(
        "The live version does not work here (weights-nowhere.js could not be loaded)"
    ).wait_for()
    assert page.get_by_text("the static figure").count() == 2


def test_the_large_model_comes_when_it_is_asked_for(open_page, folder):
    page = open_page(("sampler", {"prompt": "KING:\n"}))
    wait_for(page, "widget?.state")
    page.get_by_label("model").select_option(index=1)  # its script is not in this folder
    page.get_by_text("weights-char-gpu-best.js could not be loaded: char-cpu stays").wait_for()
    assert page.get_by_label("model").input_value() == "small: 3 layers"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_widgets_on_a_phone(open_page, all_scripts, scheme):
    """360 pixels: nothing is wider than the page, axe-core finds nothing serious, no other host is asked."""
    asked = []
    page = open_page(*EACH, width=360, name=f"{scheme}.html", color_scheme=scheme, has_touch=True)
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_function(READY, timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert findings(page, [".live"]) == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    small = page.evaluate(
        """() => [...document.querySelectorAll('.live button, .live select, .live input')].filter(control => {
            const { width, height } = control.getBoundingClientRect();
            return width > 0 && Math.min(width, height) < 20;
        }).map(control => control.outerHTML)"""
    )
    assert small == []


def test_pictures_behind_a_slider(open_page, all_scripts):
    """The arrow keys go through a recorded run; every picture has a text and is there."""
    page = open_page(("pictures", PLACES["10_training"]["60ae9b9e"]["options"]))
    wait_for(page, "widget?.state")
    page.get_by_label("watched at").press("ArrowRight")
    page.get_by_role("img", name="char-cpu, 2,000 steps, up to step 60").wait_for()
    wait_for(page, "widget.image.naturalWidth > 500")
    assert "step" in page.locator(".live-picture-page").inner_text()


def test_the_slider_through_a_training_has_chapter_13s_moments():
    """A frame for each kept step, by the chapter's own function."""
    frames = list(pictures.time_slider_frames())
    assert [frame[0] for frame in frames[:3] + frames[-1:]] == ["step 0", "step 8", "step 16", "step 2,000"]
    assert all("The loss over the training" in alt for _, _, alt, _ in frames)
    assert "past order 1, not yet past order 2" in frames[4][3]  # at step 64, as the chapter's driver has it


def test_definitions_of_a_notebook():
    """Functions and constants above them; nothing is run that uses them."""
    names = {"torch": torch, "F": torch.nn.functional}
    found = definitions("05_attention", weights.CARDS, names)
    assert (
        (found["LETTERS"], found["CARDS"]) == (8, 6)
        and callable(found["train_head"])
        and "average" not in found
    )
    with pytest.raises(ValueError, match="no cells .*'nowhere'"):
        definitions("05_attention", ("nowhere",), {})
