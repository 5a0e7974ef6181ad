"""The index of names: where the public names of gptlib are built."""

import importlib

from tools.chapters import ROOT, chapters
from web.book import read
from web.names import definitions, index, names_of


def all_names():
    return [n for c in chapters() for n in names_of(read(ROOT / "notebooks" / f"{c.stem}.ipynb"), c)]


def test_the_index_has_what_the_modules_export():
    found: dict[str, set[str]] = {}
    for name in all_names():
        found.setdefault(name.module, set()).add(name.name)
    modules = [module for chapter in chapters() for module in chapter.modules]
    assert sorted(found) == sorted(modules)
    for module in modules:
        assert set(importlib.import_module(f"gptlib.{module}").__all__) == found[module], module


def test_private_names_are_left_out():
    source = 'A = 1\n_b = 2\n\n\ndef f():\n    """Says it.\n\n    More.\n    """\n\n\nclass G: ...\n'
    assert definitions(source) == [("A", ""), ("f", "Says it."), ("G", "")]


def test_the_page_leads_to_cells():
    names = all_names()
    page = index(names)
    assert page.count("<tr>") == len(names) + 1
    assert all(f'href="{name.address}"' in page for name in names)
