"""What a reader meets: the notebooks in JupyterLab, run from top to bottom in a real browser."""

import json


def test_start_here_runs_without_errors(notebook):
    notebook.open("00_start_here")
    notebook.run_all()
    assert notebook.failures() == []
    assert notebook.errors == [] and notebook.outgoing == []


def test_loss_runs_and_its_widgets_follow_the_reader(notebook):
    notebook.open("03_loss")
    notebook.run_all()
    page = notebook.page
    assert notebook.failures() == []

    playground = page.locator(".jp-OutputArea-output:has-text('temperature'):has(select)").first
    pictures = playground.locator("img")
    before = pictures.first.get_attribute("src")
    playground.locator("select").select_option("q")  # the least likely one comes
    page.wait_for_function("([img, old]) => img.src !== old", arg=[pictures.first.element_handle(), before])

    surprise = page.locator(".jp-OutputArea-output:has(input[type=text]):has-text('nats:')").first
    surprise.locator("input[type=text]").fill("KING: {")
    surprise.locator("input[type=text]").press("Enter")
    surprise.get_by_text("unknown character").wait_for(timeout=10_000)
    surprise.locator("input[type=text]").fill("queen of quiet")
    surprise.locator("input[type=text]").press("Enter")
    surprise.get_by_text("unknown character").wait_for(state="detached", timeout=10_000)
    surprise.locator("select").select_option("5-gram")
    surprise.get_by_text("5-gram:").first.wait_for(timeout=10_000)
    assert surprise.locator("[data-loss]").count() == len("queen of quiet")
    assert notebook.errors == [] and notebook.outgoing == []


def test_attention_runs_and_its_explorer_follows_the_reader(notebook):
    notebook.open("05_attention")
    notebook.run_all()
    page = notebook.page
    assert notebook.failures() == []
    assert page.locator("mjx-container").count() >= 5  # equations
    assert page.locator(".jp-RenderedImage img").count() >= 4  # figures

    explorer = page.locator(".jp-OutputArea-output:has(input[type=text])").last
    prompt, layer = explorer.locator("input[type=text]"), explorer.locator("select").first
    prompt.fill("KING: <b>")
    prompt.press("Enter")
    explorer.get_by_text("unknown character").wait_for(timeout=10_000)  # "<" is none of the 65
    prompt.fill("JULIET:")
    prompt.press("Enter")
    layer.select_option("2")
    explorer.get_by_text("Layer 2, head").first.wait_for(timeout=10_000)
    explorer.get_by_text("unknown character").wait_for(state="detached", timeout=10_000)
    assert notebook.errors == [] and notebook.outgoing == []


def test_what_goes_wrong_is_noticed(notebook, lab):
    """The checks above can fail: an exception in a cell, a picture from elsewhere, an error on the page."""
    source = "from IPython.display import HTML\ndisplay(HTML('<img src=http://book.invalid/x.png>'))\n1 / 0"
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "id": "broken"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    cells = [cell | {"execution_count": None}]
    broken = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    notebook.page.goto(f"{lab}/lab?reset")
    answer = notebook.page.request.put(
        f"{lab}/api/contents/notebooks/broken.ipynb",
        data=json.dumps({"type": "notebook", "content": broken}),
        headers={"Content-Type": "application/json", **xsrf(notebook)},
    )
    assert answer.ok
    notebook.open("broken")
    notebook.run_all()
    assert len(notebook.failures()) == 1 and "ZeroDivisionError" in notebook.failures()[0]
    assert set(notebook.outgoing) == {"http://book.invalid/x.png"}  # once, or again after a second layout
    assert notebook.errors == []
    notebook.page.evaluate("setTimeout(() => { throw new Error('planted') })")
    notebook.page.wait_for_timeout(500)
    assert notebook.errors == ["planted"]


def xsrf(notebook) -> dict[str, str]:
    """The header that the server wants with a change."""
    cookies = {cookie["name"]: cookie["value"] for cookie in notebook.page.context.cookies()}
    return {"X-XSRFToken": cookies["_xsrf"]} if "_xsrf" in cookies else {}
