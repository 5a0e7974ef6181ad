"""tools/links.py against a server on this machine."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tools import links


class Site(BaseHTTPRequestHandler):
    """/200 is there, /403 refuses programs, /404 is gone."""

    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    server = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_links_are_found_in_all_pages():
    found = links.external_links(
        "see https://a.org/x_(y)z, [b](https://b.org/c?d=1#e). <https://c.org>; `https://d.org`"
    )
    assert found == {"https://a.org/x_(y", "https://b.org/c?d=1#e", "https://c.org", "https://d.org"}
    assert {"README.md", "data/README.md", "notebooks/00_start_here.ipynb"} <= links.pages().keys()


def test_what_is_gone_is_named(site, monkeypatch, capsys):
    monkeypatch.setattr(links, "pages", lambda: {"a.md": f"{site}/200 {site}/404", "b.md": f"({site}/403)"})
    with pytest.raises(SystemExit, match=f"^a.md: {site}/404: 404 Not Found$"):
        links.main()
    assert capsys.readouterr().out == "3 links to other sites, 1 broken\n"
    assert links.problem("http://127.0.0.1:9/") is not None and links.problem("https://[x/") is not None


def test_no_broken_link_is_no_failure(site, monkeypatch):
    monkeypatch.setattr(links, "pages", lambda: {"a.md": f"{site}/200"})
    with pytest.raises(SystemExit) as ended:
        links.main()
    assert not ended.value.code
