import hashlib
import json
import os
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path

import regex

class CharTokenizer:
    """One token for each distinct character, numbered in code-point order.

    `CharTokenizer.from_text("hello").encode("hole")` is `[1, 3, 2, 0]`: the characters are `e h l o`.
    """

    kind = "char"

    def __init__(self, characters: str):
        self.characters = "".join(sorted(set(characters)))
        self.vocab_size = len(self.characters)
        self._id = {character: i for i, character in enumerate(self.characters)}

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        """A tokenizer that knows exactly the characters of `text`."""
        if not text:
            raise ValueError("the text is empty: a tokenizer needs at least one character to know")
        return cls(text)

    def encode(self, text: str) -> list[int]:
        """One id in 0 … vocab_size-1 per character; ValueError names a character that is not known."""
        try:
            return [self._id[character] for character in text]
        except KeyError as error:
            unknown = error.args[0]
            raise ValueError(
                f"unknown character {unknown!r} at position {text.index(unknown)}: "
                f"this tokenizer knows {self.vocab_size} characters: {self.characters!r}"
            ) from None

    def decode(self, ids) -> str:
        """The characters that the ids stand for; ValueError for an id outside the vocabulary."""
        return "".join(self.characters[i] for i in checked(ids, self.vocab_size))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that two tokenizers share exactly when they encode alike."""
        return fingerprint_of(self.spec())

    def spec(self) -> dict:
        """What `save` writes: everything needed to build the tokenizer again."""
        return {"kind": self.kind, "characters": self.characters}

    def save(self, path) -> None:
        """Write the tokenizer as JSON (temporary file, then rename)."""
        save_spec(self.spec(), path)

def checked(ids, vocab_size: int) -> list[int]:
    """`ids` (list, array or tensor) as plain integers; ValueError names one outside 0 … vocab_size - 1."""
    ids = [int(i) for i in ids]
    for i in ids:
        if not 0 <= i < vocab_size:
            raise ValueError(f"token id {i} is outside 0 … {vocab_size - 1}")
    return ids


def fingerprint_of(spec: dict) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a tokenizer's JSON description."""
    text = json.dumps(spec, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save_spec(spec: dict, path) -> None:
    """Write a tokenizer's description as JSON under a temporary name, then rename it to `path`."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(spec, ensure_ascii=True), encoding="utf-8")
    os.replace(temporary, path)


def load_tokenizer(path):
    """Read a tokenizer that `save` wrote; ValueError names a file that is none."""
    try:
        spec = json.loads(Path(path).read_text(encoding="utf-8"))
        if spec["kind"] == "char":
            return CharTokenizer(spec["characters"])
        if spec["kind"] == "byte":
            return ByteTokenizer()
        if spec["kind"] == "bpe":
            return BPETokenizer([(a, b) for a, b in spec["merges"]], spec["byte_order"], spec["special"])
        raise ValueError(f"unknown kind {spec['kind']!r}")
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a sound tokenizer file: {error!r}") from None

class ByteTokenizer:
    """One token for each of the 256 bytes of UTF-8. `ByteTokenizer().encode("é")` is `[195, 169]`."""

    kind = "byte"
    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        """The UTF-8 bytes; ValueError for a lone surrogate, which has none."""
        return list(utf8(text))

    def decode_bytes(self, ids) -> bytes:
        """The bytes that the ids stand for; ValueError for an id outside 0 … 255."""
        return bytes(checked(ids, self.vocab_size))

    def decode(self, ids) -> str:
        """The text; bytes that are no valid UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that two tokenizers share exactly when they encode alike."""
        return fingerprint_of(self.spec())

    def spec(self) -> dict:
        """What `save` writes."""
        return {"kind": self.kind}

    def save(self, path) -> None:
        """Write the tokenizer as JSON (temporary file, then rename)."""
        save_spec(self.spec(), path)


def utf8(text: str) -> bytes:
    """The UTF-8 bytes of `text`; ValueError names a lone surrogate, half of a character that UTF-8 cannot hold."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"position {error.start} holds the lone surrogate {text[error.start]!r}: it has no UTF-8") from None

# GPT-2's pre-tokens: contractions, words, numbers, other signs (each with one leading space), white space.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END_OF_TEXT = "<|endoftext|>"


def merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """`ids` with every occurrence of `pair`, from left to right, replaced by `new`.

    `merge([1, 2, 3, 1, 2], (1, 2), 4)` is `[4, 3, 4]`.
    """
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


class BPETokenizer:
    """Byte-pair encoding inside GPT-2's pre-tokens: ids 0 … 255 are bytes, each further id joins a pair.

    Sennrich, Haddow, Birch (2016); on bytes: Radford et al., GPT-2 (2019).
    """

    kind = "bpe"

    def __init__(self, merges: list[tuple[int, int]], byte_order=None, special=()):
        self.byte_order = list(byte_order or range(256))  # id -> byte
        self.special = list(special)
        self.merges = {tuple(pair): 256 + i for i, pair in enumerate(merges)}
        self.bytes_of = [bytes([b]) for b in self.byte_order]
        for a, b in merges:
            self.bytes_of.append(self.bytes_of[a] + self.bytes_of[b])
        self.bytes_of += [name.encode() for name in self.special]
        self.vocab_size = len(self.bytes_of)
        self._id_of_byte = {b: i for i, b in enumerate(self.byte_order)}
        self._pattern = regex.compile(GPT2_PATTERN)
        self.encode_pretoken = lru_cache(maxsize=1 << 16)(self.encode_pretoken)

    def encode_pretoken(self, text: str) -> tuple[int, ...]:
        """Ids of one pre-token: the earliest learned pair is joined first, until none is left."""
        ids = [self._id_of_byte[b] for b in utf8(text)]
        while len(ids) > 1:
            pair = min(zip(ids, ids[1:]), key=lambda pair: self.merges.get(pair, self.vocab_size))
            if pair not in self.merges:
                break
            ids = merge(ids, pair, self.merges[pair])
        return tuple(ids)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens in it are ordinary text. ValueError for a lone surrogate."""
        utf8(text)  # names a lone surrogate by its place in the whole text
        return [i for pretoken in self._pattern.findall(text) for i in self.encode_pretoken(pretoken)]

    def decode_bytes(self, ids) -> bytes:
        """The bytes that the ids stand for, valid UTF-8 or not; ValueError for an unknown id."""
        return b"".join(self.bytes_of[i] for i in checked(ids, self.vocab_size))

    def decode(self, ids) -> str:
        """The text; bytes that are no valid UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @classmethod
    def train(cls, text: str, vocab_size: int) -> "BPETokenizer":
        """Learn vocab_size - 256 merges: join the most frequent pair (of equals the lowest), again and again."""
        if vocab_size < 256:
            raise ValueError(f"vocab_size={vocab_size} is below 256: every byte needs a token")
        words = Counter(regex.findall(GPT2_PATTERN, text))
        ids_of, count_of = [list(utf8(word)) for word in words], list(words.values())
        counts, where = Counter(), defaultdict(set)  # pair -> how often; pair -> in which words
        for w, ids in enumerate(ids_of):
            for pair in zip(ids, ids[1:]):
                counts[pair] += count_of[w]
                where[pair].add(w)
        merges = []
        for new in range(256, vocab_size):
            most = max(counts.values(), default=0)
            if most < 1:
                break
            best = min(pair for pair, n in counts.items() if n == most)
            merges.append(best)
            for w in where.pop(best):
                old, ids_of[w] = ids_of[w], merge(ids_of[w], best, new)
                for pair in zip(old, old[1:]):
                    counts[pair] -= count_of[w]
                for pair in zip(ids_of[w], ids_of[w][1:]):
                    counts[pair] += count_of[w]
                    where[pair].add(w)
            del counts[best]
        return cls(merges)

    @classmethod
    def gpt2(cls) -> "BPETokenizer":
        """GPT-2's own vocabulary, 50,257 tokens, from the merges in data/gpt2/vocab.bpe."""
        path = Path(__file__).resolve().parent.parent / "data" / "gpt2" / "vocab.bpe"
        visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
        byte_order = visible + [b for b in range(256) if b not in visible]
        # vocab.bpe spells every byte as a visible character: itself, or one from 256 upwards
        byte_of = {chr(b): b for b in visible} | {chr(256 + i): b for i, b in enumerate(byte_order[len(visible) :])}
        id_of = {bytes([b]): i for i, b in enumerate(byte_order)}
        merges = []
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            a, b = (bytes(byte_of[c] for c in part) for part in line.split())
            merges.append((id_of[a], id_of[b]))
            id_of[a + b] = len(id_of)
        return cls(merges, byte_order, [END_OF_TEXT])

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that two tokenizers share exactly when they encode alike."""
        return fingerprint_of(self.spec())

    def spec(self) -> dict:
        """What `save` writes."""
        return {"kind": self.kind, "merges": list(self.merges), "byte_order": self.byte_order, "special": self.special}

    def save(self, path) -> None:
        """Write the tokenizer as JSON (temporary file, then rename)."""
        save_spec(self.spec(), path)
