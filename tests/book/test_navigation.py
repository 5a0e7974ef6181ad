"""tools/navigation.py: which mentions become links, and what stays as it is."""

import pytest
from nbformat import v4

from tools.chapters import Chapter
from tools.navigation import TABLE, linked, navigation, write_links

NAMES = {0: "start", 2: "data", 4: "layers", 5: "attention"}
BOOK = [Chapter(n, name, name.title(), (), "", (20, 0), "core") for n, name in NAMES.items()]


@pytest.mark.parametrize(
    "text, becomes",
    [
        ("see chapter 02.", "see [chapter 02](02_data.ipynb)."),
        ("Chapter 02's split", "[Chapter 02](02_data.ipynb)'s split"),
        ("**Chapter 02** (chapter 04)", "**[Chapter 02](02_data.ipynb)** ([chapter 04](04_layers.ipynb))"),
        ("chapters 02 and 04", "chapters [02](02_data.ipynb) and [04](04_layers.ipynb)"),
        ("chapters 02, 03 to 04", "chapters [02](02_data.ipynb), 03 to [04](04_layers.ipynb)"),
        ("[chapter 02](02_old_name.ipynb#The-cut)", "[chapter 02](02_data.ipynb#The-cut)"),
        ("[chapter 09](09_gone.ipynb)", "chapter 09"),
        ("chapters [02](02_old.ipynb) and 04", "chapters [02](02_data.ipynb) and [04](04_layers.ipynb)"),
    ],
)
def test_a_mention_is_a_link(text, becomes):
    once = linked(text, "05_attention", BOOK)
    assert once == becomes and linked(once, "05_attention", BOOK) == once


@pytest.mark.parametrize(
    "text",
    ["# After chapter 02", "> `gptlib/x.py`: of chapter 02", "<details>chapter 02</details>", "`chapter 02`"]
    + ["```\nchapter 02\n```", "chapter 05", "chapter 03", "chapter 2", "[of chapter 02](https://x.org)"]
    + ["![chapter 02](x.png)", "$chapter 02$", "[02](02_data.ipynb)"],
)
def test_what_is_no_mention_of_another_chapter_stays(text):
    assert linked(text, "05_attention", BOOK) == text


def test_navigation_goes_to_what_exists():
    assert navigation("00_start", BOOK) == f"[Contents](#{TABLE}) · [02 Data →](02_data.ipynb)"
    before, table, after = navigation("04_layers", BOOK).split(" · ")
    assert (before, after) == ("[← 02 Data](02_data.ipynb)", "[05 Attention →](05_attention.ipynb)")
    assert table == f"[Contents](00_start.ipynb#{TABLE})"
    assert navigation("05_attention", BOOK).endswith(f"[Contents](00_start.ipynb#{TABLE})")


def test_navigation_stands_once_at_both_ends_and_follows_the_list():
    cells = [v4.new_markdown_cell("# 04 · Layers\n\n> What.\n\nText."), v4.new_code_cell("export_chapter()")]
    notebook = v4.new_notebook(cells=cells)
    for book in (BOOK, BOOK, BOOK[:3], BOOK):
        write_links(notebook, "04_layers", book)
        line = navigation("04_layers", book)
        title, code, end = notebook.cells
        assert title.source == f"# 04 · Layers\n\n{line}\n\n> What.\n\nText." and end.source == line
