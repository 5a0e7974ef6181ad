"""Code cells in the tree of a page: what is folded, what is proved, which figure has which caption."""

import html
import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

EFFORT = re.compile(r" \((difficulty \d of \d, about \d+ minutes)\)$")
OPENINGS = {"task": r"Your task\b", "predict": r"Predict\b"}  # the class of a paragraph -> how it begins
SHORT = 12  # characters that a table does not break


class Cells(SphinxTransform):
    """Finishes what page.py began: its notes stand in the metadata of each code cell."""

    default_priority = 400

    def apply(self) -> None:
        for cell in list(self.document.findall(is_cell)):
            about = cell["cell_metadata"]["page"]
            cell["ids"].append(about["anchor"])
            for markup in cell.findall(nodes.raw):
                markup["classes"] = []  # with classes it gets a <div> of its own, which would cut it
            if about["caption"]:
                take_caption(cell)
            for part in cell.children:
                if nb_element(part) == "cell_code_source":
                    emphasise(part, about["blank"])
            parts = [part for part in cell.children if nb_element(part)]
            if about["code"] and about["output"]:
                fold(parts, about["code"], "code")
            else:
                for part in parts:
                    code = nb_element(part) == "cell_code_source"
                    fold([part], about["code" if code else "output"], "code" if code else "output")
            if label := label_of(about):
                cell.insert(0, raw(label))
        for title in list(self.document.findall(nodes.title)):
            move_effort(title)
        for paragraph in self.document.findall(nodes.paragraph):
            begin = next((part for part in paragraph.children if part.astext()), None)
            if isinstance(begin, nodes.strong):
                paragraph["classes"] += [
                    k for k, start in OPENINGS.items() if re.match(start, begin.astext())
                ]
        for entry in self.document.findall(nodes.entry):
            if len(entry.astext()) <= SHORT:
                entry["classes"].append("short")


def move_effort(title: nodes.title) -> None:
    """Put how long an exercise takes below its heading: the contents beside the page stay short."""
    last = title.children[-1]
    if found := EFFORT.search(last.astext()):
        title.replace(last, nodes.Text(last.astext()[: found.start()]))
        words = found[1][:1].upper() + found[1][1:]
        title.parent.insert(1, nodes.paragraph("", words, classes=["effort"]))


def is_cell(node: nodes.Node) -> bool:
    """Whether a node is a code cell that page.py prepared."""
    return isinstance(node, nodes.container) and "page" in node.get("cell_metadata", {})


def nb_element(node: nodes.Node) -> str | None:
    """What MyST-NB calls a part of a cell."""
    return node.get("nb_element") if isinstance(node, nodes.container) else None


def raw(text: str) -> nodes.raw:
    """HTML as a node."""
    return nodes.raw("", text, format="html")


def label_of(about: dict) -> str:
    """What stands at the corner of a cell: the module it goes into, or that it is a proof."""
    words = []
    if about["module"]:
        words.append(f'<span class="built">gptlib/{html.escape(about["module"])}.py</span>')
    if about["proof"]:
        words.append(
            '<span class="proved" title="The page was stored by a run in which this held">proved</span>'
        )
    return f'<p class="cell-label">{" ".join(words)}</p>' if words else ""


def emphasise(part: nodes.container, lines: list[int]) -> None:
    """Mark the lines that the workbook leaves out."""
    if lines:
        for block in part.findall(nodes.literal_block):
            block["highlight_args"] = {"hl_lines": lines}
        part["classes"].append("has-blank")


def fold(parts: list[nodes.container], summary: str | None, kind: str) -> None:
    """Put parts of a cell that follow each other into a closed <details>."""
    if summary is not None:
        cell = parts[0].parent
        first, last = cell.index(parts[0]), cell.index(parts[-1])
        cell.insert(last + 1, raw("</details>"))
        cell.insert(first, raw(f'<details class="fold fold-{kind}"><summary>{summary}</summary>'))


def take_caption(cell: nodes.container) -> None:
    """Move the paragraph after a cell into the <figure> that its last picture opens."""
    paragraph = cell.next_node(nodes.paragraph, descend=False, siblings=True)
    paragraph.parent.remove(paragraph)
    pictures = [node for node in cell.findall(nodes.raw) if node.astext().endswith("</figure>")]
    bundle = pictures[-1].parent.parent  # the output, of which there is one form
    pictures[-1].replace_self(raw(pictures[-1].astext().removesuffix("</figure>") + "<figcaption>"))
    place = bundle.parent.index(bundle) + 1
    bundle.parent[place:place] = [paragraph, raw("</figcaption></figure>")]
