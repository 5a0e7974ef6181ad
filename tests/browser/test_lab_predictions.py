"""A prediction in JupyterLab: the truth comes after the guess, also when all cells have run before it."""

REVEAL = "predictions.reveal("


def test_the_truth_waits_for_the_guess(notebook):
    page = notebook.page
    notebook.open("00_start_here")
    notebook.run(through=REVEAL)
    field = page.locator(".jp-OutputArea-output:has(button:has-text('Show me'))").first
    answer = page.locator(".jp-OutputArea-output:has([data-sealed])").first
    answer.get_by_text("no guess yet").wait_for(timeout=30_000)
    assert page.get_by_text("64 of 100").count() == 0

    knob, text = field.locator(".noUi-touch-area").first, field.get_by_label("your guess")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=5)  # moves the number in the field, and is no guess yet
    page.mouse.up()
    lower = "field => field.value !== '' && Number(field.value) < 45"
    page.wait_for_function(lower, arg=text.element_handle(), timeout=30_000)
    assert answer.get_by_text("no guess yet").count() == 1
    text.fill("forty")
    text.press("Enter")
    field.get_by_text("'forty' is no number").wait_for(timeout=30_000)
    text.fill("40")
    text.press("Enter")
    answer = page.get_by_text("you guessed 40, it is 64 of 100: 38 % too low")
    answer.nth(1).wait_for(timeout=30_000)  # below the field, and in the answer
    assert page.locator("svg:has-text('your guess 40')").count() == 1
    assert notebook.failures() == []
    assert notebook.errors == [] and notebook.outgoing == []


def test_a_chapter_leads_to_the_next(notebook):
    page = notebook.page
    path = "() => window.jupyterapp.shell.currentWidget.context.path"
    notebook.open("04_layers")
    page.locator(".jp-Notebook a", has_text="05 Attention →").first.click()
    page.wait_for_function(f"() => ({path})() === 'notebooks/05_attention.ipynb'", timeout=60_000)
    assert notebook.errors == []
