"""Python source as a corpus: the files that are installed, without copies, as token shards.

A document is a file. It is kept when it is UTF-8, of at most 500,000 bytes, parses, is no copy of another
one, and at least a fifth of its lines stand in no document before it. Documents are in the order of their
SHA-256, which depends on nothing but their text; those whose SHA-256 begins with a small byte are the
validation part: a tenth of the standard library, a fiftieth of all.
"""

import ast
import hashlib
import os
import platform
import sys
import sysconfig
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from gptlib.bpe import END_OF_TEXT, learn_merges
from gptlib.shards import TokenShards, ids_of, separator, write_encoded
from gptlib.tokenizer import BPETokenizer, Tokenizer, load_tokenizer
from tools.files import write_json

LARGEST = 500_000  # bytes of a file; longer ones are tables rather than programs
VAL = {"stdlib": 26, "installed": 5}  # of the 256 first bytes of a SHA-256
NEW_LINES = 0.2  # the least share of a document's lines that no earlier document has
VOCAB = 4096


def standard_library() -> list[Path]:
    """The folder of the standard library's source."""
    return [Path(sysconfig.get_paths()["stdlib"])]


def installed() -> list[Path]:
    """The folders that packages are imported from, the standard library's included."""
    places = [Path(p).resolve() for p in [*sysconfig.get_paths().values(), *sys.path] if p]
    packages = [p for p in places if p.name in ("site-packages", "dist-packages") and p.is_dir()]
    return list(dict.fromkeys([*standard_library(), *packages]))


def files_below(folder: Path) -> list[Path]:
    """The Python files of a folder, without packages that are installed below the standard library."""
    found = []
    for place, inside, names in os.walk(folder):
        inside[:] = [d for d in inside if d not in ("site-packages", "dist-packages", "__pycache__")]
        found += [Path(place, name) for name in names if name.endswith(".py")]
    return found


def parses(text: str) -> bool:
    """Whether this Python can parse the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(ast.parse(text).body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False


def document_of(path: Path) -> tuple[str, str] | None:
    """SHA-256 and text of a file; None for one that is no document."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"
    except (OSError, UnicodeDecodeError):
        return None
    if not 0 < len(raw) <= LARGEST or not parses(text):
        return None
    return hashlib.sha256(text.encode()).hexdigest(), text


def lines_of(text: str) -> set[int]:
    """The lines that tell a document from others, by hash: no blank ones, no indentation."""
    return {hash(line) for line in map(str.strip, text.split("\n")) if len(line) > 3}


def without_copies(documents: dict[str, str]) -> dict[str, str]:
    """The documents in the order of their hashes, without those whose lines stand in earlier ones."""
    seen, kept = set(), {}
    for sha in sorted(documents):
        lines = lines_of(documents[sha])
        if lines and len(lines - seen) >= NEW_LINES * len(lines):
            kept[sha] = documents[sha]
            seen |= lines
    return kept


def is_val(sha: str, name: str) -> bool:
    """Whether the document with this SHA-256 belongs to the validation part of that set."""
    return int(sha[:2], 16) < VAL[name]


def learned_tokenizer(documents: dict[str, str], characters: int) -> Tokenizer:
    """Byte-pair encoding of the first training documents, with `<|endoftext|>` as its last token."""
    texts, length = [], 0
    for sha, text in documents.items():
        if length < characters and not is_val(sha, "stdlib"):
            texts.append(text)
            length += len(text)
    return BPETokenizer(learn_merges("\n".join(texts), VOCAB - 257), special=[END_OF_TEXT])


@cache
def opened(path: str) -> Tokenizer:
    """A tokenizer, read once in each process."""
    return load_tokenizer(path)


def encoded(job: tuple[str, str]) -> tuple[np.ndarray, int]:
    """A document's ids and its length; `job` is the tokenizer's path and the text."""
    path, text = job
    return ids_of(text, opened(path), "a file").astype(np.uint16), len(text)


def write_set(name: str, documents: dict[str, str], out: Path, pool) -> None:
    """Encode the documents by all processes and write the two parts of a set of shards."""
    path = out / "tokenizer.json"
    tokenizer = load_tokenizer(path)
    between = separator(tokenizer)
    for part in ("val", "train"):
        texts = [text for sha, text in documents.items() if is_val(sha, name) == (part == "val")]
        found = pool.map(encoded, [(str(path), text) for text in texts], chunksize=32)
        rows = ((np.concatenate([between, ids.astype(np.int64)]), length) for ids, length in found)
        write_encoded(rows, out / name / part, tokenizer)


def write_corpus(out: Path, tiny: bool = False) -> dict:
    """Two sets of shards below `out`: the standard library, all that is installed. Returns a manifest."""
    out.mkdir(parents=True, exist_ok=True)
    began, record = time.perf_counter(), {"python": platform.python_version(), "vocab_size": VOCAB}
    with ProcessPoolExecutor(min(24, os.cpu_count()), mp_context=get_context("spawn")) as pool:
        for name, folders in (("stdlib", standard_library()), ("installed", installed())):
            paths = sorted(path for folder in folders for path in files_below(folder))
            paths = paths[:: len(paths) // 60] if tiny else paths
            read = list(pool.map(document_of, paths, chunksize=32))
            found = dict(document for document in read if document)
            documents = without_copies(found)
            spent = time.perf_counter() - began
            print(f"{spent:4.0f} s: {name}: {len(documents)} of {len(paths)} files", flush=True)
            if name == "stdlib":
                tokenizer = learned_tokenizer(documents, 400_000 if tiny else 4_000_000)
                tokenizer.save(out / "tokenizer.json")
                print(f"{time.perf_counter() - began:4.0f} s: {tokenizer.vocab_size} tokens", flush=True)
            write_set(name, documents, out, pool)
            record[name] = {
                "files": len(paths),
                "parsed": sum(document is not None for document in read),
                "without equal ones": len(found),
                "documents": len(documents),
                "bytes": sum(len(text.encode()) for text in documents.values()),
                "sha256": hashlib.sha256("".join(documents).encode()).hexdigest(),  # of the hashes, in order
                **{part: described(out / name / part) for part in ("train", "val")},
            }
            print(f"{time.perf_counter() - began:4.0f} s: {record[name]}", flush=True)
    record["tokenizer"] = tokenizer.fingerprint
    write_json(out / "manifest.json", record)
    return record


def described(folder: Path) -> dict:
    """What a set of shards holds, and the hash of its manifest."""
    shards = TokenShards(folder)
    sha = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    return {"tokens": len(shards), "characters": shards.characters, "manifest": sha}
