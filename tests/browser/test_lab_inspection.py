"""Chapter 13 in JupyterLab: the lens, the ablation board and the slider follow mouse and keyboard."""

import pytest
from accessibility import findings
from lab import changed, says

LENS = """
from gptlib.inspection import lens
from gptlib.widgets.lens_grid import LensGrid, lens_of_model
from gptlib.widgets.shipped_model import growing_model
trained = growing_model()[1, 2000]
LensGrid({"small": lens_of_model(trained.model, trained.tokenizer, lens)}, "KING:")
"""
BOARD = """
import numpy as np
from gptlib.widgets.ablation_board import AblationBoard, Measured
def measure(text, off, how):
    surprises = [float("nan"), *[1.0 + len(off)] * (len(text) - 1)]
    return Measured(1.5 + len(off) + np.zeros(3), surprises, text + "!")
AblationBoard(measure, 2, 2, "KING:")
"""
SLIDER = """
import numpy as np
from gptlib.widgets.time_slider import Moment, TimeSlider
def moment_at(place):
    weights = np.tril(np.ones((1, 2, 3, 3))) / (1 + place)
    return Moment(8 * place, 4.2 - place, ("a", "b", "c"), weights, ("b", "c", "d"), "KING:", "x" * place)
TimeSlider(moment_at, 3, [("guessing", 4.17), ("letters", 3.35)])
"""
TOLD = "s => getComputedStyle(s, '::after').content"


def test_the_lens_tells_five_best_by_mouse_and_keyboard(widget):
    grid = widget(LENS)
    says(grid, "after block 2 = logits, after : (4)")
    cell = grid.locator("td.s").nth(1)
    cell.hover()
    told = cell.evaluate(TOLD)
    assert told.startswith('"after block 2 = logits, after I (1): ') and told.count("%") == 5
    grid.get_by_label("position").press("ArrowDown")
    says(grid, "after block 2 = logits, after G (3)")
    depth = grid.get_by_label("row (0 is lowest)")
    depth.fill("0")
    depth.press("Enter")
    says(grid, "embeddings, after G (3)")
    text = grid.locator("input[type=text]").first
    text.fill("Kö")
    text.press("Enter")
    says(grid, "unknown character")
    text.fill("ROMEO:")
    text.press("Enter")
    says(grid, "embeddings, after E (3)")


def test_heads_are_switched_by_click_and_key(widget):
    board = widget(BOARD)
    says(board, "all heads are on: loss 1.500 nats")
    board.get_by_role("button", name="0.1").click()
    says(board, "1 head off (mean): loss 2.500 nats, +1.000 ± 0.000")
    button = board.get_by_role("button", name="1.0")
    button.focus()
    board.page.keyboard.press("Enter")
    says(board, "2 heads off (mean): loss 3.500 nats")
    letter = board.locator(".text .s").nth(1)
    letter.hover()
    assert letter.evaluate(TOLD) == '"I: 1.00 nats with all heads, 3.00 without"'
    board.locator("select").select_option("zero")
    says(board, "2 heads off (zero)")
    board.get_by_role("button", name="All on").click()
    says(board, "all heads are on: loss 1.500 nats")


def test_the_slider_moves_through_the_steps(widget):
    slider = widget(SLIDER)
    says(slider, "Step 0: loss 4.200 nats, above every rung")
    picture = slider.locator("img").first
    shown = picture.get_attribute("src")
    slider.get_by_label("kept step").press("ArrowUp")
    changed(slider.page, picture, shown)
    says(slider, "Step 8: loss 3.200 nats, past letters.")


@pytest.mark.parametrize("source", [LENS, BOARD, SLIDER], ids=["lens", "board", "slider"])
def test_axe_finds_nothing_serious(widget, source):
    assert findings(widget(source).page) == []


@pytest.mark.stress
def test_inspection_runs_and_its_widgets_follow_the_reader(notebook):
    notebook.open("13_inspection")
    notebook.run(through="board.all_on.click()", seconds=600)
    page = notebook.page
    assert notebook.failures() == []
    board = page.locator(".jp-OutputArea-output:has-text('a pressed button is a head that is on')").first
    says(board, "all heads are on")
    board.get_by_role("button", name="1.2").click()
    says(board, "1 head off (mean)")
    assert notebook.errors == [] and notebook.outgoing == []
