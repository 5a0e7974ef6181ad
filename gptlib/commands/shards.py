"""`shards`: texts larger than the memory, encoded once and for all into a folder that `train --shards` reads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import tyro

from gptlib.data import Corpus
from gptlib.files import sha256_of
from gptlib.parts import shard_files
from gptlib.shards import ShardError, TokenShards
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Shards:
    """Encode texts into a folder for `train --shards`; a call that was killed goes on where it was."""

    files: tyro.conf.Positional[tuple[str, ...]]  # files, folders, patterns: as --text, .zst, .parquet
    out: Path
    tokenizer: str = "gpt2"  # gpt2, byte, or a tokenizer.json
    val_fraction: float = 0.01  # of the documents
    seed: int = 0  # of the documents' order
    processes: int = 1
    field: str = "text"  # of .jsonl lines and .parquet columns


def run_shards(args: Shards) -> None:
    """Encode, and say what there is."""
    if args.processes < 1:
        raise ShardError(f"processes={args.processes} must be at least 1")
    how = dict(val_fraction=args.val_fraction, seed=args.seed, processes=args.processes, field=args.field)
    shard_files(args.files, args.out, tokenizer_of(args.tokenizer), **how)
    train, val, _ = open_set(args.out)
    print(f"{len(train):,} training tokens and {len(val):,} validation tokens in {args.out}")


def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of that name, or in that file."""
    if name in ("byte", "gpt2"):
        return ByteTokenizer() if name == "byte" else BPETokenizer.gpt2()
    if not Path(name).is_file():
        raise ShardError(f"tokenizer={name!r} is unknown: choose gpt2, byte, or the path of a tokenizer.json")
    return load_tokenizer(Path(name))


def open_set(folder: Path) -> tuple[TokenShards, TokenShards, Tokenizer]:
    """The two sets of a folder that `shards` has written, and their tokenizer."""
    if not (folder / "tokenizer.json").exists():
        raise ShardError(f"{folder} has no tokenizer.json: make the folder with python -m gptlib shards")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    return TokenShards(folder / "train", tokenizer), TokenShards(folder / "val", tokenizer), tokenizer


def shards_of(folder: Path) -> tuple[Corpus, Tokenizer, tuple[TokenShards, TokenShards]]:
    """The sets of a folder with a corpus that stands for their text: its name, and the checksum of their manifests."""
    train, val, tokenizer = open_set(folder)
    manifests = "".join(sha256_of(folder / name / "manifest.json") for name in ("train", "val"))
    source = str(folder.resolve())
    return (
        Corpus(folder.resolve().name, "", hashlib.sha256(manifests.encode()).hexdigest(), source),
        tokenizer,
        (train, val),
    )
