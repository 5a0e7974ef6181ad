"""Chapter 10 in JupyterLab: the dashboard follows the run."""

import pytest


@pytest.mark.stress
def test_training_runs_and_its_dashboard_follows_the_run(notebook):
    notebook.open("10_training")
    notebook.run(through="dashboard.redraw()")
    page = notebook.page
    assert notebook.failures() == []
    dashboard = page.locator(".jp-OutputArea-output:has-text('gradient norm'):has-text('tokens/s')").first
    dashboard.get_by_text("written at step 400:").wait_for(timeout=30_000)
    dashboard.get_by_text("below the 2-gram rung").wait_for(timeout=30_000)
    assert dashboard.locator("img").count() == 1
    assert notebook.errors == [] and notebook.outgoing == []
