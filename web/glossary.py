"""The glossary: the book's terms, where each is first defined, and links to it from later pages."""

import html
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from docutils import nodes
from sphinx.transforms import SphinxTransform

from web.names import Name, plain

LIST = Path(__file__).with_name("glossary.toml")
# Where a term is not looked for: code, formulas, links, headings, what is emphasised already
LEFT_OUT = (
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.reference,
    nodes.title,
    nodes.raw,
    nodes.strong,
)


@dataclass(frozen=True)
class Term:
    """A term, the chapter that defines it, its definition; `linked` where later text mentions it."""

    term: str
    page: str
    text: str
    linked: bool

    @property
    def anchor(self) -> str:
        """The id of its definition on the chapter's page, and of its entry in the glossary."""
        return "term-" + re.sub(r"\W+", "-", self.term.lower()).strip("-")

    @property
    def address(self) -> str:
        """The place of its definition."""
        return f"{self.page}.html#{self.anchor}"

    @property
    def entry(self) -> str:
        """Its place in the glossary."""
        return f"glossary.html#{self.anchor}"


@lru_cache
def terms() -> tuple[Term, ...]:
    """The terms of glossary.toml, by chapter."""
    chapters = tomllib.loads(LIST.read_text(encoding="utf-8"))
    everyday = chapters.pop("everyday")["words"]
    return tuple(
        Term(term, page, text, term not in everyday)
        for page, entries in chapters.items()
        for term, text in entries.items()
    )


def glossary() -> str:
    """The page of the glossary, as Markdown."""
    entries = "\n".join(
        f'<dt id="{term.anchor}">{html.escape(term.term)}</dt><dd>{html.escape(term.text)} '
        f'<a href="{term.address}" aria-label="{html.escape(term.term)} in chapter {term.page[:2]}">'
        f"chapter {term.page[:2]}</a></dd>"
        for term in sorted(terms(), key=lambda term: term.term.lower())
    )
    return f"""# Glossary

{len(terms())} terms. Each leads to the place where the book first defines it.

<dl class="glossary">
{entries}
</dl>
"""


def tips() -> dict[str, list[str]]:
    """What links show on hover and focus, by their address: a heading, a text, where it is defined."""
    shown = {t.entry: [t.term, t.text, f"chapter {t.page[:2]}"] for t in terms()}
    for name in Links.names.values():
        if name.summary:
            shown[name.address] = [name.name, plain(name.summary), f"gptlib/{name.module}.py"]
    return shown


class Links(SphinxTransform):
    """Marks the definitions of terms on a page, and links what was defined before, once a section."""

    default_priority = 420
    names: dict[str, Name] = {}  # by name; conf.py sets them

    def apply(self) -> None:
        page = self.env.docname
        if not page[:2].isdigit():
            return
        known = {
            form: term for term in terms() if term.linked and term.page < page for form in forms(term.term)
        }
        own = {term.term.lower(): term for term in terms() if term.page == page}
        names = {name: about for name, about in self.names.items() if about.page <= page}
        done: set[str] = set()
        seen: set[str] = set()  # cells before this place
        for node in list(self.document.findall()):
            if isinstance(node, nodes.section) and isinstance(node.parent, nodes.section):
                done = set()
            elif isinstance(node, nodes.container):
                seen.update(id.removeprefix("cell-") for id in node["ids"])
            elif isinstance(node, nodes.strong):
                term = own.pop(node.astext().lower(), None)
                if term is not None:
                    node["ids"].append(term.anchor)
                    node["classes"].append("defined")
                    if term.linked:
                        known |= {form: term for form in forms(term.term)}
                        done.add(term.term)
            elif isinstance(node, nodes.literal) and is_prose(node.parent):
                self.link_name(node, names, seen, done)
            elif isinstance(node, nodes.Text) and is_prose(node.parent):
                link_terms(node, known, done)

    def link_name(self, node, names: dict[str, Name], seen: set[str], done: set[str]) -> None:
        """Link a name in the text to the cell that built it."""
        name = names.get(node.astext().removesuffix("()"))
        if name is None or name.name in done or (name.page == self.env.docname and name.cell not in seen):
            return
        done.add(name.name)
        link = nodes.reference("", "", refuri=name.address, classes=["name"])
        node.replace_self(link)
        link.append(node)


def forms(term: str) -> list[str]:
    """A term and its plural, in small letters."""
    term = term.lower()
    plural = term[:-1] + "ies" if term.endswith("y") and term[-2:] not in ("ay", "ey", "oy") else term + "s"
    return [term, plural]


def is_prose(node: nodes.Node | None) -> bool:
    """Whether text that stands in a node is a paragraph's, outside of what is left out."""
    inside = False
    while node is not None:
        if isinstance(node, LEFT_OUT) or "cell" in getattr(node, "attributes", {}).get("classes", []):
            return False
        inside = inside or isinstance(node, nodes.paragraph)
        node = node.parent
    return inside


def link_terms(node: nodes.Text, known: dict[str, Term], done: set[str]) -> None:
    """Link the first mention of each known term that is not done yet."""
    left = {form: term for form, term in known.items() if term.term not in done}
    if not left:
        return
    text, parts, end = node.astext(), [], 0
    for found in pattern(tuple(left)).finditer(text):
        term = left[found[0].lower()]
        if term.term in done:
            continue
        done.add(term.term)
        link = nodes.reference("", found[0], refuri=term.entry, classes=["term"])
        parts += [nodes.Text(text[end : found.start()]), link]
        end = found.end()
    if parts:
        node.parent.replace(node, [*parts, nodes.Text(text[end:])])


@lru_cache(maxsize=4096)
def pattern(words: tuple[str, ...]) -> re.Pattern:
    """What finds these words, the longest first."""
    longest = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])", re.IGNORECASE)
