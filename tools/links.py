"""Do the links to other sites still lead somewhere? `python -m tools.links`; it needs the network."""

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from gptlib.exercises.notebook import read_notebook, source_of
from tools.chapters import ROOT
from tools.notebooks import notebooks

REFUSES_PROGRAMS = {401, 403, 405, 406, 429, 503}  # the page is there, for people


def pages() -> dict[str, str]:
    """The Markdown of every page of the book, by its place."""
    texts = {
        path: path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), ROOT / "data" / "README.md"]
    }
    for path in notebooks():
        cells = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "markdown"]
        texts[path] = "\n\n".join(map(source_of, cells))
    return {path.relative_to(ROOT).as_posix(): text for path, text in texts.items()}


def external_links(text: str) -> set[str]:
    """The addresses in a page's text, without the sign that ends a sentence or a link."""
    return {link.rstrip(".,;:!?*_'\"") for link in re.findall(r"https?://[^\s)\]<>`|\\]+", text)}


def problem(link: str) -> str | None:
    """What is wrong with a link, or None."""
    try:
        request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0 (links of a textbook)"})
        with urllib.request.urlopen(request, timeout=30):
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in REFUSES_PROGRAMS else f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(error)


def main() -> None:
    where = [(link, page) for page, text in pages().items() for link in sorted(external_links(text))]
    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(problem, [link for link, _ in where]))
    broken = [f"{page}: {link}: {what}" for (link, page), what in zip(where, problems, strict=True) if what]
    print(f"{len(where)} links to other sites, {len(broken)} broken")
    sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
