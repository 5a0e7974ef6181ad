"""The first page: a place to write with the model, and the contents."""

import html
import json

from nbformat import NotebookNode

from tools.chapters import Chapter

PROMPT = "ROMEO:\n"


def front(book: list[Chapter], written: str) -> str:
    """The first page in Markdown; `written` is what the shipped model wrote when the book was executed."""
    options = html.escape(json.dumps({"model": "char-cpu", "prompt": PROMPT}))
    text = html.escape(written.strip()).replace("\n", "&#10;")  # no empty line ends the HTML
    return f"""# GPT from first principles

<p class="lead">Build GPT-2 yourself, part by part, from characters to a trained model that writes plays.
Nothing is claimed that the next cell does not prove.</p>

<div class="live" data-live="playground" data-options="{options}">
<figure class="written"><pre>{text}</pre>
<figcaption>The model that comes with the book was given <code>ROMEO:</code> and wrote the rest, character by
character.</figcaption></figure>
</div>

<p class="begin"><a class="button" href="{book[0].stem}.html">Begin with chapter {book[0].number:02}</a>
<a class="button quiet" href="#contents">Contents</a></p>

## How the book works

- **You predict, then look.** What was measured is folded. A field asks for your guess first.
- **You see it proved.** A cell marked <span class="proved">proved</span> asserts what the text says, against
  PyTorch, a reference or brute force. The page shows a run in which it held.
- **You build it.** The workbook of each chapter leaves the marked lines to you. What you write is checked by
  the same proofs, and takes the place of the book's part, up to the full run.

You need Python's functions and classes and school derivatives, nothing else. All pages work without a kernel;
to run and change the code, open a chapter's notebook from the top of its page.

## Contents

{contents(book)}

A side path (◦) can be left out: everything after it can be read without it. [Glossary](glossary.md) and
[index of names](names.md) lead to where a word or a function is first met.

{toctrees(book)}
"""


def contents(book: list[Chapter]) -> str:
    """The chapters by part, as HTML."""
    lines = []
    for part, chapters in parts(book):
        rows = "".join(
            f'<li><a href="{c.stem}.html"><span class="number">{c.number:02}</span> {html.escape(c.title)}'
            f"{mark(c)}</a> <span>{html.escape(c.build)}</span> "
            f'<span class="minutes">{" + ".join(str(m) for m in c.minutes if m)} min</span></li>'
            for c in chapters
        )
        lines.append(f'<h3>{html.escape(part)}</h3><ol class="chapters">{rows}</ol>')
    return f'<div class="contents-list">{"".join(lines)}</div>'


def toctrees(book: list[Chapter]) -> str:
    """The contents for the sidebar, hidden on the page."""
    lines = []
    for part, chapters in parts(book):
        rows = "\n".join(f"{c.number:02} {c.title}{mark(c)} <{c.stem}>" for c in chapters)
        lines.append(f"```{{toctree}}\n:hidden:\n:caption: {part}\n\n{rows}\n```")
    lines.append("```{toctree}\n:hidden:\n:caption: To look things up\n\nglossary\nnames\n```")
    return "\n\n".join(lines)


def parts(book: list[Chapter]) -> list[tuple[str, list[Chapter]]]:
    """The parts of the book, each with its chapters."""
    found: list[tuple[str, list[Chapter]]] = []
    for chapter in book:
        if chapter.part or not found:
            found.append((chapter.part or "The book", []))
        found[-1][1].append(chapter)
    return found


def mark(chapter: Chapter) -> str:
    """The sign of a side path."""
    return "" if chapter.kind == "core" else " ◦"


def written_by(notebook: NotebookNode) -> str:
    """What the first widget of a chapter wrote, as the cell after it printed it."""
    printed = (o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs)
    return next(output.text for output in printed if output.output_type == "stream")
