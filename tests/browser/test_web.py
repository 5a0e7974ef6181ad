"""The web book in a browser, opened from a folder."""

import re

import pytest
from accessibility import findings
from lab import ROOT, STRESS
from site_of_book import broken, contents, weight

from tools.chapters import chapters

CHAPTERS = [chapter.stem for chapter in chapters()]
ALL = ["index", *CHAPTERS, "glossary", "names", "search"]
SAMPLE = ALL if STRESS else ["index", "00_start_here", "05_attention"]
IN_BOTH = pytest.mark.parametrize("theme", ["light", "dark"])
# the longest line of a paragraph, in characters, counted where the text breaks
LONGEST_LINE = """() => {
    let longest = [0, ''];
    for (const paragraph of [...document.querySelectorAll('article section > p')].slice(0, 60)) {
        if (paragraph.querySelector('math')) continue;
        const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
        let [line, bottom] = ['', null];
        while (walker.nextNode()) {
            const text = walker.currentNode.data;
            for (let i = 0; i < text.length; i++) {
                const range = new Range();
                range.setStart(walker.currentNode, i);
                range.setEnd(walker.currentNode, i + 1);
                const box = range.getBoundingClientRect();
                if (bottom !== null && box.top > bottom - 2) line = '';
                if (box.height) bottom = box.bottom;
                line += text[i];
                if (line.trim().length > longest[0]) longest = [line.trim().length, line];
            }
        }
    }
    return longest;
}"""


@pytest.fixture
def opened(browser, site):
    """A function that opens a page of the book by `file://` and fails on errors and outside requests."""
    wrong, contexts = [], []

    def open_page(name: str, width: int = 1280, theme: str = "light", query: str = ""):
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
            )
        )
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(f"{name}: {error}"))
        page.on(
            "console", lambda said: said.type in ("error", "warning") and wrong.append(f"{name}: {said.text}")
        )
        page.on("request", lambda sent: sent.url.startswith(("file:", "data:")) or wrong.append(sent.url))
        page.on("requestfailed", lambda sent: wrong.append(f"{name}: {sent.url} failed"))
        page.goto(f"{(site / name).as_uri()}.html{query}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.stress
@pytest.mark.parametrize("name", SAMPLE)
def test_pages_open_from_a_folder_with_all_their_pictures(opened, name):
    page = opened(name)
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
    assert page.evaluate("[...document.images].filter(i => !i.alt.trim()).map(i => i.src)") == []
    assert page.locator("h1").count() == 1


@pytest.mark.stress
@IN_BOTH
@pytest.mark.parametrize("name", SAMPLE)
def test_axe_finds_nothing_serious(opened, name, theme):
    page = opened(name, theme=theme)
    page.wait_for_function("[...document.querySelectorAll('canvas[role=img]')].every(drawn => drawn.ariaLabel)")
    assert findings(page, ["html"], []) == []
    page.evaluate("document.querySelectorAll('article details').forEach(one => { one.open = true })")
    assert findings(page, ["article"], []) == []


def test_all_links_and_anchors_lead_somewhere(site):
    pages = sorted(site.glob("*.html"))
    assert [page.stem for page in pages] == sorted(ALL)
    wrong = [f"{p.stem}: {what}" for p in pages for link in contents(p).links if (what := broken(p, link))]
    assert wrong == []
    assert sum(len(contents(page).links) for page in pages) > 2000
    assert broken(site / "index.html", "nowhere.html") and broken(site / "index.html", "names.html#nowhere")


def test_pages_load_nothing_from_elsewhere_and_are_light(site):
    for name in ALL:
        page = site / f"{name}.html"
        assert [address for address in contents(page).loaded if "//" in address] == []
        assert weight(page) < 1_000_000, (name, weight(page))


def test_live_widgets_bring_their_scripts_and_no_other_page_has_them(site):
    """The first page has a place for one in any case; what fills it comes from web/live/."""
    names = [file.name for file in (ROOT / "web" / "live").glob("*.css")]
    for name in ALL:
        page = site / f"{name}.html"
        has_one = 'data-live="' in page.read_text(encoding="utf-8")
        loaded = " ".join(contents(page).loaded)
        assert all((f"live/{file}" in loaded) == has_one for file in names), name
        assert ("live/start.js" in loaded) == (has_one and bool(names)), name


def test_nothing_is_spoiled(site):
    """Answers are folded, what waits for a kernel is gone, and each prediction asks first."""
    for name in CHAPTERS:
        html, page = (site / f"{name}.html").read_text(encoding="utf-8"), contents(site / f"{name}.html")
        assert page.open_folds == [], name
        assert "data-sealed" not in html and "not attempted yet" not in html and "no guess yet" not in html, (
            name
        )
        assert "predictions.guess(" not in page.text.replace("predictions.guess(…)", ""), name
        assert html.count('<form class="guess"') >= 1, name
        assert html.count('class="solution"') >= 1 and html.count('class="measured"') >= 1, name
        assert not re.search(r"^(# @title|#\|)", page.text, re.MULTILINE), name
        assert "What was measured" in html and not re.search(r"<p>\s*What was measured", html), name


def test_search_finds(opened):
    page = opened("search", query="?q=causal")
    page.get_by_role("link", name=re.compile("Attention")).first.wait_for()
    page = opened("index")
    page.get_by_role("textbox", name="Search").first.fill("perplexity")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("03 · Loss")).first.wait_for()


def test_the_order_of_the_chapters_is_that_of_the_list(opened, site):
    page, order = opened("index"), ["index", *CHAPTERS, "glossary", "names"]
    listed = page.locator("ol.chapters a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert listed == [f"{stem}.html" for stem in CHAPTERS]
    for name, following in zip(order, [*order[1:], None], strict=True):
        html = (site / f"{name}.html").read_text(encoding="utf-8")
        assert (
            re.findall(r'<a class="next-page" href="(.*?).html"', html)
            == [following][: following is not None]
        )
    page.locator("a.next-page").click()
    page.wait_for_url("**/00_start_here.html")
    page.locator("a.prev-page").click()
    page.wait_for_url("**/index.html")


@IN_BOTH
def test_definitions_show_on_hover_and_focus(opened, theme):
    page = opened("05_attention", theme=theme)
    term, tip = page.locator("a.term", has_text="softmax").first, page.get_by_role("tooltip")
    term.hover()
    assert "Makes probabilities of logits" in tip.inner_text()
    page.mouse.move(5, 5)
    tip.wait_for(state="detached")
    term.focus()
    assert "chapter 00" in tip.inner_text()
    assert term.get_attribute("aria-describedby") == tip.get_attribute("id")
    page.keyboard.press("Escape")
    assert tip.count() == 0
    name = page.locator("a.name", has_text="Linear").first
    name.focus()
    assert "gptlib/layers.py" in tip.inner_text()
    name.click()
    assert "04_layers.html#cell-" in page.url


def test_a_guess_is_kept_and_stands_beside_what_was_measured(opened):
    page = opened("05_attention")
    form, measured = page.locator("form.guess").first, page.locator("details.measured").first
    form.get_by_role("button").click()
    assert "Write a number first" in form.inner_text()
    form.locator(".guess-slider").press("ArrowRight")
    assert form.locator(".guess-number").input_value() != ""
    form.locator(".guess-number").fill("0.5")
    form.get_by_role("button").click()
    assert not measured.locator("p").first.is_visible()
    measured.locator("summary").click()
    assert "Your guess, largest of 16 weights, undivided: 0.5" in measured.inner_text()
    page.reload()
    assert form.locator(".guess-number").input_value() == "0.5"


@pytest.mark.parametrize("width", [360, 640, 1280, 2560])
def test_a_page_fits_every_width(opened, width):
    """640 pixels are what a window of 1,280 shows at 200 %."""
    page = opened("05_attention", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    right = "e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('pre, .table-wrapper, .formula')"
    beyond = f"[...document.querySelectorAll('article *')].filter(e => {right})"
    assert page.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 100))") == []
    longest, line = page.evaluate(LONGEST_LINE)
    assert 20 < longest <= 80, line


def test_keys_reach_what_is_seen_and_nothing_else(opened):
    page = opened("05_attention", width=640)
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.id") == "__navigation"
    page.keyboard.press("Space")
    assert page.locator(".sidebar-drawer").get_by_role("link", name="05 Attention").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".sidebar-drawer").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent.trim()") == "Skip to content"
    for _ in range(25):
        page.keyboard.press("Tab")
        assert not page.evaluate(f"{focused}.matches('.sidebar-drawer *, .toc-drawer *')")
    wide = "[...document.querySelectorAll('article pre')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.evaluate(f"{wide}.length") > 0
    assert page.evaluate(f"{wide}.filter(e => e.tabIndex < 0).length") == 0


def test_themes_and_paper(opened):
    page = opened("05_attention", theme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(21, 24, 29)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(paper) == "rgb(253, 253, 251)"
    assert (
        not page.locator(".sidebar-drawer").is_visible() and not page.locator("form.guess").first.is_visible()
    )
    page.emulate_media(media="screen")
    page.locator(".theme-toggle-content button").click()
    assert page.evaluate("document.body.dataset.theme") != "auto"
