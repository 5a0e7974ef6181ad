"""Configuration of the web book for Sphinx; `python -m web` calls it."""

import json
import re
from pathlib import Path

from sphinx.application import Sphinx

from web import formulas
from web.cells import Cells
from web.glossary import Links, tips

HERE = Path(__file__).resolve().parent
PLAIN = re.compile(r'<span class="(?:n|nn|o|p|w)">([^<]*)</span>')  # names, modules, operators, signs, space
TIP = re.compile(r'<a class="(?:term|name)[^"]*" href="([^"]*)"')

project = html_title = "GPT from first principles"
author = "the authors of the book"
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns: list[str] = []
suppress_warnings = ["myst.header", "config.cache"]

nb_execution_mode = "off"
nb_merge_streams = True
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
html_js_files = [("book.js", {"defer": "defer"})]
highlight_language = "none"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "github-dark-high-contrast"
copybutton_selector = ".cell_input pre, details.solution pre"


def lighten(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take the marks off plain code: a page is then half as long. MyST-NB's style sheet has no use here."""
    context["body"] = PLAIN.sub(r"\1", context.get("body", ""))
    context["css_files"] = [file for file in context["css_files"] if "mystnb" not in str(file)]


def add_tips(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Give a page the definitions that its links show on hover and focus."""
    found = {
        address: tips()[address] for address in TIP.findall(context.get("body", "")) if address in tips()
    }
    shown = json.dumps(found, ensure_ascii=False).replace("</", r"<\/")  # no text ends the script
    if found:
        app.add_js_file(None, body=f"window.Tips = {shown};")


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
    app.connect("html-page-context", add_tips)
    app.connect("html-page-context", add_live_scripts)
    app.connect("html-page-context", lighten, priority=900)  # after all that adds a style sheet
    return {"parallel_read_safe": True, "parallel_write_safe": True}
