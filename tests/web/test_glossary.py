"""The glossary: each term is defined where it says, once; later text links to it."""

import re
from collections import Counter

from docutils import nodes

from gptlib.exercises.notebook import source_of
from tools.chapters import ROOT, chapters
from web.book import read
from web.glossary import Term, forms, glossary, link_terms, terms

# The first bold words of a sentence or a list are no terms; what is bold for another reason stands here
LONGEST = 45


def bold(stem: str) -> set[str]:
    """What stands in bold print in the text of a chapter, in small letters."""
    cells = [
        cell for cell in read(ROOT / "notebooks" / f"{stem}.ipynb").cells if cell.cell_type == "markdown"
    ]
    return {words.lower() for cell in cells for words in re.findall(r"\*\*([^*\n]+)\*\*", source_of(cell))}


def test_each_term_is_in_bold_print_where_it_is_defined():
    stems = [chapter.stem for chapter in chapters()]
    printed = {stem: bold(stem) for stem in stems}
    assert [t.term for t in terms() if t.term.lower() not in printed[t.page]] == []
    earlier = [t.term for t in terms() for s in stems[: stems.index(t.page)] if t.term.lower() in printed[s]]
    assert set(earlier) <= {"weights", "value", "query", "hidden"}, earlier


def test_terms_are_unique_and_short():
    assert [t for t, n in Counter(form for t in terms() for form in [t.term.lower()]).items() if n > 1] == []
    assert [a for a, n in Counter(t.anchor for t in terms()).items() if n > 1] == []
    assert [t.term for t in terms() if len(t.text.split()) > LONGEST or not t.text.endswith(".")] == []


def test_plurals():
    assert forms("entropy") == ["entropy", "entropies"] and forms("Key") == ["key", "keys"]


def linked(text: str, *known: Term) -> list[str]:
    """A text's parts; links in brackets."""
    paragraph = nodes.paragraph("", "", nodes.Text(text))
    done: set[str] = set()
    link_terms(paragraph.children[0], {form: t for t in known for form in forms(t.term)}, done)
    return [f"[{p.astext()}]" if isinstance(p, nodes.reference) else p.astext() for p in paragraph.children]


def test_the_first_mention_is_linked_and_the_longest_term():
    nat, loss = Term("nat", "03_loss", "", True), Term("loss ladder", "03_loss", "", True)
    assert linked("Nats of a loss ladder, a nat; natural.", nat, loss) == [
        "",
        "[Nats]",
        " of a ",
        "[loss ladder]",
        ", a nat; natural.",
    ]
    assert linked("signature", nat) == ["signature"]


def test_the_page_lists_all():
    page = glossary()
    assert page.count("<dt") == len(terms()) and 'href="05_attention.html#term-query"' in page
