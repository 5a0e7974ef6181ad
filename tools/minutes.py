"""How long a chapter takes, counted by one rule: `python -m tools.notebooks minutes`.

A reader takes 150 words of technical prose in a minute (of a story, it would be 240); reads a code cell, runs
it and looks at what it shows in one minute; and takes for an exercise the minutes that its heading states.
What is folded, and proofs, which may be skipped, are not counted. The sum is rounded to five minutes.
"""

import re

from gptlib.exercises.notebook import source_of, tags_of
from tools.navigation import NAVIGATION

WORDS_A_MINUTE, MINUTES_A_CELL = 150, 1
SKIPPED = {"setup", "proof", "check", "stub", "solution", "export-and-prove"}
FOLDED = re.compile(r"<details>.*?</details>|^```.*?^```", re.MULTILINE | re.DOTALL)
EXERCISE = re.compile(r"^### Ex.*about (\d+) minutes", re.MULTILINE)
SECOND_HALF = re.compile(r"^#+ .*Second half", re.MULTILINE)
TIME = re.compile(r"Time: about \d+ minutes(?: for the core, \d+ for the second half)?")


def minutes_of(notebook: dict) -> tuple[int, int]:
    """The minutes of a chapter's core and of its second half, 0 where there is none."""
    halves = [i for i, cell in enumerate(notebook["cells"]) if SECOND_HALF.search(source_of(cell))]
    place = halves[0] if halves else len(notebook["cells"])
    core, second = notebook["cells"][:place], notebook["cells"][place:]
    return rounded(core), rounded(second)


def rounded(cells: list[dict]) -> int:
    """The minutes that some cells take, to five minutes."""
    return 5 * round(sum(map(minutes_of_cell, cells)) / 5)


def minutes_of_cell(cell: dict) -> float:
    """The minutes that a cell takes."""
    text = source_of(cell)
    if cell["cell_type"] != "markdown":
        hidden = cell["metadata"].get("jupyter", {}).get("source_hidden") or SKIPPED & {*tags_of(cell)}
        return 0 if hidden else MINUTES_A_CELL
    words = re.findall(r"[^\W_]+(?:['’.,·-][^\W_]+)*", NAVIGATION.sub("", FOLDED.sub("", text)))
    return len(words) / WORDS_A_MINUTE + sum(map(int, EXERCISE.findall(text)))


def with_time(title: str, minutes: tuple[int, int]) -> str:
    """The first cell's text with these minutes in its line "Time: ...", which it must have."""
    core, second = minutes
    halves = f" for the core, {second} for the second half" if second else ""
    text, found = TIME.subn(f"Time: about {core} minutes{halves}", title)
    if found != 1:
        raise ValueError(f"{title.splitlines()[0]!r} has no line that begins 'Time: about 60 minutes'")
    return text


def with_minutes(rows: str, stem: str, minutes: tuple[int, int]) -> str:
    """The text of chapters.toml with these minutes in the row [STEM]."""
    core, second = minutes
    half = f", second_half = {second}" if second else ""
    return re.sub(
        rf"(^\[{stem}\]\n(?:\w.*\n)*?minutes = ).*",
        rf"\g<1>{{ core = {core}{half} }}",
        rows,
        flags=re.MULTILINE,
    )
