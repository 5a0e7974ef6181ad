"""Chapter 09 in JupyterLab: the trajectory explorer and the biography of a weight follow the reader."""

import pytest
from lab import changed


@pytest.mark.stress
def test_optimizer_runs_and_its_widgets_follow_the_reader(notebook):
    notebook.open("09_optimizer")
    notebook.run(through="biography.weight.value = ")
    page = notebook.page
    assert notebook.failures() == []

    explorer = page.locator(".jp-OutputArea-output:has-text('bias correction'):has(select)").first
    picture, rule = explorer.locator("img").first, explorer.locator("select").first
    shown = picture.get_attribute("src")
    rule.select_option("momentum")
    shown = changed(page, picture, shown)
    explorer.locator("input[type=checkbox]:disabled").wait_for(timeout=30_000)  # momentum has no correction
    rule.select_option("Adam")
    explorer.locator("input[type=checkbox]:enabled").wait_for(timeout=30_000)
    shown = changed(page, picture, shown)
    explorer.locator("input[type=checkbox]").click()
    shown = changed(page, picture, shown)
    explorer.get_by_label("steps drawn").press("ArrowDown")
    changed(page, picture, shown)

    biography = page.locator(".jp-OutputArea-output:has-text('mean square'):has(select)").first
    picture, step = biography.locator("img").first, biography.get_by_label("step", exact=True)
    shown = picture.get_attribute("src")
    step.press("ArrowUp")
    shown = changed(page, picture, shown)
    biography.get_by_text("Step 41 of").wait_for(timeout=30_000)  # the driver cell left it at step 40
    biography.locator("select").select_option(index=0)
    changed(page, picture, shown)
    biography.locator("b:has-text('(MLP)')").wait_for(timeout=30_000)
    assert notebook.errors == [] and notebook.outgoing == []
