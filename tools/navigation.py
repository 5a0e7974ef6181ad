"""Links from chapter to chapter, written by `python -m tools.notebooks links` as chapters.toml has them.

At both ends of a notebook stand previous, contents and next; a mention of another chapter is a link to it.
The addresses are names of neighbouring files, so they hold in notebooks/, notebooks/workbook/ and mine/.
"""

import re

from nbformat import NotebookNode, v4

from gptlib.exercises.notebook import source_of
from tools.chapters import Chapter
from tools.reveals import derived

TABLE = "2-What-you-will-build"  # the heading in the first chapter above the table of contents
NAVIGATION = re.compile(r"^(\[← .*\] ?\(.*\) · |)\[Contents\]\(.*$", re.MULTILINE)
# what stays as it is: code, formulas, links; then what is looked for: "chapter 05", "chapters 02, 04 and 11"
KEPT = r"`[^`\n]*`|\$[^$\n]+\$|!?\[[^\]\n]*\]\([^)\n]*\)"
NUMBER = r"(?:\d\d\b|\[\d\d\]\(\d\d_\w+\.ipynb\))"
MENTION = rf"(?P<word>[Cc]hapters?) (?P<numbers>{NUMBER}(?:(?:, | and |, and | to | or |–){NUMBER})*)"
LINK = r"\[(?P<one>[Cc]hapter) (?P<number>\d\d)\]\(\d\d_\w+\.ipynb(?P<anchor>#[^)\n]*)?\)"


def write_links(notebook: NotebookNode, name: str, book: list[Chapter]) -> None:
    """Write navigation and links into the notebook called NAME."""
    line = navigation(name, book)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not is_navigation(cell):
            if (text := linked(cell.source, name, book)) != cell.source:
                cell.source = text
    heading, _, rest = NAVIGATION.sub("", notebook.cells[0].source).partition("\n")
    notebook.cells[0].source = f"{heading}\n\n{line}\n\n{rest.strip()}"
    if is_navigation(notebook.cells[-1]):
        notebook.cells[-1].source = line
    else:
        notebook.cells.append(v4.new_markdown_cell(line, id=derived(name, "navigation")))


def is_navigation(cell: dict) -> bool:
    """Whether a cell is the one that the notebook ends with."""
    return cell["cell_type"] == "markdown" and bool(NAVIGATION.fullmatch(source_of(cell)))


def navigation(name: str, book: list[Chapter]) -> str:
    """One line: the chapter before, the table of contents, the chapter after."""
    place = [chapter.stem for chapter in book].index(name)
    parts = [f"[Contents]({'' if place == 0 else book[0].stem + '.ipynb'}#{TABLE})"]
    if place > 0:
        parts.insert(0, f"[← {label(book[place - 1])}]({book[place - 1].stem}.ipynb)")
    if place + 1 < len(book):
        parts.append(f"[{label(book[place + 1])} →]({book[place + 1].stem}.ipynb)")
    return " · ".join(parts)


def label(chapter: Chapter) -> str:
    """How the navigation calls a chapter."""
    return f"{chapter.number:02} {chapter.title}"


def linked(text: str, name: str, book: list[Chapter]) -> str:
    """A page's Markdown with a link at each mention of another chapter that exists.

    Headings, quotations (modules' summaries), HTML and code stay as they are.
    """
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    files = {f"{chapter.number:02}": chapter.stem for chapter in book if chapter.stem != name}
    return "".join(part if part.startswith("```") else linked_prose(part, files) for part in parts)


def linked_prose(text: str, files: dict[str, str]) -> str:
    """Lines of Markdown without blocks of code, with links."""
    pattern = re.compile(f"{LINK}|{KEPT}|{MENTION}")
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith(("#", ">", "<")) else pattern.sub(lambda found: link(found, files), line)
        for line in lines
    )


def link(found: re.Match, files: dict[str, str]) -> str:
    """A mention as a link; what is kept as it is."""
    if found["one"]:
        number = found["number"]
        if number not in files:
            return f"{found['one']} {number}"
        return f"[{found['one']} {number}]({files[number]}.ipynb{found['anchor'] or ''})"
    if not found["word"]:
        return found[0]
    plain = re.sub(r"\[(\d\d)\]\([^)]*\)", r"\1", found["numbers"])
    if re.fullmatch(r"\d\d", plain):
        words = f"{found['word']} {plain}"
        return f"[{words}]({files[plain]}.ipynb)" if plain in files else words
    numbers = re.sub(r"\d\d", lambda n: f"[{n[0]}]({files[n[0]]}.ipynb)" if n[0] in files else n[0], plain)
    return f"{found['word']} {numbers}"
