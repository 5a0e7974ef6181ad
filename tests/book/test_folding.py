"""tools/folding.py and tools/captions.py: what is folded, and what a figure's alternative text is."""

import copy

import pytest
from nbformat import v4

from tools.captions import SUMMARY, caption, describe_figures
from tools.folding import BY_PROGRAM, FOLDED, fold

BOTH = {"source_hidden": True, "outputs_hidden": True}


def folded(*sources, tags=()):
    """The code cells that `fold` makes of these sources; `tags` are the tags of the first."""
    cells = [v4.new_code_cell(source, metadata={"tags": []}) for source in sources]
    cells[0].metadata["tags"] = list(tags)
    notebook = v4.new_notebook(cells=cells)
    fold(notebook)
    once = copy.deepcopy(notebook)
    fold(notebook)
    assert notebook == once
    return notebook.cells


def test_imports_are_folded_below_a_title():
    (cell,) = folded("import os\nimport torch\nbook_style()")
    assert cell.source == "# @title Imports\nimport os\nimport torch\nbook_style()"
    assert {key: cell.metadata[key] for key in FOLDED} == FOLDED
    (cell,) = folded("#| export\nimport os")  # the directive stays first
    assert cell.source == "#| export\nimport os" and cell.metadata["jupyter"] == {"source_hidden": True}


@pytest.mark.parametrize("source", ["x = 1", "#| default_exp attention", "import os\nprint(1)\nprint(2)", ""])
def test_other_cells_stay(source):
    (cell,) = folded(source)
    assert cell.source == source and cell.metadata == {"tags": []}


def test_a_check_is_folded_below_its_first_sentence():
    check = 'def check_relu(relu):\n    """Below 0 stands 0; above, x\n    itself.\n    """\n    relu(1)\n'
    (cell,) = folded(check, tags=["proof", "check"])
    assert cell.source == f"# @title The check: below 0 stands 0\n{check}"
    assert cell.metadata["cellView"] == "form" and cell.metadata["jupyter"] == {"source_hidden": True}


def test_what_drives_a_widget_is_folded_with_its_outputs():
    _, driver = folded("slider", "# The same by program: look\nslider.value = 2", tags=["widget"])
    assert driver.source == f"{BY_PROGRAM}\nslider.value = 2" and driver.metadata["jupyter"] == BOTH
    _, training = folded("dashboard", "result = train(model)", tags=["widget"])
    assert training.source == "result = train(model)" and "jupyter" not in training.metadata


@pytest.mark.parametrize(
    "text, alt",
    [
        ("*Figure:* the `x` of [chapter 02](02_data.ipynb)\nrises.\n\nMore.", "The x of chapter 02 rises."),
        ("*Figure: it rises.*", "It rises."),
        (f"{SUMMARY}\n\n*Figure:* it rises.\n\n</details>", "It rises."),
        ("It rises.", ""),
    ],
)
def test_a_caption_becomes_the_alternative_text(text, alt):
    picture = v4.new_output("display_data", data={"image/png": ""}, metadata={"image/png": {"width": 3}})
    plot = v4.new_code_cell("plot", outputs=[picture, v4.new_output("stream", text="1")])
    notebook = v4.new_notebook(cells=[plot, v4.new_markdown_cell(text)])
    describe_figures(notebook)
    about = notebook.cells[0].outputs[0].metadata["image/png"]
    assert about == ({"width": 3, "alt": alt} if alt else {"width": 3}) and caption(notebook.cells[1]) == alt
