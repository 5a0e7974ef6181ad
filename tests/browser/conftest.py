"""Fixtures: a page in headless Chromium, and JupyterLab on a copy of the book."""

import pytest
from lab import Notebook, chromium, headless_chromium, jupyterlab


def pytest_collection_modifyitems(items):
    if chromium() is None:
        skip = pytest.mark.skip(reason="no Chromium here; `make browser` installs it where it may")
        for item in items:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a running JupyterLab."""
    with jupyterlab(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    with headless_chromium() as browser:
        yield browser


@pytest.fixture
def notebook(browser, lab):
    """A fresh page, with no notebook open yet."""
    page = browser.new_page(viewport={"width": 1150, "height": 1500})
    yield Notebook(page, lab)
    page.close()
