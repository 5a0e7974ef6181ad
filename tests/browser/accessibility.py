"""What axe-core finds in what the book puts on a page, of JupyterLab or of its own."""

import pytest
from lab import ROOT

AXE = ROOT / "build" / "axe-core" / "package" / "axe.min.js"  # put there by tests/browser/install.sh
# The book makes the outputs and the text; menus, prompts and editors are JupyterLab's.
PARTS = [".jp-Notebook .jp-OutputArea-output", ".jp-Notebook .jp-MarkdownOutput"]
# What in them is not the book's, and why
EXCLUDED = {
    ".jp-RenderedImage img": "JupyterLab 4.6 shows an image/png output without the text in its metadata",
}
RUN = """async ([include, exclude]) => {
    const options = { resultTypes: ['violations'], preload: false };  // a page in a folder fetches none
    const { violations } = await axe.run({ include, exclude }, options);
    const bad = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    const line = (rule, node) => `${rule.impact} ${rule.id}: ${node.html.slice(0, 200)}`;
    return bad.flatMap(rule => rule.nodes.map(node => line(rule, node)));
}"""


def findings(page, parts=PARTS, excluded=EXCLUDED) -> list[str]:
    """The serious and critical findings in parts of a page; skips the test where axe-core is missing."""
    if not AXE.exists():
        pytest.skip("no axe-core here: tests/browser/install.sh fetches it where there is npm")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    present = [selector for selector in parts if page.locator(selector).count()]
    return page.evaluate(RUN, [[[selector] for selector in present], [[selector] for selector in excluded]])
