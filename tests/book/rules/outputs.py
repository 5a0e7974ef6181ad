"""What is stored below the cells, and compared by nbval."""

import re

from gptlib.exercises.notebook import source_of, tags_of
from rules.page import first_line, rule
from tools.captions import caption, figures_of, is_folded

UNSTABLE = {
    "an address": r"\b0x[0-9a-f]{6,}",
    "a bare object": r"<[\w.]+ object",
    "an absolute path": r"(?<![\w.:/])/(home|work|root|tmp|usr|Users|content|opt|var)/|\b[A-Z]:\\",
    "more than four decimals": r"\d\.\d{5,}",
}


@rule
def pictures_are_png(page):
    """No SVG, no scripts, and no view of a widget whose kernel is gone."""
    kinds = [(cell, kind) for cell in page.code() for o in cell["outputs"] for kind in o.get("data", {})]
    allowed = {"text/plain", "text/html", "text/markdown", "image/png"}
    return [f"{kind} output of {first_line(cell)}" for cell, kind in kinds if kind not in allowed]


@rule
def figures_have_captions(page):
    """Below each figure one sentence says what is to be seen; it is the alternative text too."""
    if not page.converted:
        return []
    complaints = []
    for cell, following in zip(page.cells, [*page.cells[1:], None], strict=True):
        for figure in figures_of(cell):
            alt = figure["metadata"].get("image/png", {}).get("alt")
            if len(caption(following)) < 20:
                complaints.append(f"a text cell that begins '*Figure:* …' must follow {first_line(cell)}")
            elif is_folded(cell) != is_folded(following):
                complaints.append(f"a caption is folded where its figure is: {first_line(cell)}")
            elif alt != caption(following):
                complaints.append(
                    f"run `python -m tools.notebooks clean`: no alternative text: {first_line(cell)}"
                )
    return complaints


@rule
def unstable_cells_assert(page):
    """What is not compared is bounded; what a clock says is not compared."""
    complaints = []
    for cell in page.code():
        ignored = "nbval-ignore-output" in tags_of(cell)
        if ignored and "assert" not in source_of(cell):
            complaints.append(f"tagged nbval-ignore-output but asserts no bound: {first_line(cell)}")
        timed = re.search(r"perf_counter|time\.time\(|^\s*%+time", source_of(cell), re.MULTILINE)
        if timed and cell["outputs"] and not ignored:
            complaints.append(f"measures time, so its output is not stable: {first_line(cell)}")
    return complaints


@rule
def outputs_are_stable(page):
    """Nothing that differs from machine to machine stands in a compared output."""
    return [
        f"{what} in the output of {first_line(cell)}: {found.group()}"
        for cell in page.code()
        if "nbval-ignore-output" not in tags_of(cell)
        for text in texts(cell)
        for what, pattern in UNSTABLE.items()
        if (found := re.search(pattern, text))
    ]


def texts(cell: dict) -> list[str]:
    """What a cell prints, as nbval compares it."""
    found = [output["text"] for output in cell["outputs"] if output["output_type"] == "stream"]
    for output in cell["outputs"]:
        data = dict(output.get("data", {}))
        if "image/png" in data:
            del data["text/plain"]  # "<Figure size 640x480 with 1 Axes>"
        found += [data[kind] for kind in ("text/plain", "text/html", "text/markdown") if kind in data]
    return ["".join(text) for text in found]
