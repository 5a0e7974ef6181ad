"""Addresses: those of the repository that publishes the pages."""

import re

import pytest

from tools.chapters import ROOT, chapters
from web import addresses as module
from web.addresses import GITHUB, Addresses, addresses
from web.book import header, prepared, read

FIRST = chapters()[0]


@pytest.mark.parametrize(
    "remote",
    ["https://github.com/ann/book", "https://github.com/ann/book.git", "git@github.com:ann/book.git"],
)
def test_remotes_on_github(remote):
    assert GITHUB.search(remote)[1] == "ann/book"
    assert not GITHUB.search("https://example.org/ann/book")


def test_the_workflow_comes_before_the_remote_and_that_before_the_file(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setattr(module, "repository", lambda: "of/file")
    monkeypatch.setattr(module, "remote", lambda: None)
    assert addresses() == Addresses("of/file")
    monkeypatch.setattr(module, "remote", lambda: "of/remote")
    assert addresses() == Addresses("of/remote")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/fork")
    assert addresses() == Addresses("a/fork", "colab")


def test_a_fork_opens_its_own_notebooks():
    links = re.findall(r'href="(.*?)"', header(FIRST, Addresses("a/fork", "colab")))
    colab = "https://colab.research.google.com/github/a/fork/blob/colab/notebooks"
    assert links == [
        f"{colab}/{FIRST.stem}.ipynb",
        f"{colab}/workbook/{FIRST.stem}.ipynb",
        f"_static/notebooks/{FIRST.stem}.ipynb",
    ]
    notebook = prepared(read(ROOT / f"notebooks/{FIRST.stem}.ipynb"), Addresses("a/fork"))
    assert any('REPOSITORY = "https://github.com/a/fork"' in cell.source for cell in notebook.cells)


def test_without_a_repository_the_files_are_there():
    line = header(FIRST, Addresses(None))
    assert "Colab" not in line
    assert re.findall(r'href="(.*?)"', line) == [
        f"_static/notebooks/workbook/{FIRST.stem}.ipynb",
        f"_static/notebooks/{FIRST.stem}.ipynb",
    ]
