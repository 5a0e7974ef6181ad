"""What a reader meets: the notebooks in JupyterLab, run from top to bottom in a real browser."""

import pytest
from lab import changed, one_cell


def test_start_here_runs_without_errors(notebook):
    notebook.open("00_start_here")
    notebook.run()
    assert notebook.failures() == []
    assert notebook.errors == [] and notebook.outgoing == []


def test_tokenizer_runs_and_its_theatre_follows_the_reader(notebook):
    notebook.open("01_tokenizer")
    notebook.run()
    page = notebook.page
    assert notebook.failures() == []
    theatre = page.locator(".jp-OutputArea-output:has(input[type=text]):has-text('merges')").first
    text, merges = theatre.locator("input[type=text]"), theatre.get_by_label("merges")
    text.fill("<b>to be</b> to be")
    text.press("Enter")
    theatre.get_by_text("18 bytes, 18 tokens").wait_for(timeout=30_000)
    merges.press("ArrowUp")
    theatre.get_by_role("button", name="Next merge").press("Enter")
    theatre.get_by_text("2 of").first.wait_for(timeout=30_000)
    theatre.get_by_text("the same ones").wait_for(timeout=30_000)
    text.fill("")
    text.press("Enter")
    theatre.get_by_text("the text is empty").wait_for(timeout=30_000)
    assert notebook.errors == [] and notebook.outgoing == []


@pytest.mark.stress
def test_loss_runs_and_its_widgets_follow_the_reader(notebook):
    notebook.open("03_loss")
    notebook.run(through="display(surprise.figure")
    page = notebook.page
    assert notebook.failures() == []

    playground = page.locator(".jp-OutputArea-output:has-text('temperature'):has(select)").first
    pictures = playground.locator("img")
    before = pictures.first.get_attribute("src")
    playground.locator("select").select_option("q")  # the least likely one comes
    before = changed(page, pictures.first, before)
    playground.get_by_label("temperature").press("ArrowUp")
    changed(page, pictures.first, before)

    surprise = page.locator(".jp-OutputArea-output:has(input[type=text]):has-text('nats:')").first
    surprise.locator("input[type=text]").fill("KING: {")
    surprise.locator("input[type=text]").press("Enter")
    surprise.get_by_text("unknown character").wait_for(timeout=30_000)
    surprise.locator("input[type=text]").fill("queen of quiet")
    surprise.locator("input[type=text]").press("Enter")
    surprise.get_by_text("unknown character").wait_for(state="detached", timeout=30_000)
    surprise.locator("select").select_option("5-gram")
    surprise.get_by_text("5-gram:").first.wait_for(timeout=30_000)
    assert surprise.locator("[data-loss]").count() == len("queen of quiet")
    assert notebook.errors == [] and notebook.outgoing == []


def test_attention_runs_and_its_explorer_follows_the_reader(notebook):
    notebook.open("05_attention")
    notebook.run()
    page = notebook.page
    assert notebook.failures() == []
    assert page.locator("mjx-container").count() >= 5  # equations
    assert page.locator(".jp-RenderedImage img").count() >= 4  # figures

    explorer = page.locator(".jp-OutputArea-output:has(input[type=text])").last
    prompt, (layer, head, show) = explorer.locator("input[type=text]"), explorer.locator("select").all()
    mask = explorer.get_by_label("causal mask")

    def says(text, gone=False):
        explorer.get_by_text(text).first.wait_for(state="detached" if gone else "visible", timeout=30_000)

    prompt.fill("KING: <b>")
    says("unknown character '<'")  # none of the 65, and no tag either
    prompt.fill("")
    says("the prompt is empty")
    prompt.fill("JULIET: ")
    says("the prompt is empty", gone=True)
    prompt.press_sequentially("O")  # every key is followed
    explorer.locator(".t").nth(len("JULIET: O") - 1).wait_for(timeout=30_000)
    layer.select_option("2")
    head.select_option("3")
    says("Layer 2, head 3")
    mask.uncheck()
    says("The mask is off")
    mask.check()
    says("The mask is off", gone=True)
    show.select_option("weights ÷ uniform")
    wait_for_labels(explorer, "×")
    show.select_option("weights")
    wait_for_labels(explorer, "%")

    # pointing at a token makes it the query: it looks at itself and back, and never ahead
    tokens = explorer.locator(".t")
    tokens.nth(3).hover()
    labels = labels_of(explorer)
    assert any("%" in text for text in labels[:4]) and not any("%" in text for text in labels[4:])

    prompt.fill("But, soft! what light through yonder window breaks? It is the east, and Juliet is the sun.")
    says("The prompt has 90 tokens; the first 64 are shown.")
    picture = explorer.locator("img").last
    for act in (lambda: head.select_option("5"), lambda: prompt.fill("But, soft! " * 8)):
        shown = picture.get_attribute("src")
        act()
        changed(page, picture, shown)

    prompt.fill("JULIET:")
    says("the first 64 are shown", gone=True)
    assert [token.split("\n")[0] for token in tokens.all_inner_texts()] == list("JULIET:")
    assert [choice.input_value() for choice in (layer, head)] == ["2", "5"] and mask.is_checked()
    says("Layer 2, head 5")
    assert notebook.errors == [] and notebook.outgoing == []


def labels_of(explorer) -> list[str]:
    """What stands below each token: the weight that the query gives to it."""
    label = "token => getComputedStyle(token, '::after').content"
    return [token.evaluate(label) for token in explorer.locator(".t").all()]


def wait_for_labels(explorer, sign: str) -> None:
    for _ in range(50):
        if any(sign in label for label in labels_of(explorer)):
            return
        explorer.page.wait_for_timeout(200)
    raise AssertionError(f"no label with {sign}: {labels_of(explorer)}")


HOSTILE_EXPLORER = """
import numpy as np
from gptlib.widgets.attention_explorer import AttentionExplorer
def weights_of(text, causal):
    tokens = text.split("|")
    weights = np.tri(len(tokens)) / np.arange(1, len(tokens) + 1)[:, None]
    return tokens, weights[None, None]
AttentionExplorer(weights_of, "a|b")
"""


def test_hostile_tokens_stay_text_in_the_explorer(notebook):
    page, asked = notebook.page, []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    notebook.put("hostile", one_cell(HOSTILE_EXPLORER))
    notebook.open("hostile")
    notebook.run()
    assert notebook.failures() == []
    explorer = page.locator(".jp-OutputArea-output:has(input[type=text])").last
    image, script = (
        "<img src=http://book.invalid/x.png onerror=alert(1)>",
        "</style><script>alert(2)</script>",
    )
    explorer.locator("input[type=text]").fill(f"{image}|{script}|c")
    tokens = explorer.locator(".t")
    explorer.get_by_text("onerror=alert(1)").first.wait_for(timeout=30_000)
    texts = [text.split("\n")[0].replace("␣", " ") for text in tokens.all_inner_texts()]
    assert texts == [image, script, "c"]
    tokens.first.hover()
    page.wait_for_timeout(300)
    assert explorer.locator("img").count() == 1 and explorer.locator("script").count() == 0
    assert asked == [] and notebook.errors == [] and notebook.outgoing == []


def test_what_goes_wrong_is_noticed(notebook):
    """The checks above can fail: an exception in a cell, a picture from elsewhere, an error on the page."""
    source = "from IPython.display import HTML\ndisplay(HTML('<img src=http://book.invalid/x.png>'))\n1 / 0"
    notebook.put("broken", one_cell(source))
    notebook.open("broken")
    notebook.run()
    assert len(notebook.failures()) == 1 and "ZeroDivisionError" in notebook.failures()[0]
    assert set(notebook.outgoing) == {"http://book.invalid/x.png"}  # once, or again after a second layout
    assert notebook.errors == []
    notebook.page.evaluate("setTimeout(() => { throw new Error('planted') })")
    notebook.page.wait_for_timeout(500)
    assert notebook.errors == ["planted"]
