"""The notebook as a file: executed once, and stored as JupyterLab itself would store it."""

import re

from gptlib.exercises.notebook import tags_of
from rules.page import first_line, rule
from tools.notebooks import CELL_METADATA, KERNEL, LANGUAGE

TAGS = set("setup proof check stub solution answer widget export-and-prove".split())
TAGS |= {"nbval-ignore-output", "tinyshakespeare"}


@rule
def counts_run_from_one(page):
    """Executed once, from top to bottom."""
    counts = [cell["execution_count"] for cell in page.code()]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


@rule
def no_errors(page):
    """Neither a traceback nor a warning is stored."""
    bad = [c for c in page.code() for o in c["outputs"] if "error" in o["output_type"]]
    bad += [c for c in page.code() for o in c["outputs"] if o.get("name") == "stderr"]
    return [f"error or stderr output of {first_line(cell)}" for cell in bad]


@rule
def metadata_is_what_jupyterlab_writes(page):
    """Opening and closing a chapter asks nothing; beyond that only what readers and tests need."""
    complaints = []
    metadata = page.notebook["metadata"]
    language = dict(metadata.get("language_info", {}))
    version = language.pop("version", "")
    known = metadata.keys() == {"kernelspec", "language_info"} and metadata["kernelspec"] == KERNEL
    if not known or language != LANGUAGE or not re.fullmatch(r"3\.\d+\.\w+", version):
        complaints.append(f"notebook metadata {metadata}")
    for cell in page.cells:
        allowed = CELL_METADATA if cell["cell_type"] == "code" else set()
        if strangers := cell["metadata"].keys() - allowed:
            complaints.append(f"metadata {sorted(strangers)} of {first_line(cell)}")
        hidden = cell["metadata"].get("jupyter", {}).get("outputs_hidden", False)
        if cell["metadata"].get("collapsed", False) != hidden:
            complaints.append(f"`collapsed` and `outputs_hidden` go together: {first_line(cell)}")
    ids = [cell["id"] for cell in page.cells]
    return complaints + ([] if len(set(ids)) == len(ids) else ["cell ids repeat"])


@rule
def tags_are_known(page):
    """A misspelt tag would silently do nothing."""
    strangers = [(tag, c) for c in page.cells for tag in tags_of(c) if tag not in TAGS]
    return [f"unknown tag {tag!r} on {first_line(cell)}" for tag, cell in strangers]
