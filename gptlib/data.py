import hashlib
import logging
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

DATA = Path(__file__).resolve().parent.parent / "data" if "__file__" in globals() else Path("../data").resolve()
TINYSHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

log = logging.getLogger("gptlib.data")


@dataclass(frozen=True)
class Corpus:
    """A text and where it came from: `name`, `text`, `sha256` of its UTF-8 bytes, `source` (path or address)."""

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
    except OSError as error:
        log.warning("TinyShakespeare could not be downloaded (%s): the embedded plays stand in for it", error)
        return read_plays()
    return read_tinyshakespeare(target, source=TINYSHAKESPEARE_URL)


def read_tinyshakespeare(path: Path, source: str) -> Corpus:
    """Read the file and hold it against the published SHA-256."""
    raw = path.read_bytes()
    sha256 = hashlib.sha256(raw).hexdigest()
    if sha256 != TINYSHAKESPEARE_SHA256:
        raise ValueError(f"{path} has SHA-256 {sha256[:12]}…, expected {TINYSHAKESPEARE_SHA256[:12]}…: delete it and load again")
    return Corpus("tinyshakespeare", raw.decode(), sha256, source)


def read_plays() -> Corpus:
    """The embedded stand-in: public-domain plays in TinyShakespeare's form and characters."""
    path = DATA / "plays" / "input.txt"
    raw = path.read_bytes()
    return Corpus("plays", raw.decode(), hashlib.sha256(raw).hexdigest(), str(path))


def download(url: str, target: Path, sha256: str) -> None:
    """Fetch `url` into `target`: temporary file, checksum, rename. OSError when it cannot be had."""
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

    `at(step)` gives inputs x and targets y, both int64 [batch_size / world_size, block_size], with
    y[b, t] = the token that follows x[b, t]. With world_size = n, the n ranks hold n equal slices of the batch
    that one process would draw. The batch lies on the device of `tokens`.
    """

    def __init__(self, tokens, batch_size: int, block_size: int, seed: int = 0, rank: int = 0, world_size: int = 1):
        if len(tokens) <= block_size:
            raise ValueError(
                f"{len(tokens)} tokens are too few for block_size={block_size}: a window and its shifted targets "
                f"need {block_size + 1}; take a longer text or a smaller block_size"
            )
        if batch_size % world_size:
            raise ValueError(f"batch_size={batch_size} is not divisible by world_size={world_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} is outside 0 … {world_size - 1}")
        self.tokens = tokens if hasattr(tokens, "device") or hasattr(tokens, "shards") else torch.tensor(tokens)
        self.batch_size, self.block_size, self.seed = batch_size, block_size, seed
        self.rank, self.world_size = rank, world_size

    def offsets(self, step: int) -> np.ndarray:
        """Where this rank's windows start at this step: int64 [batch_size / world_size]."""
        rng = np.random.default_rng([self.seed, step])
        starts = rng.integers(0, len(self.tokens) - self.block_size, size=self.batch_size)
        return np.split(starts, self.world_size)[self.rank]

    def at(self, step: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Inputs and targets of one step."""
        starts = torch.from_numpy(self.offsets(step)).to(self.tokens.device)
        window = torch.arange(self.block_size + 1, device=self.tokens.device)
        chunk = self.tokens[starts[:, None] + window].long()  # [B, T+1]
        return chunk[:, :-1], chunk[:, 1:]
