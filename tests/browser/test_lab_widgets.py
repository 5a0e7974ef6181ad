"""Widgets in JupyterLab, each alone in a notebook: with the mouse, with the keyboard, narrow, wide, dark."""

import itertools

from lab import says

SHIPPED = """
from gptlib.widgets.shipped_model import trained_model
trained = trained_model()
"""
EXPLORER = f"""{SHIPPED}
from gptlib.widgets.attention_explorer import explorer_for_model
explorer_for_model(trained.model, trained.tokenizer, "JULIET:")
"""
PLAYGROUND = f"""{SHIPPED}
from gptlib.widgets.playground import playground_for_model
playground_for_model(trained.model, trained.tokenizer)
"""
SAMPLER = f"""{SHIPPED}
from gptlib.widgets.next_token_sampler import sampler_for_model
sampler = sampler_for_model(trained.model, trained.tokenizer)
sampler.top_p.value = 0.9
sampler.press()
sampler
"""
SURPRISE = """
from gptlib.widgets.surprise import Surprise
Surprise({"half a nat": lambda text: [float("nan"), *[0.5] * (len(text) - 1)]}, "queen of quiet " * 30)
"""
BLIND_TEST = """
from gptlib.widgets.blind_test import BlindTest, Pair
first = Pair("To be, or not", "To bee a knot", "left", "the model")
BlindTest([first, Pair("thou thee", "Good morrow", "right", "the model")])
"""
TOLD = "s => [getComputedStyle(s, '::after').content, parseFloat(getComputedStyle(s, '::after').left)]"
PRODUCT = "q · k = sum of 64 products"


def until(shown, condition) -> None:
    """Wait until a condition holds; AssertionError after ten seconds."""
    for _ in range(100):
        if condition():
            return
        shown.page.wait_for_timeout(100)
    raise AssertionError("ten seconds, and it does not hold")


def cell_of(explorer, query: int, key: int) -> tuple[float, float]:
    """Where a cell of the matrix lies in the window."""
    matrix, T = explorer.locator(".matrix img"), len("JULIET:")
    matrix.scroll_into_view_if_needed()
    frame = matrix.bounding_box()
    side = frame["width"] / T
    return frame["x"] + side * (key + 0.5), frame["y"] + side * (query + 0.5)


def test_tiles_and_cells_are_buttons(widget):
    explorer = widget(EXPLORER)
    page = explorer.page
    explorer.get_by_role("button", name="layer 1, head 4", exact=True).click()
    explorer.get_by_role("img", name="Layer 1, head 4").wait_for(timeout=30_000)
    page.mouse.move(*cell_of(explorer, 4, 1))
    page.mouse.move(*cell_of(explorer, 5, 2), steps=3)
    over = explorer.locator(".cells button:hover")
    over.wait_for(timeout=30_000)
    told = over.evaluate("button => getComputedStyle(button, '::after').content")
    assert "key 2" in told and told.endswith('%"'), told
    below = "token => getComputedStyle(token, '::after').content"
    labels = [token.evaluate(below) for token in explorer.locator(".t").all()]
    assert any("%" in label for label in labels[:6])  # the row's query shades the tokens
    page.mouse.click(*cell_of(explorer, 5, 2))
    says(explorer, "query 5 (T), key 2 (L): weight")
    says(explorer, PRODUCT)
    assert explorer.locator(".stage .strip.new .bar").count() == 64
    explorer.get_by_role("button", name="Next stage").click()
    says(explorer, "/ √64")
    page.mouse.click(*cell_of(explorer, 2, 5))
    says(explorer, "query 2 (L), key 5 (T): masked")


def test_the_explorer_needs_no_mouse(widget):
    explorer = widget(EXPLORER)
    tile = explorer.get_by_role("button", name="layer 0, head 3", exact=True)
    tile.focus()
    tile.press("Enter")
    says(explorer, "Layer 0, head 3")
    assert tile.evaluate("tile => document.activeElement === tile")  # redrawing leaves the focus where it is
    assert explorer.locator(".cells button:visible").count() == 0  # no stops of the Tab key without a mouse
    explorer.get_by_role("img", name="Layer 0, head 3").wait_for(timeout=30_000)
    assert explorer.get_by_role("img", name="Layer 0, head 3").count() == 1
    query, key = explorer.get_by_label("query (row)"), explorer.get_by_label("key (column)")
    query.fill("3")
    query.press("Enter")
    key.fill("6")
    key.press("Enter")
    says(explorer, "query 3 (I), key 6 (:): masked")
    key.press("ArrowDown")
    key.press("ArrowDown")
    says(explorer, "query 3 (I), key 4 (E): masked")
    explorer.get_by_label("stage", exact=True).press("ArrowUp")
    says(explorer, "/ √64")
    explorer.get_by_role("button", name="Next stage").press("Enter")
    says(explorer, "key 4 (E) comes after query 3 (I)")
    explorer.get_by_role("button", name="Next stage").press("Enter")
    says(explorer, "= 0.00")
    explorer.get_by_role("button", name="Next stage").press("Enter")
    says(explorer, "output = sum over all keys")
    explorer.get_by_label("all numbers").check()
    explorer.locator(".stage tr").nth(64).wait_for(timeout=30_000)  # a heading and 64 numbers
    explorer.get_by_role("button", name="Previous stage").press("Enter")
    says(explorer, "weights that sum to 1")


def test_enter_writes_and_the_pointer_drags(widget):
    playground = widget(PLAYGROUND)
    page = playground.page
    prompt, length = playground.get_by_label("prompt"), playground.get_by_label("length")
    length.fill("40")
    length.press("Enter")
    prompt.fill("JULIET:")
    prompt.press("Enter")  # as a click on the button would
    written = playground.locator("div:has(> b:text-is('JULIET:'))").last
    until(playground, lambda: written.count() and len(written.text_content()) == len("JULIET:") + 40)
    temperature, knob = playground.get_by_label("temperature"), playground.locator(".noUi-touch-area").first
    before, place = float(temperature.input_value()), knob.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + 60, place["y"] + place["height"] / 2, steps=5)
    page.mouse.up()
    until(playground, lambda: before < float(temperature.input_value()) <= 2)
    assert len(temperature.input_value()) <= 4  # 1.4, not 1.4000000000000001


def test_the_loss_of_a_character_is_told_at_every_place(widget):
    surprise = widget(SURPRISE)
    page = surprise.page
    page.set_viewport_size({"width": 1000, "height": 1500})
    letters, box = surprise.locator(".s"), surprise.locator(".surprise")
    for place in (30, 72, 449):  # within a line, near the end of one, the last
        letters.nth(place).hover()
        content, left = letters.nth(place).evaluate(TOLD)
        assert "0.50 nats" in content and left < 20  # at the left edge of the box
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    place = surprise.get_by_label("character")
    place.press("ArrowUp")
    says(surprise, "u: 0.50 nats, p = 0.61")
    assert letters.nth(1).get_attribute("class").endswith("chosen")


def test_the_samplers_rows_are_straight(widget):
    """On a narrow and a wide page, in light and dark."""
    sampler = widget(SAMPLER)
    page = sampler.page
    for theme, width in itertools.product(("JupyterLab Dark", "JupyterLab Light"), (1000, 1920)):
        page.set_viewport_size({"width": width, "height": 1500})
        page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{ theme: '{theme}' }})")
        page.wait_for_timeout(1500)
        buttons = sampler.locator(".widget-hbox > button.widget-button").all()
        assert {round(button.bounding_box()["width"]) for button in buttons[-12:]} == {72}
        bars = sampler.locator(".widget-html:has(span + span) .widget-html-content > div").all()
        edges = {round(bar.bounding_box()["x"] + bar.bounding_box()["width"]) for bar in bars[-12:]}
        assert len(bars) >= 12 and len(edges) == 1, (theme, width, edges)


def test_blind_test_by_mouse_and_keyboard(widget):
    shown = widget(BLIND_TEST)
    says(shown, "Pair 1 of 2.")
    assert shown.get_by_text("the model").count() == 0
    shown.get_by_role("button", name="left is real").click()
    says(shown, "Right: left is real, the model wrote the other. 1 of 1 right so far.")
    says(shown, "Pair 2 of 2.")
    shown.get_by_role("button", name="left is real").focus()
    shown.page.keyboard.press("Enter")
    says(shown, "Wrong: right is real, the model wrote the other. 1 of 2 right so far.")
    says(shown, "in all: 1 of 2 right; a coin is right as often or more often in 75.0% of such tests")
    assert shown.get_by_role("button", name="left is real").is_disabled()
    shown.get_by_role("button", name="begin again").click()
    says(shown, "Pair 1 of 2.")


def test_ropes_rotation_by_keys_and_pointer(widget):
    shown = widget("from gptlib.widgets.rope_rotation import RopeRotation\nRopeRotation()")
    picture = shown.get_by_role("img", name="A key at position 3 and a query 1 positions later")
    picture.wait_for(timeout=30_000)
    field = shown.get_by_label("distance", exact=True)
    field.fill("30")
    field.press("Enter")
    shown.get_by_role("img", name="a query 30 positions later: pair 0").wait_for(timeout=30_000)
    pair = shown.get_by_label("pair", exact=True)
    pair.focus()
    pair.press("ArrowUp")
    shown.get_by_role("img", name="a query 30 positions later: pair 1").wait_for(timeout=30_000)


def test_the_boards_switches(widget):
    shown = widget(
        "from gptlib.board import read_runs\nfrom gptlib.files import DATA\n"
        "from gptlib.widgets.since_board import SinceBoard\n"
        "SinceBoard(read_runs(DATA / 'runs' / 'since'))"
    )
    shown.get_by_role("img", name="RoPE: -0.0229").wait_for(timeout=30_000)
    shown.get_by_label("SwiGLU").check()
    shown.get_by_role("img", name="2 on: not run").wait_for(timeout=30_000)
    shown.get_by_label("SwiGLU").uncheck()
    shown.get_by_role("img", name="RoPE: -0.0229").wait_for(timeout=30_000)
