"""The web book in a folder, and what its pages hold: links, anchors, the files they load."""

import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lab import ROOT

LOADED = {"script": "src", "link": "href", "img": "src"}  # what a browser fetches by itself


def build_site(folder: Path) -> Path:
    """Build the pages into a folder, as `make web` does it."""
    command = [sys.executable, "-m", "web", str(folder / "pages"), "--work", str(folder / "work")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stderr == ""  # no warning
    return folder / "pages"


@dataclass
class Contents(HTMLParser):
    """What the HTML of a page holds."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    images: list[dict] = field(default_factory=list)
    open_folds: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if (
            tag in LOADED
            and found.get(LOADED[tag])
            and found.get("rel") not in ("next", "prev", "search", "index")
        ):
            self.loaded.append(found[LOADED[tag]])
        if tag == "img":
            self.images.append(found)
        if tag == "details" and "open" in found:
            self.open_folds.append(self.get_starttag_text())

    def handle_data(self, data):
        self.text += data


@lru_cache
def contents(page: Path) -> Contents:
    """What a page holds."""
    found = Contents()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def broken(page: Path, link: str) -> str | None:
    """What is wrong with a link of a page to a place of the book, or None; others are not asked."""
    parts = urlsplit(link)
    if parts.scheme:
        return None if parts.scheme in ("https", "mailto") else f"{link}: a scheme that leads nowhere"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return f"{link}: no such file"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in contents(target).anchors:
        return f"{link}: no such place"
    return None


def weight(page: Path) -> int:
    """The bytes of a page with all that it loads at once, but for the weights of models."""
    files = {(page.parent / unquote(urlsplit(address).path)).resolve() for address in contents(page).loaded}
    files |= {page, page.parent / "_static" / "math.woff"}
    return sum(file.stat().st_size for file in files if not file.name.startswith("weights-"))
