import hashlib
import json
import logging
import os
import shutil
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from tqdm.auto import tqdm

from gptlib.tokenizer import END_OF_TEXT

HERE = Path(__file__).parent if "__file__" in globals() else Path()  # the package, or a notebook's folder
DATA = HERE.resolve().parent / "data"
CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/master"
TINYSHAKESPEARE_URL = f"{CHAR_RNN}/data/tinyshakespeare/input.txt"
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

log = logging.getLogger("gptlib.data")


@dataclass(frozen=True)
class Corpus:
    """A text, the SHA-256 of its UTF-8 bytes, and where it came from: a path or an address."""

    name: str
    text: str
    sha256: str
    source: str


def load_corpus(name: str = "tinyshakespeare") -> Corpus:
    """TinyShakespeare (1,115,394 characters), or the embedded plays when it cannot be had.

    Looked for in `data/tinyshakespeare`, in `$GPTLIB_DATA/tinyshakespeare`, then downloaded into `data/`.
    With neither, the corpus named "plays" (`data/plays`) stands in and a warning is logged.
    ValueError for another name, and for a file whose SHA-256 is not the published one.
    """
    if name == "plays":
        return read_plays()
    if name != "tinyshakespeare":
        raise ValueError(f"unknown corpus {name!r}: choose 'tinyshakespeare' or 'plays'")
    folders = [DATA] + ([Path(os.environ["GPTLIB_DATA"])] if os.environ.get("GPTLIB_DATA") else [])
    for folder in folders:
        path = folder / "tinyshakespeare" / "input.txt"
        if path.exists():
            return read_tinyshakespeare(path, source=str(path))
    target = DATA / "tinyshakespeare" / "input.txt"
    try:
        download(TINYSHAKESPEARE_URL, target, TINYSHAKESPEARE_SHA256)
    except (OSError, HTTPException) as error:
        log.warning("TinyShakespeare could not be downloaded (%s): the embedded plays stand in for it", error)
        return read_plays()
    return read_tinyshakespeare(target, source=TINYSHAKESPEARE_URL)


def read_tinyshakespeare(path: Path, source: str) -> Corpus:
    """Read the file and hold it against the published SHA-256."""
    raw = path.read_bytes()
    sha256, expected = hashlib.sha256(raw).hexdigest(), TINYSHAKESPEARE_SHA256
    if sha256 != expected:
        raise ValueError(f"{path}: SHA-256 {sha256[:12]}…, expected {expected[:12]}…: delete it, try again")
    return Corpus("tinyshakespeare", raw.decode(), sha256, source)


def read_plays() -> Corpus:
    """The embedded stand-in: public-domain plays in TinyShakespeare's form and characters."""
    path = DATA / "plays" / "input.txt"
    raw = path.read_bytes()
    return Corpus("plays", raw.decode(), hashlib.sha256(raw).hexdigest(), str(path))


def download(url: str, target: Path, sha256: str) -> None:
    """Fetch `url` into `target`: temporary file, checksum, rename. OSError or HTTPException if it fails."""
    with urllib.request.urlopen(url, timeout=10) as response:
        raw = response.read()
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise OSError(f"{url} gave SHA-256 {found[:12]}…, expected {sha256[:12]}…")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    temporary.write_bytes(raw)
    os.replace(temporary, target)

def split(tokens, val_fraction: float = 0.1):
    """(train, val): the first and the last part of `tokens`, without shuffling.

    `split(range(10), 0.2)` is `(range(0, 8), range(8, 10))`. ValueError for a fraction outside (0, 1).
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
    cut = int(len(tokens) * (1 - val_fraction))
    return tokens[:cut], tokens[cut:]

class Batches:
    """Random windows of `tokens`, as a pure function of (seed, step).

    `at(step)` gives inputs x and targets y, both int64 [batch_size / world_size, block_size]: y[b, t] is the
    token that follows x[b, t]. With world_size = n, the n ranks hold n equal slices of the batch that one
    process would draw. `tokens` is a list, an array, a tensor or TokenShards; the batch lies on its device.
    """

    def __init__(
        self, tokens, batch_size: int, block_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ):
        if len(tokens) <= block_size:
            raise ValueError(
                f"{len(tokens)} tokens are too few for block_size={block_size}: a window and its shifted "
                f"targets need {block_size + 1}; take a longer text or a smaller block_size"
            )
        if batch_size % world_size:
            raise ValueError(f"batch_size={batch_size} is not divisible by world_size={world_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} is outside 0 … {world_size - 1}")
        if not isinstance(tokens, (Tensor, TokenShards)):
            tokens = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
        self.tokens = tokens
        self.batch_size, self.block_size, self.seed = batch_size, block_size, seed
        self.rank, self.world_size = rank, world_size

    def offsets(self, step: int) -> np.ndarray:
        """Where this rank's windows start at this step: int64 [batch_size / world_size]."""
        rng = np.random.default_rng([self.seed, step])
        starts = rng.integers(0, len(self.tokens) - self.block_size, size=self.batch_size)
        return np.split(starts, self.world_size)[self.rank]

    def at(self, step: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Inputs and targets of one step."""
        starts = self.offsets(step)
        if isinstance(self.tokens, TokenShards):  # read from disk, one window after the other
            chunk = torch.stack([self.tokens[i : i + self.block_size + 1] for i in starts.tolist()])
        else:
            window = np.arange(self.block_size + 1)
            indices = torch.from_numpy(starts[:, None] + window).to(self.tokens.device)
            chunk = self.tokens[indices].long()  # [B, T+1]
        return chunk[:, :-1], chunk[:, 1:]

class ShardError(ValueError):
    """Token shards that cannot be written or read; the message names the file and the reason."""


def write_shards(documents, folder, tokenizer, shard_tokens: int = 1 << 24) -> None:
    """Encode `documents`, any iterable of strings, into files of at most `shard_tokens` tokens each.

    The folder gets `shard_00000.bin`, … (uint16, or uint32 for a large vocabulary) and `manifest.json`:
    dtype, vocabulary size, the tokenizer's fingerprint, length and SHA-256 of every shard. `<|endoftext|>`
    separates documents where the tokenizer has it. Everything is written under a temporary name and renamed
    at the end: the folder is complete or absent. ShardError when it is not empty, or a token id too large.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ShardError(f"{folder} exists and is not empty: nothing was overwritten; choose another folder")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    vocab_size = tokenizer.vocab_size
    dtype = "uint16" if vocab_size <= 1 << 16 else "uint32"
    try:
        temporary.mkdir(parents=True)
        shards: list[dict] = []
        for ids in encoded(documents, tokenizer):
            while len(ids):
                if not shards or shards[-1]["tokens"] == shard_tokens:
                    shards.append({"file": f"shard_{len(shards):05d}.bin", "tokens": 0})
                part, ids = np.split(ids, [shard_tokens - shards[-1]["tokens"]])
                with open(temporary / shards[-1]["file"], "ab") as file:
                    file.write(part.astype(dtype).tobytes())
                shards[-1]["tokens"] += len(part)
        if not shards:
            raise ShardError(f"no text to write into {folder}: give at least one document that is not empty")
        for shard in shards:
            shard["sha256"] = sha256_of(temporary / shard["file"])
        manifest = dict(dtype=dtype, vocab_size=vocab_size, tokenizer=tokenizer.fingerprint, shards=shards)
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def encoded(documents, tokenizer):
    """Yield each document's ids, int64 [n], with the separator before all but the first."""
    special, vocab_size, separator = getattr(tokenizer, "special", []), tokenizer.vocab_size, []
    for number, document in enumerate(tqdm(documents, desc="writing shards", unit="document")):
        ids = np.array(separator + tokenizer.encode(document), dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise ShardError(f"document {number} has token id {ids.max()}, outside 0 … {vocab_size - 1}")
        yield ids
        if END_OF_TEXT in special:
            separator = [vocab_size - len(special) + special.index(END_OF_TEXT)]


class TokenShards:
    """The tokens of a folder that `write_shards` made: `len(shards)`, and `shards[a:b]` as int64 [b - a].

    The files stay on disk and are mapped into memory, so a set larger than the memory can be read. Opening
    holds every shard against the manifest. ShardError names what is missing, cut off or damaged, and refuses
    a set made by another tokenizer than `tokenizer`, if that is given.
    """

    device = torch.device("cpu")

    def __init__(self, folder, tokenizer=None):
        path = Path(folder) / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            dtype, vocab_size = np.dtype(manifest["dtype"]), manifest["vocab_size"]
            made_by = manifest["tokenizer"]
            shards = [(path.with_name(s["file"]), s["tokens"], s["sha256"]) for s in manifest["shards"]]
        except FileNotFoundError:
            raise ShardError(f"{path} is missing: make the folder with write_shards") from None
        except (ValueError, LookupError, TypeError) as error:
            raise ShardError(f"{path} is damaged ({error!r}): write the shards anew") from None
        if tokenizer is not None and tokenizer.fingerprint != made_by:
            raise ShardError(f"{path} was made by tokenizer {made_by}, not {tokenizer.fingerprint}")
        self.maps = [open_shard(*shard, dtype, vocab_size) for shard in shards]

    def __len__(self) -> int:
        return sum(len(tokens) for tokens in self.maps)

    def __getitem__(self, span: slice) -> Int[Tensor, " N"]:
        start, stop, step = span.indices(len(self))
        if step != 1:
            raise ValueError(f"step={step}: shards are read without gaps, as shards[a:b]")
        parts = []
        for tokens in self.maps:
            parts.append(tokens[max(0, start) : max(0, stop)])
            start, stop = start - len(tokens), stop - len(tokens)
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def open_shard(path: Path, tokens: int, sha256: str, dtype: np.dtype, vocab_size: int) -> np.memmap:
    """Map a file of `tokens` ids into memory; ShardError unless it is as the manifest says."""
    size = path.stat().st_size if path.exists() else 0
    if size != tokens * dtype.itemsize:
        raise ShardError(f"{path} has {size} of {tokens * dtype.itemsize} bytes: write the shards anew")
    if sha256_of(path) != sha256:
        raise ShardError(f"{path} is damaged, its SHA-256 is not the manifest's: write the shards anew")
    shard = np.memmap(path, dtype, mode="r")
    if (largest := shard.max()) >= vocab_size:
        raise ShardError(f"{path} has token id {largest}, vocab_size is {vocab_size}: write the shards anew")
    return shard


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
