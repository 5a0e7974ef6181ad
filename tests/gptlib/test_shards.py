"""Token shards on disk: written whole or not at all, read as one sequence, damage named."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib.data import Batches, read_documents
from gptlib.shards import ShardError, TokenShards, write_shards
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer

CHARACTERS = CharTokenizer("abcdefgh \n")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcdefgh \n", max_size=30), min_size=1, max_size=6), st.integers(1, 20))
def test_shards_hold_the_documents(tmp_path_factory, documents, shard_tokens):
    folder = tmp_path_factory.mktemp("shards") / "set"
    text = "".join(documents)
    if not text:
        with pytest.raises(ShardError, match="no text"):
            write_shards(documents, folder, CHARACTERS, shard_tokens)
        assert not folder.exists()
        return
    write_shards(iter(documents), folder, CHARACTERS, shard_tokens)
    shards = TokenShards(folder, CHARACTERS)
    ids = CHARACTERS.encode(text)
    assert len(shards) == len(ids)
    assert shards[:].tolist() == ids and shards[:].dtype == torch.int64
    for a, b in [(0, 1), (3, 17), (-5, None), (5, 2), (len(ids) - 1, len(ids) + 9)]:
        assert shards[a:b].tolist() == ids[a:b]
    sizes = [
        entry["tokens"]
        for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["shards"]
    ]
    assert all(size == shard_tokens for size in sizes[:-1]) and 0 < sizes[-1] <= shard_tokens


def test_manifest_and_separator(tmp_path):
    tokenizer = BPETokenizer.gpt2()
    write_shards(["Hello", " world", ""], tmp_path / "set", tokenizer, shard_tokens=2)
    assert TokenShards(tmp_path / "set")[:].tolist() == [15496, 50256, 995, 50256]
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["dtype"] == "uint16" and manifest["vocab_size"] == 50257
    assert manifest["tokenizer"] == tokenizer.fingerprint
    raw = (tmp_path / "set" / "shard_00001.bin").read_bytes()
    assert np.frombuffer(raw, "<u2").tolist() == [995, 50256]
    assert manifest["shards"][1] == {
        "file": "shard_00001.bin",
        "tokens": 2,
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    assert files(tmp_path) == ["set/manifest.json", "set/shard_00000.bin", "set/shard_00001.bin"]


class Made(Tokenizer):
    """A tokenizer that gives the ids that are written in the text."""

    def __init__(self, vocab_size):
        self.vocab_size = vocab_size

    def encode(self, text):
        return [int(word) for word in text.split()]

    def decode_bytes(self, ids):
        return " ".join(map(str, ids)).encode()

    def spec(self):
        return {"kind": "made"}


def files(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(65_536, "uint16"), (65_537, "uint32"), (200_000, "uint32")]
)
def test_dtype_follows_the_vocabulary(tmp_path, vocab_size, dtype):
    write_shards([f"0 {vocab_size - 1}"], tmp_path / "set", Made(vocab_size))
    assert TokenShards(tmp_path / "set")[:].tolist() == [0, vocab_size - 1]
    assert json.loads((tmp_path / "set" / "manifest.json").read_text(encoding="utf-8"))["dtype"] == dtype


def test_batches_from_shards_equal_batches_from_memory(tmp_path):
    ids = torch.randint(0, 10, (500,), generator=torch.Generator().manual_seed(0))
    write_shards([CHARACTERS.decode(ids)], tmp_path / "set", CHARACTERS, shard_tokens=37)
    shards, memory = Batches(TokenShards(tmp_path / "set"), 8, 50), Batches(ids, 8, 50)
    for step in range(5):
        for from_disk, from_memory in zip(shards.at(step), memory.at(step), strict=True):
            assert torch.equal(from_disk, from_memory) and from_disk.dtype == torch.int64


def test_only_spans_without_gaps(tmp_path):
    write_shards(["abc"], tmp_path / "set", CHARACTERS)
    with pytest.raises(ValueError, match="step=2"):
        TokenShards(tmp_path / "set")[::2]


def test_a_large_set_needs_little_memory(tmp_path):
    """Batches from a sparse 256 MB shard, in a process of its own that measures its anonymous memory."""
    folder = tmp_path / "set"
    write_shards(["a"], folder, CHARACTERS)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    size, digest = 1 << 28, hashlib.sha256()
    os.truncate(folder / "shard_00000.bin", 0)
    os.truncate(folder / "shard_00000.bin", size)
    for _ in range(64):
        digest.update(bytes(size // 64))
    manifest["shards"][0] |= {"tokens": size // 2, "sha256": digest.hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code = f"""
import re
from gptlib.data import Batches
from gptlib.shards import TokenShards
def anonymous():
    with open("/proc/self/status", encoding="utf-8") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+)", status.read())[1]) // 1024
before = anonymous()
batches = Batches(TokenShards({str(folder)!r}), 32, 256)
for step in range(50):
    batches.at(step)
print(anonymous() - before)
"""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc here to read the memory from")
    grown = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert grown < 100


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: flip(f / "shard_00001.bin", 3), "shard_00001.bin is damaged.*SHA-256"),
        (lambda f: os.truncate(f / "shard_00001.bin", 5), "shard_00001.bin has 5 of 8 bytes"),
        (lambda f: (f / "shard_00000.bin").unlink(), "shard_00000.bin is missing"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{", encoding="utf-8"), "manifest.json is damaged"),
        (
            lambda f: (f / "manifest.json").write_text('{"dtype": "uint16"}', encoding="utf-8"),
            "manifest.json is damaged",
        ),
    ],
)
def test_damaged_shards_are_named(tmp_path, damage, message):
    folder = tmp_path / "set"
    write_shards(["abcdefgh"], folder, CHARACTERS, shard_tokens=4)
    damage(folder)
    with pytest.raises(ShardError, match=message):
        TokenShards(folder)


def test_shards_of_another_tokenizer(tmp_path):
    write_shards(["abc"], tmp_path / "set", CHARACTERS)
    with pytest.raises(ShardError, match=f"{CHARACTERS.fingerprint}, not {ByteTokenizer().fingerprint}"):
        TokenShards(tmp_path / "set", ByteTokenizer())


def test_ids_outside_the_vocabulary(tmp_path):
    with pytest.raises(ShardError, match="document 1 has token id 5, outside 0 … 4"):
        write_shards(["0 4", "1 5 2"], tmp_path / "set", Made(5))
    with pytest.raises(ShardError, match="document 0 has token id -1, outside 0 … 4"):
        write_shards(["4 -1"], tmp_path / "set", Made(5))
    assert files(tmp_path) == [] and list(tmp_path.iterdir()) == []
    write_shards(["0 4"], tmp_path / "set", Made(5))
    manifest = tmp_path / "set" / "manifest.json"
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('"vocab_size": 5', '"vocab_size": 4'), encoding="utf-8"
    )
    with pytest.raises(ShardError, match="shard_00000.bin has token id 4, vocab_size is 4"):
        TokenShards(tmp_path / "set")


def test_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "set"
    write_shards(["abc"], folder, CHARACTERS)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ShardError, match="nothing was overwritten"):
        write_shards(["defg"], folder, CHARACTERS)
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    with pytest.raises(ShardError, match="nothing was overwritten"):
        write_shards(["defg"], tmp_path / "file", CHARACTERS)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "set"]


def test_a_failing_source_leaves_nothing(tmp_path):
    def documents():
        yield "abc"
        raise RuntimeError("the disk of the documents is gone")

    with pytest.raises(RuntimeError, match="documents is gone"):
        write_shards(documents(), tmp_path / "set", CHARACTERS)
    assert list(tmp_path.iterdir()) == []


# Forks a writer for each moment: it is killed just before its n-th operation on files.
KILLED_AT_EVERY_MOMENT = """
import os, shutil, signal, sys
from pathlib import Path
from gptlib.shards import ShardError, TokenShards, write_shards
from gptlib.tokenizer import CharTokenizer

folder, letters = Path(sys.argv[1]), CharTokenizer("abc")
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}

def write_until(moment):
    seen = 0
    def count(event, arguments):
        nonlocal seen
        if event in OPERATIONS:
            seen += 1
            if seen > moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    try:
        write_shards(["abc", "cab", "bca"], folder / "set", letters, 4)
    except ShardError as error:
        os._exit(2 if "nothing was overwritten" in str(error) else 1)
    os._exit(0)

for moment in range(200):
    child = os.fork()
    if child == 0:
        write_until(moment)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if (folder / "set").exists():
        found = "".join(letters.decode(TokenShards(folder / "set", letters)[:]))
    else:
        found = "none"
    print(status, found)
    if status >= 0:
        break
    if sys.argv[2] == "anew":
        for left in folder.iterdir():
            assert left.name == "set" or left.name.startswith(".set.") and left.suffix == ".tmp", left
            shutil.rmtree(left)
"""


def killed_at_every_moment(folder, before):
    """(exit status, text of the set or "none") for each moment; the last writer was not killed."""
    command = [sys.executable, "-c", KILLED_AT_EVERY_MOMENT, str(folder), before]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [(int(line.split()[0]), line.split()[1]) for line in done.stdout.splitlines()]


needs_sigkill = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has neither fork nor SIGKILL"
)


@needs_sigkill
def test_a_killed_writer_leaves_the_complete_set_or_none(tmp_path):
    *killed, (status, last) = killed_at_every_moment(tmp_path, "anew")
    assert (status, last) == (0, "abccabbca")
    assert len(killed) > 10 and {status for status, _ in killed} == {-signal.SIGKILL}
    assert {found for _, found in killed} <= {"none", "abccabbca"} and killed[0][1] == "none"


@needs_sigkill
def test_a_killed_writer_leaves_the_old_set(tmp_path):
    write_shards(["cccc"], tmp_path / "set", CharTokenizer("abc"))
    *killed, (status, last) = killed_at_every_moment(tmp_path, "old")
    assert (status, last) == (2, "cccc")
    assert killed and all(found == (-signal.SIGKILL, "cccc") for found in killed)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path):
    """Not even when the next writer has its process number: the tokens are not appended to the old ones."""
    left = tmp_path / f".set.{os.getpid()}.tmp"
    left.mkdir()
    (left / "shard_00000.bin").write_bytes(b"half a shard")
    (left / "shard_00009.bin").write_bytes(b"another")
    write_shards(["abc"], tmp_path / "set", CHARACTERS)
    assert TokenShards(tmp_path / "set")[:].tolist() == CHARACTERS.encode("abc")
    assert files(tmp_path) == ["set/manifest.json", "set/shard_00000.bin"]


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    """In the shards it is always noticed; in the manifest it may fall where nothing depends on it."""
    folder = tmp_path / "set"
    write_shards(["abcdefgh\n", "bad"], folder, CHARACTERS, shard_tokens=5)
    right, silent = TokenShards(folder, CHARACTERS)[:].tolist(), set()
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        for bit in range(8 * len(sound)):
            damaged = bytearray(sound)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            try:
                assert TokenShards(folder, CHARACTERS)[:].tolist() == right
                silent.add(path.name)
            except ShardError as error:
                assert "\n" not in str(error) and str(folder) in str(error)
        path.write_bytes(sound)
    assert silent <= {"manifest.json"}


@pytest.mark.parametrize("shard_tokens", [0, -3])
def test_shards_without_room_are_refused(tmp_path, shard_tokens):
    with pytest.raises(ValueError, match=f"shard_tokens={shard_tokens} must be a whole number of at least 1"):
        write_shards(["abc"], tmp_path / "set", CHARACTERS, shard_tokens)
    assert list(tmp_path.iterdir()) == []


def test_a_separator_in_the_text_is_no_separator(tmp_path):
    tokenizer = BPETokenizer.gpt2()
    write_shards(["a<|endoftext|>b", "c"], tmp_path / "set", tokenizer)
    ids = TokenShards(tmp_path / "set")[:].tolist()
    assert ids.count(50256) == 1 and tokenizer.decode(ids) == "a<|endoftext|>b<|endoftext|>c"


# --- documents


def test_documents_stream(tmp_path):
    """A document is asked for when the one before is on the disk, and the reader reads no further."""
    path, sizes = tmp_path / "a.jsonl", []
    path.write_text('{"text": "abc"}\n' * 4 + "not reached\n" * 500_000, encoding="utf-8")
    tracemalloc.start()

    def watched():
        for document in islice(read_documents(path), 4):
            sizes.append(sum(p.stat().st_size for p in tmp_path.glob(".set.*.tmp/*.bin")))
            yield document

    write_shards(watched(), tmp_path / "set", CHARACTERS, shard_tokens=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [0, 6, 12, 18] and peak < path.stat().st_size / 4


def test_a_document_that_cannot_be_encoded_is_named(tmp_path):
    with pytest.raises(ShardError, match="document 1 cannot be encoded: unknown character 'X'"):
        write_shards(["abc", "abXc"], tmp_path / "set", CHARACTERS)
    assert list(tmp_path.iterdir()) == []


def test_the_writer_shows_its_progress(tmp_path):
    code = (
        "import sys; from gptlib.shards import write_shards; from gptlib.tokenizer import ByteTokenizer\n"
        "write_shards(['a', 'b', 'c'], sys.argv[1], ByteTokenizer())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    command = [sys.executable, "-c", code, str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "writing shards: 100%" in done.stderr and "3/3" in done.stderr and done.stdout == ""
