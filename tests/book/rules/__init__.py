"""The rules of the house, by subject: each takes a page, a notebook of the book, and returns complaints."""

from rules import anatomy, code, file, links, outputs
from rules.page import RULES, Page, book_pages

__all__ = ["RULES", "Page", "anatomy", "book_pages", "code", "complaints", "file", "links", "outputs"]


def complaints(page: Page) -> list[str]:
    """What all rules have against a page."""
    return [f"{rule.__name__}: {complaint}" for rule in RULES for complaint in rule(page)]
