"""What readers might write for the tasks of tokenizer.py, chapter 01: other styles, mistakes by key words."""

from pathlib import Path

import gptlib.tokenizer as book

SOURCE = Path(book.__file__).read_text(encoding="utf-8")


def cell_of(name: str) -> str:
    """The text of a class in the module."""
    return f"class {name}(" + SOURCE.split(f"class {name}(", 1)[1].split("\n# %%", 1)[0]


ID = "self._id = {character: i for i, character in enumerate(self.characters)}"
ENCODE = "return [self._id[character] for character in text]"
DECODE = 'return "".join(self.characters[i] for i in ids)'
RIGHT = {
    "CharTokenizer": [
        cell_of("CharTokenizer")
        .replace(ID, "pass")
        .replace(ENCODE, "return list(map(self.characters.index, text))")
        .replace(
            DECODE,
            "out = ''\n        for i in ids:\n            out += self.characters[i]\n        return out",
        ),
        cell_of("CharTokenizer")
        .replace(ID, "self._id = dict(zip(self.characters, range(self.vocab_size)))")
        .replace(
            DECODE,
            "back = {i: c for c, i in self._id.items()}\n        return ''.join([back[i] for i in ids])",
        ),
    ],
    "ByteTokenizer": [
        cell_of("ByteTokenizer")
        .replace("return list(data)", "return [byte for byte in data]")
        .replace("return bytes(ids)", "return b''.join(bytes([i]) for i in ids)"),
    ],
}
BUGS = {
    "CharTokenizer": [
        ("enumerate(self.characters)", "enumerate(self.characters, start=1)", "yours at 1"),
        ("enumerate(self.characters)", "enumerate(dict.fromkeys(characters))", "order in the text"),
        (ENCODE, "return [ord(character) for character in text]", "code points"),
        (ENCODE, "return [self._id[character] for character in set(text)]", "one id for each"),
        (ENCODE, "return (self._id[character] for character in text)", "return a list"),
        (ENCODE, "return [self._id[character] for character in reversed(text)]", "yours is"),
        (DECODE, "return [self.characters[i] for i in ids]", "return a string"),
        (DECODE, 'return " ".join(self.characters[i] for i in ids)', "decode"),
        (DECODE, 'return "".join(map(chr, ids))', "decode"),
        (DECODE, 'return "".join(sorted(self.characters[i] for i in ids))', "decode"),
    ],
    "ByteTokenizer": [
        ("return list(data)", "return data", "return a list"),
        ("return list(data)", "return [ord(character) for character in text]", "code points"),
        ("return list(data)", "return list(text.encode('utf-16'))", "the bytes of UTF-8"),
        ("return list(data)", "return list(data[::-1])", "order"),
        ("return list(data)", "return list(map(str, data))", "the bytes of UTF-8"),
        ("return bytes(ids)", "return ids", "return a bytes object"),
        ("return bytes(ids)", "return ''.join(map(chr, ids))", "return a bytes object"),
        ("return bytes(ids)", "return bytes(len(ids))", "it is"),
        ("return bytes(ids)", "return bytes(sorted(ids))", "it is"),
        ("return bytes(ids)", "return bytes(ids).decode().encode()", "codec"),
    ],
}
