"""A chapter as a page: its notebook without what only a kernel can use, prepared for MyST-NB.

What cells.py makes of a code cell stands in the cell's metadata under `page`:

    anchor       the id of the cell on the page
    module       the module into which the cell is exported
    proof        whether the cell asserts a claim
    code         the summary below which the code is folded; None where it is open
    output       the summary below which the output is folded, with the code where that is folded too
    blank        the numbers of the lines that the workbook leaves out
    caption      whether the paragraph after the cell is the caption of its last figure
"""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode, v4

from gptlib.exercises.notebook import MARKS, modules_of, source_of, tags_of
from tools.captions import MARK, MEASURED, caption
from tools.captions import SUMMARY as SHOWN
from tools.chapters import Chapter
from tools.navigation import NAVIGATION, is_navigation
from tools.reveals import calls
from web.figures import figure
from web.guesses import guesses, without_guesses

DIRECTIVE = re.compile(r"^#\| *(\w+) *(\w*).*\n?", re.MULTILINE)
TITLE = re.compile(r"\A# @title (.*)\n?")
BADGE = re.compile(r"^\[!\[Open in Colab\].*$\n*", re.MULTILINE)
DETAILS = re.compile(r"^<details><summary>(.*?)</summary>", re.MULTILINE)
KINDS = {"What was measured": "measured", "What the figure shows": "caption", "Solution": "solution"}
STILL = '<p class="still">A still picture. In the notebook it answers to your hand.</p>'
NO_PICTURE = '<p class="still">In the notebook a widget stands here.</p>'


@dataclass(frozen=True)
class Pages:
    """What all pages need: the static files' folder, and where live widgets stand (web/live/places.json)."""

    static: Path
    places: dict[str, dict]

    def page(self, notebook: NotebookNode, chapter: Chapter, header: str) -> NotebookNode:
        """The page of a chapter, with `header` below its heading."""
        cells = []
        module = next(iter(modules_of(notebook)), "")
        old = notebook.cells[:-1] if is_navigation(notebook.cells[-1]) else notebook.cells
        for before, cell, after in zip([None, *old], old, [*old[1:], None], strict=False):
            if cell.cell_type == "markdown":
                cells.append(v4.new_markdown_cell(text_of(cell, before), id=cell.id))
            else:
                place = self.places.get(chapter.stem, {}).get(cell.id)
                cells += self.code(cell, before, after, module, place)
        cells[0].source = with_header(cells[0].source, header)
        return v4.new_notebook(cells=cells, metadata=notebook.metadata)

    def code(self, cell, before, after, module: str, place: dict | None) -> list[NotebookNode]:
        """The cells that stand on the page for a code cell."""
        source, about = code_of(cell, module)
        asked = [guess.html() for guess in guesses(source)]
        if asked:
            source = without_guesses(source)
        outputs = self.outputs(cell)
        if "widget" in tags_of(cell):
            outputs += self.pictures(after) if is_driver(after) else []
            if place is None:
                outputs.append(markup(STILL if outputs else NO_PICTURE))
        elif is_driver(cell) and before is not None and "widget" in tags_of(before):
            outputs = [output for output in outputs if output not in self.pictures(cell)]  # they stand above
        if place is not None:
            outputs = live(place, outputs)
            about["code"] = about["code"] or "Show code"
        if outputs and is_hidden(cell, "outputs_hidden"):
            about["output"] = (
                "Show the figure" if is_drawn(cell) and not is_driver(cell) else "Show the output"
            )
        about["caption"] = is_drawn(cell) and caption_follows(cell, after)
        cells = [v4.new_markdown_cell("\n".join(asked), id=f"{cell.id}-guess")] if asked else []
        if not source.strip() and not outputs:
            return cells
        metadata = {"page": about, "tags": [] if source.strip() else ["remove-input"]}
        return [*cells, v4.new_code_cell(source, id=cell.id, outputs=outputs, metadata=metadata)]

    def pictures(self, cell) -> list[NotebookNode]:
        """The pictures that a cell leaves."""
        return [markup(self.figure(output)) for output in cell.outputs if is_picture(output)]

    def figure(self, output) -> str:
        """A stored picture as HTML."""
        return f'<figure class="plot">{figure(output, self.static)}</figure>'

    def outputs(self, cell) -> list[NotebookNode]:
        """A cell's outputs without those that wait for a reader's guess or attempt."""
        if "stub" in tags_of(cell) or calls(cell.source, "board"):
            return []
        kept = []
        for output in cell.outputs:
            if is_picture(output):
                kept.append(markup(self.figure(output)))
            elif "data-sealed" not in output.get("data", {}).get("text/html", ""):
                kept.append(output)
        return kept


# --- text


def anchor(heading: str) -> str:
    """The anchor that JupyterLab gives a heading."""
    return heading.replace(" ", "-")


def text_of(cell: NotebookNode, before: NotebookNode | None) -> str:
    """The Markdown of a text cell on the page."""
    text = BADGE.sub("", NAVIGATION.sub("", cell.source))
    if before is not None and is_drawn(before) and caption_follows(before, cell):
        text = without_fold(text)
        text = text.removeprefix(MARK).lstrip("*: ")
        text = text[:1].upper() + text[1:]
    return DETAILS.sub(lambda found: f"<details{kind(found[1])}><summary>{found[1]}</summary>", text)


def kind(summary: str) -> str:
    """The class of a folded text, by its summary."""
    word = next((word for start, word in KINDS.items() if summary.startswith(start)), None)
    word = word or ("hint" if summary.startswith("Hint") else None)
    return f' class="{word}"' if word else ""


def caption_follows(cell: NotebookNode, after: NotebookNode | None) -> bool:
    """Whether a text begins with the caption of the figure before it, open or as folded as the figure."""
    if is_driver(cell) or not caption(after):
        return False
    return source_of(after).startswith(MARK) or is_hidden(cell, "outputs_hidden")


def without_fold(text: str) -> str:
    """A text whose folded caption is open: what is folded with it stays so."""
    for opening in (SHOWN, MEASURED):
        if text.startswith(opening):
            first, _, rest = text.removeprefix(opening).strip().partition("\n\n")
            empty = rest.startswith("</details>")
            rest = rest.removeprefix("</details>").strip() if empty else f"{opening}\n\n{rest}"
            return f"{first}\n\n{rest}"
    return text


def with_header(text: str, header: str) -> str:
    """A first cell's text with `header` below its heading."""
    heading, _, rest = text.partition("\n")
    return f"{heading}\n\n{header}\n\n{rest.strip()}"


# --- code


def code_of(cell: NotebookNode, module: str) -> tuple[str, dict]:
    """The code as the page shows it, and what is to be known about the cell."""
    source, exported = cell.source, None
    while found := DIRECTIVE.match(source):
        exported = (found[2] or module) if found[1].startswith("export") else exported
        source = source[found.end() :]
    title = TITLE.match(source)
    source = TITLE.sub("", source)
    source, blank = without_marks(source)
    folded = is_hidden(cell, "source_hidden")
    label = f"Show code: {lower(title[1])}" if title else "Show code"
    return source.strip("\n"), {
        "anchor": f"cell-{cell.id}",
        "module": exported,
        "proof": "proof" in tags_of(cell),
        "code": html.escape(label) if folded else None,
        "output": None,
        "blank": blank,
        "caption": False,
    }


def lower(title: str) -> str:
    """A title after a colon; one that begins with a name keeps its capital."""
    return title[:1].lower() + title[1:] if title[1:2].islower() or title[1:2] == " " else title


def without_marks(source: str) -> tuple[str, list[int]]:
    """Code without the lines `# blank` and `# end`, and the numbers of the lines that stood between them."""
    lines, numbers, inside = [], [], False
    for line in source.splitlines():
        if MARKS.fullmatch(line):
            inside = line.strip() == "# blank"
            continue
        lines.append(line)
        if inside and line.strip():
            numbers.append(len(lines))
    return "\n".join(lines), numbers


def is_hidden(cell: NotebookNode, part: str) -> bool:
    """Whether JupyterLab folds a part of the cell, `source_hidden` or `outputs_hidden`."""
    return bool(cell.metadata.get("jupyter", {}).get(part))


def is_driver(cell: NotebookNode | None) -> bool:
    """Whether a cell is folded with its outputs, as are those that set a widget's values by program."""
    return cell is not None and is_hidden(cell, "source_hidden") and is_hidden(cell, "outputs_hidden")


def is_drawn(cell: NotebookNode) -> bool:
    """Whether a cell leaves a picture."""
    return any(is_picture(output) for output in cell.get("outputs", []))


def is_picture(output: NotebookNode) -> bool:
    """Whether an output is a picture."""
    return "image/png" in output.get("data", {})


# --- outputs


def live(place: dict, outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The place of a live widget; what stands in it is shown until it is ready."""
    options = html.escape(json.dumps(place.get("options", {}), ensure_ascii=False))
    opening = f'<div class="live" data-live="{html.escape(place["live"])}" data-options="{options}">'
    return [markup(opening), *outputs, markup("</div>")]


def markup(text: str) -> NotebookNode:
    """HTML as an output."""
    return v4.new_output("display_data", data={"text/html": text})
