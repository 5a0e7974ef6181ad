"""Documents of files of many kinds, one in memory at a time: plain text, JSON lines, Zstandard, Parquet."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .data import TextError, decoded, read_documents, string_in, text_files

PACKED = ("", ".gz", ".zst")
ENDINGS = tuple(f"{kind}{packed}" for kind in (".txt", ".md", ".jsonl") for packed in PACKED) + (".parquet",)
WHERE = "pip install pyarrow, or unpack the file"


@dataclass(frozen=True)
class Piece:
    """What one process reads at a time: a file, or one row group of a Parquet file."""

    path: Path
    group: int | None = None

    def __str__(self):
        return str(self.path) if self.group is None else f"{self.path}, row group {self.group}"


def document_files(paths) -> list[Path]:
    """The files that files, folders and patterns name, each once; TextError for a path that names none."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(f for f in path.rglob("*") if f.is_file() and f.name.endswith(ENDINGS))
            if not inside:
                raise TextError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
            found += inside
        else:
            found += text_files([path])
    return list(dict.fromkeys(found))


def pieces_of(paths) -> list[Piece]:
    """All that there is to read, in order: the row groups of Parquet files one by one."""
    found = []
    for path in document_files(paths):
        if path.suffix == ".parquet":
            found += [Piece(path, group) for group in range(open_parquet(path).num_row_groups)]
        else:
            found.append(Piece(path))
    if not found:
        raise TextError("no file is named: give at least one")
    return found


def documents_in(piece: Piece, field: str = "text") -> Iterator[str]:
    """Yield the documents of a piece: a text file is one, a line of .jsonl or a row of Parquet has one under `field`.

    TextError names what cannot be read.
    """
    path = piece.path
    if piece.group is not None:
        yield from rows_of(piece, field)
    elif path.suffix == ".zst":
        with pyarrow(path).input_stream(str(path), compression="zstd") as stream, io.BufferedReader(stream) as file:
            try:
                lines = file if path.stem.endswith(".jsonl") else [file.read()]
                for number, line in enumerate(lines, start=1):
                    if not path.stem.endswith(".jsonl"):
                        yield decoded(line, str(path))
                    elif line.strip():
                        yield string_in(line, field, f"{path}, line {number}")
            except OSError as error:
                raise TextError(f"{path} cannot be read: {error}") from None
    else:
        yield from read_documents(path, field=field)


def rows_of(piece: Piece, field: str) -> Iterator[str]:
    """The strings in a column of one row group, a few thousand in memory at a time."""
    file = open_parquet(piece.path)
    if field not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names)
        raise TextError(f"{piece.path} has no column {field!r}: name one of {names} with --field")
    try:
        for batch in file.iter_batches(1024, row_groups=[piece.group], columns=[field]):
            for text in batch.column(0).to_pylist():
                if not isinstance(text, str):
                    raise TextError(f"{piece} has a row whose {field!r} is {type(text).__name__}, no string")
                yield text.replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise TextError(f"{piece} cannot be read: {error}") from None


def open_parquet(path: Path):
    """A Parquet file, of which only the end is read so far; TextError for what is none."""
    try:
        pyarrow(path)
        from pyarrow.parquet import ParquetFile

        return ParquetFile(path, memory_map=True)
    except (OSError, ValueError) as error:
        raise TextError(f"{path} cannot be read: {error}") from None


def pyarrow(path: Path):
    """The library that reads Parquet and Zstandard; TextError where it is not installed."""
    try:
        import pyarrow

        return pyarrow
    except ImportError:
        raise TextError(f"{path} needs pyarrow: {WHERE}") from None
