"""The corpus and where it comes from, the split, and batches as a pure function."""

import gzip
import hashlib
import importlib.util
import json
import logging
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch

from gptlib import data
from gptlib.data import Batches, Corpus, TextError, load_corpus, read_documents, split

# --- the corpus


@pytest.mark.tinyshakespeare
def test_tinyshakespeare_and_its_split():
    corpus = load_corpus()
    assert corpus.name == "tinyshakespeare"
    assert corpus.sha256 == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    assert (len(corpus.text), len(set(corpus.text))) == (1_115_394, 65)
    train, val = split(corpus.text)
    assert (len(train), len(val)) == (1_003_854, 111_540)
    assert train + val == corpus.text


def test_the_plays():
    corpus = load_corpus("plays")
    assert corpus.name == "plays"
    assert len(set(corpus.text)) == 65
    assert 1_000_000 < len(corpus.text) < 1_150_000
    assert corpus.sha256 == hashlib.sha256((data.DATA / "plays" / "input.txt").read_bytes()).hexdigest()
    speeches = corpus.text.split("\n\n")
    assert all(re.match(r"[A-Z][A-Za-z,' -]*:\n.", speech) for speech in speeches)
    assert not re.search(r"Gutenberg|Exeunt|\[|SCENE|  ", corpus.text)


def test_unknown_corpus():
    with pytest.raises(ValueError, match="unknown corpus 'shakespear'.*'tinyshakespeare' or 'plays'"):
        load_corpus("shakespear")


def test_readme_lists_every_file_with_its_checksum():
    listed = dict(
        re.findall(
            r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$",
            (data.DATA / "README.md").read_text(encoding="utf-8"),
            re.M,
        )
    )
    found = {
        path.relative_to(data.DATA).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in data.DATA.rglob("*")
        if path.is_file() and not {"README.md", "tinyshakespeare", "__pycache__"} & set(path.parts)
    }
    wrong = {name: found.get(name, "(no such file)") for name in listed.keys() | found.keys()}
    wrong = {name: digest for name, digest in wrong.items() if listed.get(name) != digest}
    assert not wrong, "lines of data/README.md to correct:\n" + "\n".join(
        f"| `{name}` | `{digest}` |" for name, digest in sorted(wrong.items())
    )


def test_arrangement_of_the_plays():
    spec = importlib.util.spec_from_file_location("arrange", data.DATA / "plays" / "arrange.py")
    arrange = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(arrange)
    source = (
        "JULIUS\n\nby W. S.\n\nCAESAR.\n\n\nACT I.\n\nSCENE I. Rome.\n\n[Enter CAESAR\nand others.]\n\n"
        'CAESAR.\nAy me!  [Aside] "Well," said I.\n\n[Exit one.]\n\nGood night.\n\n'
        "SECOND CITIZEN.\nNo.\nVARRO. Yes.\n\n"
        "VARRO. CLAUDIUS.\nBoth.\n\n[Exeunt\n\nTHE END\n"
    )
    assert arrange.speeches(source) == [
        ("CAESAR", ["Ay me! 'Well,' said I.", "Good night."]),
        ("Second Citizen", ["No."]),
        ("VARRO", ["Yes."]),
        ("VARRO and CLAUDIUS", ["Both."]),
    ]


# --- where the corpus is looked for: a data folder of our own and a server of our own

TEXT = b"First Citizen:\nA text that stands for the corpus.\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT[:10] if self.path == "/cut" else TEXT)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty data folder with small plays, no GPTLIB_DATA, and TEXT as the corpus that is expected."""
    folder = tmp_path / "data"
    (folder / "plays").mkdir(parents=True)
    (folder / "plays" / "input.txt").write_text("The plays.", encoding="utf-8")
    monkeypatch.setattr(data, "DATA", folder)
    monkeypatch.setattr(data, "TINYSHAKESPEARE_SHA256", hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setattr(data, "TINYSHAKESPEARE_URL", "http://127.0.0.1:9/closed")
    monkeypatch.delenv("GPTLIB_DATA", raising=False)
    return folder


def files(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_download(house, server, monkeypatch):
    monkeypatch.setattr(data, "TINYSHAKESPEARE_URL", f"{server}/input.txt")
    corpus = load_corpus()
    assert (corpus.name, corpus.text, corpus.source) == (
        "tinyshakespeare",
        TEXT.decode(),
        f"{server}/input.txt",
    )
    assert files(house) == ["plays/input.txt", "tinyshakespeare/input.txt"]
    monkeypatch.setattr(data, "TINYSHAKESPEARE_URL", "http://127.0.0.1:9/closed")
    assert load_corpus().source == str(house / "tinyshakespeare" / "input.txt")  # not fetched again


@pytest.mark.parametrize(
    "address", ["{server}/missing", "{server}/cut", "http://127.0.0.1:9/closed", "{server}/good"]
)
def test_stand_in_when_it_cannot_be_had(house, server, address, monkeypatch, caplog):
    monkeypatch.setattr(data, "TINYSHAKESPEARE_URL", address.format(server=server))
    if address.endswith("good"):  # reached, but not the text that was published
        monkeypatch.setattr(data, "TINYSHAKESPEARE_SHA256", "0" * 64)
    with caplog.at_level(logging.WARNING, "gptlib.data"):
        corpus = load_corpus()
    assert (corpus.name, corpus.text) == ("plays", "The plays.")
    assert len(caplog.records) == 1 and "plays stand in" in caplog.text
    assert files(house) == ["plays/input.txt"]


def test_gptlib_data_is_looked_at(house, tmp_path, monkeypatch):
    elsewhere = tmp_path / "mirror" / "tinyshakespeare"
    elsewhere.mkdir(parents=True)
    (elsewhere / "input.txt").write_bytes(TEXT)
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "mirror"))
    assert load_corpus().source == str(elsewhere / "input.txt")
    assert files(house) == ["plays/input.txt"]


@pytest.mark.parametrize("where", ["data", "mirror"])
def test_wrong_checksum_names_file_and_remedy(house, tmp_path, where, monkeypatch):
    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path / "mirror"))
    path = tmp_path / where / "tinyshakespeare" / "input.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(TEXT + b"!")
    with pytest.raises(
        ValueError, match=rf"{where}.tinyshakespeare.input.txt: SHA-256 \w+….*expected .*delete it"
    ):
        load_corpus()
    assert path.read_bytes() == TEXT + b"!"


# --- split and batches


def test_split():
    assert split(range(10), 0.2) == (range(0, 8), range(8, 10))
    train, val = split(torch.arange(1000))
    assert torch.equal(torch.cat([train, val]), torch.arange(1000)) and len(val) == 100
    for fraction in (0, 1, -0.1, 2):
        with pytest.raises(ValueError, match=f"val_fraction={fraction}"):
            split(range(10), fraction)


def test_batches_are_windows_and_their_successors():
    tokens = torch.randint(0, 50, (1000,), generator=torch.Generator().manual_seed(0))
    text = tokens.tolist()
    batches = Batches(tokens, 8, 12)
    for step in range(5):
        x, y = batches.at(step)
        assert x.dtype == y.dtype == torch.int64 and x.shape == y.shape == (8, 12)
        for row_x, row_y, start in zip(x.tolist(), y.tolist(), batches.offsets(step), strict=True):
            assert row_x == text[start : start + 12]
            assert row_y == text[start + 1 : start + 13]


def test_batches_are_a_pure_function_of_seed_and_step():
    make = partial(Batches, torch.arange(10_000), 4, 16)
    forwards = [make(seed=3).at(step) for step in range(6)]
    batches = make(seed=3)
    backwards = [batches.at(step) for step in reversed(range(6))]
    np.random.seed(0), torch.manual_seed(0)  # no other generator has a say
    for (x, y), (x_again, y_again) in zip(forwards, reversed(backwards), strict=True):
        assert torch.equal(x, x_again) and torch.equal(y, y_again)


def test_no_two_pairs_of_seed_and_step_share_a_batch():
    # Two traps. default_rng(seed + step) gives seed 1 what seed 0 had a step later. And NumPy pads a list of
    # seeds with zeros, so default_rng([7, 0]) is default_rng(7): only lists of one length may be mixed.
    assert np.random.default_rng([7, 0]).integers(1 << 40) == np.random.default_rng(7).integers(1 << 40)
    tokens = torch.arange(1_000_000)
    drawn = {tuple(Batches(tokens, 2, 8, seed).offsets(step)) for seed in range(30) for step in range(30)}
    assert len(drawn) == 900


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_one_global_batch(world_size):
    tokens = torch.arange(5000)
    for step in (0, 1, 77):
        whole = Batches(tokens, 8, 10, seed=5).at(step)
        ranks = [Batches(tokens, 8, 10, 5, rank, world_size).at(step) for rank in range(world_size)]
        assert all(len(x) == 8 // world_size for x, _ in ranks)
        assert torch.equal(torch.cat([x for x, _ in ranks]), whole[0])
        assert torch.equal(torch.cat([y for _, y in ranks]), whole[1])


def test_every_window_is_reachable_and_none_leaves_its_split():
    train, val = split(torch.arange(40))
    batches = Batches(train, 4, 8)
    starts = np.concatenate([batches.offsets(step) for step in range(300)])
    assert set(starts) == set(range(36 - 8))
    seen = torch.cat([torch.cat(batches.at(step)) for step in range(300)])
    assert set(seen.flatten().tolist()) == set(range(36))


def test_shortest_possible_text():
    x, y = Batches([5, 6, 7], 2, 2).at(0)
    assert x.tolist() == [[5, 6], [5, 6]] and y.tolist() == [[6, 7], [6, 7]]


@pytest.mark.parametrize(
    "tokens", [list(range(50)), np.arange(50, dtype=np.uint16), np.arange(50), torch.arange(50)]
)
def test_any_sequence_of_tokens(tokens):
    x, y = Batches(tokens, 3, 4).at(1)
    assert x.dtype == torch.int64 and torch.equal(x + 1, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(tokens=range(0), batch_size=1, block_size=4), "0 tokens are too few for block_size=4.*need 5"),
        (dict(tokens=range(4), batch_size=1, block_size=4), "4 tokens are too few for block_size=4.*need 5"),
        (dict(tokens=range(9), batch_size=6, block_size=4, world_size=4), "batch_size=6 .* world_size=4"),
        (dict(tokens=range(9), batch_size=4, block_size=4, rank=2, world_size=2), "rank=2 is outside 0 … 1"),
    ],
)
def test_impossible_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        Batches(**arguments)


# --- one's own text


def test_documents_of_text_files_and_json_lines(tmp_path):
    (tmp_path / "a.txt").write_text("first\nfile é", encoding="utf-8")
    lines = '{"text": "one\\ntwo"}\n\n{"id": 7, "text": ""}\n{"text": "x\u2028y"}'
    (tmp_path / "b.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "c.txt").write_text("", encoding="utf-8")
    found = read_documents(tmp_path / "a.txt", str(tmp_path / "b.jsonl"), tmp_path / "c.txt")
    assert list(found) == ["first\nfile é", "one\ntwo", "", "x\u2028y", ""]
    (tmp_path / "d.jsonl").write_text('{"body": "z"}\n', encoding="utf-8")
    assert list(read_documents(tmp_path / "d.jsonl", field="body")) == ["z"]


@pytest.mark.parametrize(
    "raw", [b"a\n\xc3\xa9\n", b"\xef\xbb\xbfa\n\xc3\xa9\n", b"a\r\n\xc3\xa9\r\n", b"a\r\xc3\xa9\r"]
)
@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x.jsonl", "x.jsonl.gz"])
def test_line_ends_byte_order_marks_and_compression_leave_no_trace(raw, name, tmp_path):
    if "jsonl" in name:
        mark = raw[:3] if raw.startswith(b"\xef\xbb\xbf") else b""
        raw = mark + json.dumps({"text": raw.decode("utf-8-sig")}).encode() + b"\r\n"
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    corpus = Corpus.from_files(tmp_path / name)
    assert corpus.text == "a\né\n" and corpus.name == name and corpus.source == str(tmp_path / name)
    assert corpus.sha256 == hashlib.sha256("a\né\n".encode()).hexdigest()


def test_folders_and_patterns(tmp_path):
    for name in ("b.txt", "a.md", "deep/c.txt", "ignored.py", ".hidden.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert list(read_documents(tmp_path)) == ["a.md", "b.txt", "deep/c.txt"]
    assert list(read_documents(tmp_path / "*.txt", tmp_path / "b.txt")) == ["b.txt"]  # each once
    assert list(read_documents(str(tmp_path / "**" / "*.py"))) == ["ignored.py"]
    assert Corpus.from_files(tmp_path).text == "a.md\n\nb.txt\n\ndeep/c.txt"
    (tmp_path / "odd [1].txt").write_text("odd", encoding="utf-8")  # a name that could be a pattern
    assert list(read_documents(tmp_path / "odd [1].txt")) == ["odd"]


UNREADABLE = [
    ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl, line 2 is no JSON with a string 'text'"),
    ("a.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "a.jsonl, line 2 .*KeyError"),
    ("a.jsonl", b'{"text": 5}\n', "a.jsonl, line 1 is no JSON with a string 'text'"),
    ("a.jsonl", b'{"text": null}\n', "a.jsonl, line 1 is no JSON with a string 'text'"),
    ("a.jsonl", b"[1]\n", "a.jsonl, line 1 is no JSON"),
    ("a.jsonl", b"[" * 100_000 + b"\n", "a.jsonl, line 1 is no JSON .*RecursionError"),
    ("a.jsonl", b'{"text": "\xff"}\n', "a.jsonl, line 1 is no JSON"),
    ("a.txt", b"abc\xff", "a.txt is no UTF-8 .*position 3"),
    ("a.txt", "abc".encode("utf-16"), "a.txt is no UTF-8 .*position 0"),
    ("a.txt.gz", b"abc", "a.txt.gz cannot be read: Not a gzipped file"),
    ("a.txt.gz", gzip.compress(b"abc" * 99, mtime=0)[:-4], "a.txt.gz cannot be read: Compressed file ended"),
    ("a.txt.gz", gzip.compress(b"abc" * 99, mtime=0)[:12] + b"\xff" * 30, "a.txt.gz cannot be read"),
    ("a.txt", b"", "there is no text in it"),
    ("a.txt", b"\xef\xbb\xbf\r\n \n", "there is no text in it"),
    ("a.jsonl", b"\n\n", "there is no text in it"),
]


@pytest.mark.parametrize(("name", "content", "message"), UNREADABLE)
def test_documents_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=message) as caught:
        Corpus.from_files(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_paths_that_name_no_text(tmp_path):
    (tmp_path / "folder").mkdir()
    for paths, message in (
        ([], "no file is named"),
        ([tmp_path / "nowhere.txt"], "nowhere.txt does not exist, and is no pattern that fits a file"),
        ([tmp_path / "*.txt"], "does not exist, and is no pattern"),
        ([tmp_path / "folder"], "folder holds no file that ends in .txt"),
    ):
        with pytest.raises(TextError, match=message):
            Corpus.from_files(*paths)
