"""Opening a chapter in JupyterLab and closing it asks nothing: it is stored as JupyterLab would store it."""

import json
import platform

from lab import ROOT


def test_a_chapter_that_is_opened_stays_saved(notebook):
    content = json.loads((ROOT / "notebooks" / "05_attention.ipynb").read_text(encoding="utf-8"))
    content["metadata"]["language_info"]["version"] = platform.python_version()  # the kernel's, here
    notebook.put("opened", content)
    assert not is_dirty(notebook)
    content["metadata"].pop("language_info")
    notebook.put("opened", content)
    assert is_dirty(notebook)


def is_dirty(notebook) -> bool:
    """Whether notebooks/opened.ipynb wants to be saved once its kernel has answered."""
    notebook.open("opened")
    notebook.page.wait_for_timeout(1000)
    return notebook.page.evaluate("window.jupyterapp.shell.currentWidget.context.model.dirty")
