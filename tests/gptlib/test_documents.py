"""Documents of files: every kind, what is refused; shards of them by several processes, also after a kill."""

import gzip
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gptlib.data import TextError
from gptlib.documents import Piece, document_files, documents_in, pieces_of
from gptlib.parts import shard_files
from gptlib.shards import ShardError, TokenShards
from gptlib.tokenizer import ByteTokenizer

TEXTS = ["To be,\r\nor not to be", "that is the question", "Whether 'tis nobler"]
CLEAN = [text.replace("\r\n", "\n") for text in TEXTS]


def parquet(path, texts=TEXTS, column="text", rows=2):
    """A Parquet file as FineWeb's: a column of strings beside others, in several row groups."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {column: texts, "url": ["https://example.org"] * len(texts), "score": [1.0] * len(texts)}
    )
    pq.write_table(table, path, row_group_size=rows)
    return path


def zst(path, data: bytes):
    pa = pytest.importorskip("pyarrow")
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(data)
    return path


def lines(texts=TEXTS) -> bytes:
    return "\n".join(json.dumps({"text": text}) for text in texts).encode()


def test_text_and_lines_are_read_as_for_training(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXTS[0].encode())
    (tmp_path / "b.jsonl").write_bytes(lines())
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines()))
    pieces = pieces_of([tmp_path])
    assert [p.path.name for p in pieces] == ["a.txt", "b.jsonl", "c.jsonl.gz"]
    assert [list(documents_in(p)) for p in pieces] == [CLEAN[:1], CLEAN, CLEAN]


def test_parquet_is_read_by_row_groups(tmp_path):
    path = parquet(tmp_path / "000_00000.parquet")
    pieces = pieces_of([tmp_path])
    assert pieces == [Piece(path, 0), Piece(path, 1)] and "row group 1" in str(pieces[1])
    assert [list(documents_in(p)) for p in pieces] == [CLEAN[:2], CLEAN[2:]]


def test_zstandard(tmp_path):
    zst(tmp_path / "a.txt.zst", TEXTS[0].encode())
    zst(tmp_path / "b.jsonl.zst", lines())
    assert [list(documents_in(p)) for p in pieces_of([tmp_path])] == [CLEAN[:1], CLEAN]


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.jsonl.zst", b"no zstandard at all", "cannot be read"),
        ("a.parquet", b"no parquet", "cannot be read"),
        ("a.jsonl", b'{"txt": "b"}', "no JSON with a string 'text'"),
        ("a.txt", b"\xff\xfe\xff", "no UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, data, word):
    if name.endswith((".zst", ".parquet")):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TextError, match=word) as error:
        [list(documents_in(p)) for p in pieces_of([tmp_path / name])]
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = parquet(tmp_path / "a.parquet", column="content")
    with pytest.raises(TextError, match="no column 'text': name one of content, url, score"):
        list(documents_in(pieces_of([path])[0]))
    assert list(documents_in(pieces_of([path])[0], "content")) == CLEAN[:2]


def test_without_pyarrow_the_remedy_is_said(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    for name in ("pyarrow", "pyarrow.parquet"):  # the second is kept once another test has imported it
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TextError, match="needs pyarrow: pip install pyarrow"):
        pieces_of([tmp_path])


def test_nothing_to_read_is_refused(tmp_path):
    with pytest.raises(TextError, match="holds no file"):
        document_files([tmp_path])
    with pytest.raises(TextError, match="does not exist"):
        document_files([tmp_path / "x"])
    with pytest.raises(TextError, match="no file is named"):
        pieces_of([])


# --- files to shards


def files(folder, n=5, each=40):
    """Files of numbered documents."""
    folder.mkdir()
    for k in range(n):
        texts = [f"<{k * each + i}>" + "x" * (i % 7) for i in range(each)]
        (folder / f"{k}.jsonl").write_bytes(lines(texts))
    return folder


def documents_of(folder) -> list[str]:
    """The documents in a set, in their order."""
    text = bytes(TokenShards(folder, ByteTokenizer())[:].tolist()).decode()
    return ["<" + part for part in text.split("<")[1:]]


@pytest.mark.parametrize("processes", [1, 2])
def test_each_document_is_in_one_of_the_two_sets(tmp_path, processes):
    shard_files(
        [files(tmp_path / "in")], tmp_path / "set", ByteTokenizer(), val_fraction=0.1, processes=processes
    )
    train, val = (documents_of(tmp_path / "set" / name) for name in ("train", "val"))
    assert (len(train), len(val)) == (180, 20) and len({*train, *val}) == 200
    numbers = [int(document[1 : document.index(">")]) for document in train]
    assert numbers != sorted(numbers) and sorted(p.name for p in tmp_path.iterdir()) == ["in", "set"]


def test_the_seed_decides_the_order(tmp_path):
    files(tmp_path / "in")
    orders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None)):
        shard_files([tmp_path / "in"], tmp_path / name, ByteTokenizer(), seed=seed)
        orders.append(documents_of(tmp_path / name / "train"))
    assert (
        orders[0] == orders[1] != orders[2]
        and sorted(orders[3], key=lambda d: int(d[1 : d.index(">")])) == orders[3]
    )


def test_characters_are_counted(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(["ää", "ö", "x"]))
    shard_files([tmp_path / "a.jsonl"], tmp_path / "set", ByteTokenizer(), val_fraction=0.4)
    train, val = (TokenShards(tmp_path / "set" / name) for name in ("train", "val"))
    assert train.characters + val.characters == 4 and len(train) + len(val) == 7


def test_parts_of_another_job_are_refused(tmp_path):
    files(tmp_path / "in")
    (tmp_path / ".set.parts").mkdir()
    (tmp_path / ".set.parts" / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ShardError, match="holds parts of other files"):
        shard_files([tmp_path / "in"], tmp_path / "set", ByteTokenizer())


@pytest.mark.parametrize(
    ("what", "word"),
    [
        (dict(val_fraction=0.0), "val_fraction=0.0 must lie between 0 and 1"),
        (dict(val_fraction=1.0), "val_fraction=1.0"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, what, word):
    with pytest.raises(ShardError, match=word):
        shard_files([files(tmp_path / "in")], tmp_path / "set", ByteTokenizer(), **what)
    assert not (tmp_path / "set").exists()


def test_one_document_is_too_few(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(["a", ""]))
    with pytest.raises(ShardError, match="1 documents that are not empty"):
        shard_files([tmp_path / "a.jsonl"], tmp_path / "set", ByteTokenizer())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_call_goes_on_where_it_was(tmp_path):
    files(tmp_path / "in", n=40, each=300)
    command = [sys.executable, "-m", "gptlib", "shards", "in", "--out", "set", "--tokenizer", "byte"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    parts, end = tmp_path / ".set.parts", time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None and len(list(parts.glob("0*"))) < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {p.name: p.stat().st_mtime_ns for p in parts.glob("0*")}
    if (tmp_path / "set").exists():
        pytest.skip("it was done before the kill came")
    assert before
    shard_files([tmp_path / "in"], tmp_path / "again", ByteTokenizer())
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for name in ("train", "val"):
        assert np.array_equal(
            TokenShards(tmp_path / "set" / name)[:], TokenShards(tmp_path / "again" / name)[:]
        )
    assert not parts.exists()
