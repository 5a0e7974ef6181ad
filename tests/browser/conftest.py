"""Fixtures: a page in headless Chromium, JupyterLab on a copy of the book, and the web book."""

import pytest
from lab import Notebook, chromium, headless_chromium, jupyterlab, one_cell
from site_of_book import build_site


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
def site(tmp_path_factory):
    """The folder of the web book, built anew."""
    return build_site(tmp_path_factory.mktemp("web"))


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


@pytest.fixture
def widget(notebook):
    """A function from a cell's source to the widget that it shows."""

    def show(source: str):
        notebook.put("alone", one_cell(source))
        notebook.open("alone")
        notebook.page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run()
        shown = notebook.page.locator(".jp-OutputArea-output:has(input, button)").last
        shown.wait_for(timeout=30_000)
        assert notebook.failures() == []
        return shown

    yield show
    assert notebook.errors == [] and notebook.outgoing == []
