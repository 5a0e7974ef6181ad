"""Chapters in JupyterLab under axe-core: no serious and no critical finding in outputs and text."""

import pytest
from accessibility import findings
from lab import one_cell

PLANTED = """
import ipywidgets
planted = '<button id="one"></button> <img id="two" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
ipywidgets.VBox([ipywidgets.HTML(planted), ipywidgets.FloatSlider()])
"""


CHAPTERS = {"00_start_here": None, "03_loss": "surprise.figure(", "05_attention": "figure(explorer.state)"}


@pytest.mark.stress
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_axe_finds_nothing_serious(notebook, chapter):
    notebook.open(chapter)
    notebook.run(through=CHAPTERS[chapter])
    notebook.page.wait_for_timeout(2000)  # equations are set, widgets are drawn
    assert notebook.failures() == []
    assert (
        notebook.page.locator(".jp-OutputArea-output input").count() >= 4
    )  # a widget is among what is looked at
    assert findings(notebook.page) == []


def test_axe_finds_what_is_planted(notebook):
    """A button and an image without a text, and ipywidgets' own slider, whose handle has no name."""
    notebook.put("planted", one_cell(PLANTED))
    notebook.open("planted")
    notebook.run()
    notebook.page.locator(".noUi-handle").wait_for(timeout=30_000)
    found = " ".join(findings(notebook.page))
    assert "critical button-name" in found and 'id="one"' in found
    assert "critical image-alt" in found and 'id="two"' in found
    assert "serious aria-input-field-name" in found and "noUi-handle" in found
