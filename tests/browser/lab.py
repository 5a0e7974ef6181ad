"""JupyterLab on a copy of the book, and headless Chromium that reports errors and outgoing requests."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Chromium stays on this machine: no updates, no background requests
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


STRESS = bool(os.environ.get("GPTLIB_STRESS"))
# runs the cells above the one after the last, in one command as a reader would; returns the last one's index
RUN = """through => {
    const { commands, shell } = window.jupyterapp;
    const notebook = shell.currentWidget.content;
    const sources = notebook.widgets.map(cell => cell.model.sharedModel.getSource());
    const codes = notebook.widgets.map((cell, i) => cell.model.type === 'code' ? i : -1).filter(i => i >= 0);
    const last = codes.find(i => through && sources[i].includes(through)) ?? codes.at(-1);
    if (through && !sources[last].includes(through)) throw new Error(`no cell holds ${through}`);
    notebook.activeCellIndex = last + 1;
    commands.execute(last === codes.at(-1) ? 'notebook:run-all-cells' : 'notebook:run-all-above');
    return last;
}"""
FINISHED = """last => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[last];
    const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.error"]');
    return failed || cell.model.executionCount !== null;  // a folded cell shows no number
}"""


def chromium() -> str | None:
    """The path of a Chromium or Chrome, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def copy_book(folder: Path) -> Path:
    """What the notebooks need, so that running and saving them changes nothing in the repository."""
    for part in ("notebooks", "gptlib", "data"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def configure(folder: Path) -> dict[str, str]:
    """An environment with a JupyterLab configuration of its own: no news, all cells drawn at once."""
    settings = folder / "settings"
    tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}', encoding="utf-8")
    (folder / "labconfig").mkdir()
    off = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    (folder / "labconfig" / "page_config.json").write_text(off, encoding="utf-8")
    own = {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTERLAB_SETTINGS_DIR": str(settings)}
    return {**os.environ, **own}


@contextlib.contextmanager
def jupyterlab(folder: Path):
    """The address of a running JupyterLab; its kernels import gptlib from a copy of the book in `folder`."""
    book = copy_book(folder / "book")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", folder / "jupyter.log"
    environment = configure(folder / "jupyter") | {"PYTHONPATH": str(book)}
    options = ["--no-browser", "--allow-root", "--ip", "127.0.0.1", "--port", str(port)]
    options += ["--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={book}"]
    options += ["--LabApp.expose_app_in_browser=True"]
    with open(log, "w", encoding="utf-8") as lines:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=book,
            env=environment,
            stdout=lines,
            stderr=lines,
        )
    try:
        wait_for(address, server, log)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; RuntimeError with its log when it does not."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5)
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


class Notebook:
    """A notebook open in the browser."""

    def __init__(self, page, address: str):
        self.page, self.address, self.errors, self.outgoing = page, address, [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self.note)

    def note(self, request) -> None:
        """Remember a request that leaves this machine."""
        if not request.url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.outgoing.append(request.url)

    def open(self, name: str) -> None:
        """Open notebooks/NAME.ipynb and wait for its kernel."""
        self.page.goto(f"{self.address}/lab/tree/notebooks/{name}.ipynb?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        # the notebook's own indicator says idle too early; the status bar's does not
        self.page.wait_for_selector("#jp-main-statusbar >> text=/Python 3.*Idle/", timeout=90_000)

    def put(self, name: str, content: dict) -> None:
        """Put notebooks/NAME.ipynb into the copy of the book that the server opens."""
        self.page.goto(f"{self.address}/lab?reset")
        cookies = {cookie["name"]: cookie["value"] for cookie in self.page.context.cookies()}
        token = {"X-XSRFToken": cookies["_xsrf"]} if "_xsrf" in cookies else {}  # a change needs it
        answer = self.page.request.put(
            f"{self.address}/api/contents/notebooks/{name}.ipynb",
            data=json.dumps({"type": "notebook", "content": content}),
            headers={"Content-Type": "application/json", **token},
        )
        assert answer.ok, answer.text()

    def run(self, through: str | None = None, seconds: int = 300) -> None:
        """Run the cells from top to bottom, down to the first one that holds `through`; with None, all.

        Waits until the last of them has its number, or one has failed. `make full` always runs all.
        """
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        last = self.page.evaluate(RUN, None if STRESS else through)
        self.page.wait_for_function(FINISHED, arg=last, timeout=1000 * seconds)

    def failures(self) -> list[str]:
        """The tracebacks and warnings in the outputs, but for the one that names the stand-in corpus."""
        kinds = ("error", "stderr")
        selector = ", ".join(f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in kinds)
        texts = self.page.locator(selector).all_inner_texts()
        return [text for text in texts if "the embedded plays stand in for it" not in text]


def one_cell(source: str) -> dict:
    """A notebook with one cell."""
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "id": "only"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    cells = [cell | {"execution_count": None}]
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def says(shown, text: str) -> None:
    """Wait for a text."""
    shown.get_by_text(text).first.wait_for(timeout=30_000)


def changed(page, picture, old: str) -> str:
    """Wait until a picture is another one; returns its new source. Its element may be another one, too."""
    for _ in range(300):
        if picture.count() and picture.get_attribute("src") != old:
            return picture.get_attribute("src")
        page.wait_for_timeout(100)
    raise AssertionError("the picture has not changed in 30 seconds")


@contextlib.contextmanager
def headless_chromium():
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()
