"""Files to shards: encoded by several processes, resumable, documents in random order."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from .documents import Piece, documents_in, pieces_of
from .files import remove, replacing, write_text
from .shards import DTYPES, ShardError, ids_of, must_be_new, separator, write_encoded
from .tokenizer import Tokenizer, load_tokenizer

U4 = DTYPES["uint32"]


def shard_files(
    paths,
    folder,
    tokenizer: Tokenizer,
    *,
    val_fraction: float = 0.01,
    seed: int | None = 0,  # of the documents' order; None: as they come
    processes: int = 1,
    field: str = "text",
    shard_tokens: int = 1 << 24,
) -> None:
    """Write the documents of files as two sets of shards, `folder`/train and `folder`/val, with their tokenizer.

    Each document is in one of the two. A call that is killed leaves the parts that were done; the same call goes
    on from there. ShardError or TextError names what cannot be read.
    """
    if not 0 < val_fraction < 1:
        raise ShardError(f"val_fraction={val_fraction} must lie between 0 and 1")
    folder, pieces = Path(folder), pieces_of(paths)
    must_be_new(folder)
    work = folder.with_name(f".{folder.name}.parts")
    begin(work, pieces, tokenizer, field)
    encode_parts(work, pieces, field, processes)
    documents = Documents([work / f"{number:05d}" for number in range(len(pieces))])
    if len(documents) < 2:
        raise ShardError(f"{len(documents)} documents that are not empty: at least 2 are needed, one to train and one to validate")
    order = np.arange(len(documents)) if seed is None else np.random.default_rng(seed).permutation(len(documents))
    n_val = min(max(1, round(val_fraction * len(order))), len(order) - 1)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, chosen in (("val", order[:n_val]), ("train", order[n_val:])):
            bar = tqdm(chosen, f"writing {name}", unit="document", mininterval=1)
            write_encoded(documents.in_order(bar, separator(tokenizer)), temporary / name, tokenizer, shard_tokens)
        tokenizer.save(temporary / "tokenizer.json")
    remove(work)


def begin(work: Path, pieces: list[Piece], tokenizer: Tokenizer, field: str) -> None:
    """Make the folder of the parts; ShardError where it holds parts of other files, or of another tokenizer."""
    sizes = [[str(piece), piece.path.stat().st_size, piece.path.stat().st_mtime_ns] for piece in pieces]
    plan = json.dumps({"pieces": sizes, "tokenizer": tokenizer.fingerprint, "field": field})
    if (work / "plan.json").exists():
        if (work / "plan.json").read_text(encoding="utf-8") != plan:
            raise ShardError(f"{work} holds parts of other files, or of another tokenizer: delete it, and it is made anew")
        return
    work.mkdir(parents=True, exist_ok=True)
    tokenizer.save(work / "tokenizer.json")
    write_text(work / "plan.json", plan)


def encode_parts(work: Path, pieces: list[Piece], field: str, processes: int) -> None:
    """Encode the pieces that are not done yet, each in one of several processes."""
    todo = [(number, piece) for number, piece in enumerate(pieces) if not (work / f"{number:05d}").exists()]
    encode = partial(encode_part, work, field)
    bar = partial(tqdm, desc="encoding", total=len(pieces), initial=len(pieces) - len(todo), unit="part")
    if processes == 1 or len(todo) < 2:
        for job in bar(todo):
            encode(job)
        return
    start = multiprocessing.get_context("spawn")  # a copy of a process with threads may hang
    try:
        with ProcessPoolExecutor(min(processes, len(todo)), mp_context=start) as pool:
            for _ in bar(pool.map(encode, todo)):
                pass
    except BrokenProcessPool:
        raise ShardError("one of the encoding processes was killed, out of memory perhaps: the same command goes on") from None


def encode_part(work: Path, field: str, job: tuple[int, Piece]) -> None:
    """Encode one piece: its tokens, where each document ends, and how many characters it has."""
    number, piece = job
    tokenizer = load_tokenizer(work / "tokenizer.json")
    ends, lengths, total = [], [], 0
    with replacing(work / f"{number:05d}") as temporary:
        temporary.mkdir()
        with open(temporary / "tokens.bin", "wb") as file:
            for place, document in enumerate(documents_in(piece, field)):
                ids = ids_of(document, tokenizer, f"{piece}, document {place}")
                if len(ids):
                    file.write(ids.astype(U4).tobytes())
                    total += len(ids)
                    ends.append(total)
                    lengths.append(len(document))
        np.save(temporary / "documents.npy", np.array([ends, lengths], dtype=np.int64).reshape(2, -1))


class Documents:
    """The documents of finished parts, by number; their tokens stay on the disk."""

    def __init__(self, parts: list[Path]):
        self.places, self.tokens = [np.load(part / "documents.npy") for part in parts], []
        for part, (ends, _) in zip(parts, self.places, strict=True):
            self.tokens.append(np.memmap(part / "tokens.bin", U4, mode="r") if len(ends) else np.zeros(0, U4))
        self.starts = np.cumsum([0, *(places.shape[1] for places in self.places)])  # of each part, in documents

    def __len__(self) -> int:
        return int(self.starts[-1])

    def in_order(self, numbers, between: np.ndarray):
        """Yield each document's ids, with `between` before all but the first, and its length in characters."""
        before = between[:0]
        for number in numbers:
            part = int(np.searchsorted(self.starts, number, side="right")) - 1
            place = int(number - self.starts[part])
            ends, lengths = self.places[part]
            ids = self.tokens[part][ends[place - 1] if place else 0 : ends[place]].astype(np.int64)
            yield np.append(before, ids), int(lengths[place])
            before = between
