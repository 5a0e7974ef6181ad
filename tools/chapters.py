"""The chapters of the book, as chapters.toml lists them."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "chapters.toml"
KINDS = ("core", "side path")
# These chapters are being rewritten: what the commands of tools/notebooks.py generate in chapters (`reveals`,
# `solutions`, `links`) is neither written into them nor asked of them. Run the commands on each by name,
# then empty the list.
NOT_CONVERTED = ()


@dataclass(frozen=True)
class Chapter:
    """A row of chapters.toml; `minutes`: the core, the second half; `part`: which begins here, or ""."""

    number: int
    name: str
    title: str
    modules: tuple[str, ...]
    build: str
    minutes: tuple[int, int]
    kind: str
    part: str = ""

    @property
    def stem(self) -> str:
        """The notebook's name: 05_attention."""
        return f"{self.number:02}_{self.name}"

    @property
    def heading(self) -> str:
        """The first line of the notebook."""
        return f"# {self.number:02} · {self.title}"


def chapters(path: Path = LIST) -> list[Chapter]:
    """The chapters in order; ValueError names the row that is wrong."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    found = [chapter(stem, row) for stem, row in rows.items()]
    numbers = [c.number for c in found]
    if numbers != sorted(set(numbers)):
        raise ValueError(f"{path.name}: the numbers {numbers} must rise")
    modules = [module for c in found for module in c.modules]
    if twice := {module for module in modules if modules.count(module) > 1}:
        raise ValueError(f"{path.name}: {min(twice)} belongs to one chapter, not two")
    return found


def chapter(stem: str, row: dict) -> Chapter:
    """The chapter that `[stem]` of chapters.toml describes."""
    found = re.fullmatch(r"(\d\d)_([a-z]\w*)", stem)
    if found is None:
        raise ValueError(f"[{stem}]: a chapter is called by number and name, such as [05_attention]")
    try:
        minutes = row["minutes"]["core"], row["minutes"].get("second_half", 0)
        title, modules, build, kind = (row[key] for key in ("title", "modules", "build", "kind"))
    except KeyError as missing:
        raise ValueError(f"[{stem}] lacks {missing}") from None
    if kind not in KINDS:
        raise ValueError(f"[{stem}]: kind {kind!r} is none of {', '.join(KINDS)}")
    return Chapter(int(found[1]), found[2], title, tuple(modules), build, minutes, kind, row.get("part", ""))


def row_of(chapter: Chapter) -> str:
    """A chapter as the text of its row in chapters.toml."""
    core, second = chapter.minutes
    minutes = f"core = {core}" + (f", second_half = {second}" if second else "")
    modules = ", ".join(f'"{module}"' for module in chapter.modules)
    part = f'part = "{chapter.part}"\n' if chapter.part else ""
    return f"""
[{chapter.stem}]
{part}title = "{chapter.title}"
modules = [{modules}]
build = "{chapter.build}"
minutes = {{ {minutes} }}
kind = "{chapter.kind}"
"""


def contents(book: list[Chapter], folder: str = "") -> str:
    """The table of contents in Markdown, for a page from which the notebooks lie in `folder`."""
    lines = ["| chapter | you build | minutes | kind |", "|---|---|---|---|"]
    for c in book:
        link = f"[{c.number:02} {c.title}]({folder}{c.stem}.ipynb)"
        minutes = " + ".join(str(part) for part in c.minutes if part)
        lines.append(f"| {link} | {c.build} | {minutes} | {c.kind} |")
    return "\n".join(lines)


def with_contents(page: str, table: str) -> str:
    """A page with this table in the place of its table of contents; ValueError when it has none."""
    header = table.split("\n")[0]
    pattern = re.compile(rf"^{re.escape(header)}\n(\|.*(\n|\Z))*", re.MULTILINE)
    if not pattern.search(page):
        raise ValueError(f"the page has no table that begins {header!r}")
    return pattern.sub(lambda found: table + "\n" * found[0].endswith("\n"), page, count=1)
