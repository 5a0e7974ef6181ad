"""Configuration of the web book for Sphinx; `python -m web` calls it."""

import json
import re
from pathlib import Path

from sphinx.application import Sphinx

from web import formulas
from web.cells import Cells
from web.glossary import Links

HERE = Path(__file__).resolve().parent
PLAIN = re.compile(r'<span class="(?:n|p|w|nn)">([^<]*)</span>')  # names, punctuation, white space, modules

project = html_title = "GPT from first principles"
author = "the authors of the book"
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns: list[str] = []
suppress_warnings = ["myst.header", "config.cache"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_append_css = False  # book.css has what the pages need
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_heading_slug_func = "web.page.anchor"
myst_update_mathjax = False

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_favicon = "static/icon.svg"
html_permalinks_icon = "#"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # pages opened from a folder cannot fetch other pages
html_use_index = False
html_domain_indices = False
html_math_renderer = "mathml"
templates_path = ["templates"]
html_css_files = ["book.css"]
html_js_files = [("tips.js", {"defer": "defer"}), ("book.js", {"defer": "defer"})]
highlight_language = "none"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "github-dark-high-contrast"
copybutton_selector = ".cell_input pre, details.solution pre"


def take_spans_off(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take the marks off plain code, which looks the same without them: a page is then half as long."""
    context["body"] = PLAIN.sub(r"\1", context.get("body", ""))


def add_live_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load the live widgets' scripts on pages that have a place for one."""
    listed = HERE / "live" / "scripts.json"
    if listed.exists() and 'data-live="' in context.get("body", ""):
        app.add_css_file("live/live.css")
        for script in json.loads(listed.read_text(encoding="utf-8")):
            app.add_js_file(f"live/{script}", defer="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("book_version", "", "env")
    inline, block = (formulas.visit_inline, None), (formulas.visit_block, None)
    app.add_html_math_renderer("mathml", inline, block)
    app.add_transform(Cells)
    app.add_transform(Links)
    app.connect("html-page-context", take_spans_off)
    app.connect("html-page-context", add_live_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
