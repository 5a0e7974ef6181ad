"""The parts of a chapter: title, setup, proofs, exercises, predictions, widgets, export."""

import ast
import re

import nbformat

from gptlib.exercises.notebook import modules_of, source_of, tags_of
from gptlib.exercises.predictions import hidden, sealed
from rules.page import calls_of, first_line, rule, tree
from tools.folding import fold
from tools.minutes import minutes_of
from tools.navigation import is_navigation
from tools.notebooks import badge
from tools.reveals import SUMMARY
from tools.solutions import checker_of, folded, solutions_of

COLLAPSED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def is_collapsed(cell: dict) -> bool:
    return all(cell["metadata"].get(key) == value for key, value in COLLAPSED.items())


@rule
def title_fits_the_list(page):
    """Heading, time and kind are those of chapters.toml."""
    if page.row is None:
        return ["chapters.toml has no such chapter"]
    title = source_of(page.cells[0])
    core, second = page.row.minutes
    half = re.search(r"(\d+) for the second half", title)
    stated = {
        f"the first line must be {page.row.heading!r}": title.split("\n")[0] == page.row.heading,
        f"it takes {core} minutes": f"Time: about {core} minutes" in title,
        f"its second half takes {second} minutes": not half or int(half[1]) == second,
        f"it is of the kind {page.row.kind!r}": f"· {page.row.kind}" in title,
    }
    complaints = [f"{what}, says chapters.toml" for what, holds in stated.items() if not holds]
    if bool(second) != any(is_second_half(text) for text in page.markdown()):
        complaints.append(f"the second half takes {second} minutes, says chapters.toml: is there one?")
    return complaints


@rule
def minutes_are_counted(page):
    """The minutes of chapters.toml are those of the one rule in tools/minutes.py, and fit a sitting."""
    if page.row is None or not page.converted:
        return []
    counted = minutes_of(page.notebook)
    complaints = []
    if counted != page.row.minutes:
        complaints.append(f"it takes {counted} minutes: run `python -m tools.notebooks minutes`")
    if counted[0] > 75:
        complaints.append(f"its core takes {counted[0]} minutes, at most 75 fit a sitting")
    return complaints


def is_second_half(text: str) -> bool:
    return bool(re.search(r"^#+ .*Second half", text, re.MULTILINE))


@rule
def headings_count_from_one(page):
    """The numbers of the sections run 1, 2, 3 … without a gap."""
    numbers = [int(n) for text in page.markdown() for n in re.findall(r"^## (\d+) ", text, re.MULTILINE)]
    wanted = list(range(1, len(numbers) + 1))
    return [] if numbers == wanted else [f"the sections have the numbers {numbers}: give them {wanted}"]


@rule
def begins_with_setup(page):
    """A collapsed setup cell is the first code cell."""
    setup = page.code()[0]
    right = "setup" in tags_of(setup) and is_collapsed(setup)
    return [] if right else ["the first code cell must be the collapsed setup cell"]


@rule
def badges_fit(page):
    """Badge and setup cell name the repository of pyproject.toml, or none if it names none."""
    shown = re.findall(r"^\[!\[Open in Colab\].*$", source_of(page.cells[0]), re.MULTILINE)
    named = re.findall(r'^REPOSITORY = "(.*)"$', source_of(page.code()[0]), re.MULTILINE)
    complaints = []
    if shown != ([badge(page.repository, page.name)] if page.repository else []):
        complaints.append(f"badge {shown} for the repository {page.repository}")
    if named != ([f"https://github.com/{page.repository}"] if page.repository else [""]):
        complaints.append(f"the setup cell has REPOSITORY = {named}, pyproject.toml {page.repository}")
    return complaints


@rule
def core_fits_in_sixty_cells(page):
    """A long subject has a marked second half."""
    halves = [i for i, cell in enumerate(page.cells) if is_second_half(source_of(cell))]
    steps = [cell for cell in page.cells[: halves[0] if halves else None] if is_step(cell)]
    return (
        [] if len(steps) <= 60 else [f"{len(steps)} cells before the second half, at most 60 fit a sitting"]
    )


def is_step(cell: dict) -> bool:
    """Whether a cell is one to read: not folded, and not the caption of the one before it."""
    folded = cell["metadata"].get("jupyter", {}).get("outputs_hidden") or "solution" in tags_of(cell)
    return not folded and not source_of(cell).startswith(("<details>", "*Figure:"))


@rule
def ends_with_export(page):
    """The last code cell exports the reader's edit and proves it; only the navigation follows."""
    cells = [cell for cell in page.cells if not is_navigation(cell)]
    last, call = cells[-1], f'export_chapter("{page.name}", globals())'
    right = "export-and-prove" in tags_of(last) and call in source_of(last)
    return [] if right else [f"the last cell must be {call}, tagged"]


@rule
def has_proofs_and_exercises(page):
    """What a chapter claims it proves; and there is something to do."""
    complaints = [
        f"a cell tagged `proof` asserts nothing: {first_line(cell)}"
        for cell in page.code("proof")
        if "assert" not in source_of(cell) and "check" not in tags_of(cell)  # a check raises by itself
    ]
    if modules_of(page.notebook) and not page.code("proof"):
        complaints.append("a chapter that exports a module proves something")
    if not page.code("stub"):
        complaints.append("a chapter has an exercise")
    return complaints


@rule
def exercises_are_complete(page):
    """A stub, then the folded solution, as gptlib/exercises/solutions has it."""
    complaints = []
    solutions = solutions_of(page.name[3:])
    for cell, following in zip(page.cells, [*page.cells[1:], None], strict=True):
        source = source_of(cell)
        if "stub" not in tags_of(cell):
            continue
        if "raise NotImplementedError" not in source or checker_of(cell) is None:
            complaints.append(f"a stub raises NotImplementedError and is checked: {first_line(cell)}")
        if not page.converted:
            continue
        if checker_of(cell) not in solutions:
            complaints.append(f"gptlib/exercises/solutions has none for the stub {first_line(cell)}")
        elif following is None or source_of(following) != folded(solutions[checker_of(cell)]):
            complaints.append(
                f"the solution is not folded below its stub, run `make export`: {first_line(cell)}"
            )
    if page.converted and (code := page.code("solution")):
        complaints.append(f"solutions are no code cells, run `make export`: {first_line(code[0])}")
    return complaints


@rule
def predictions_are_kept(page):
    """A guess (None as committed) before each answer, which its cell ends with, and the board at the end."""
    guessed, complaints, reveals = [], [], 0
    for cell in page.code():
        for call in calls_of(tree(cell), "predictions.guess"):
            guessed.append(ast.literal_eval(call.args[0]))
            if ast.unparse(call.args[1]) != "None":
                complaints.append(f"the guess {guessed[-1]!r} is filled in: commit None")
        revealed = [ast.literal_eval(c.args[0]) for c in calls_of(tree(cell), "predictions.reveal")]
        reveals += len(revealed)
        if missing := [answer for answer in revealed if answer not in guessed]:
            complaints.append(f"no guess before the answer {missing}")
        if bool(revealed) != ("answer" in tags_of(cell)):
            complaints.append(f"reveal and tag `answer` go together: {first_line(cell)}")
        if page.converted and revealed:
            last = tree(cell).body[-len(revealed) :]
            if [ast.unparse(node)[:18] for node in last] != ["predictions.reveal"] * len(revealed):
                complaints.append(f"an answer's cell ends with the reveal: {first_line(cell)}")
    if len(guessed) != reveals:
        complaints.append(f"{len(guessed)} guesses and {reveals} answers")
    boards = [cell for cell in page.code() if calls_of(tree(cell), "predictions.board")]
    return complaints + (["predictions.board() is missing"] if guessed and not boards else [])


@rule
def truths_are_withheld(page):
    """The stored output of an answer holds no truth; what was measured follows, folded."""
    complaints = []
    for cell, following in zip(page.cells, [*page.cells[1:], None], strict=True):
        calls = calls_of(tree(cell), "predictions.reveal") if "answer" in tags_of(cell) else []
        if not calls or not page.converted:
            continue
        names = [ast.literal_eval(call.args[0]) for call in calls]
        found = ["".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"]]
        seals = re.findall(r'data-sealed="([\da-f-]+)"', "".join(found))
        if len(seals) != len(names) or found != [hidden(*pair)[1] for pair in zip(names, seals, strict=True)]:
            complaints.append(f"an answer stores that there is no guess yet, and no more: {first_line(cell)}")
        elif cell["metadata"].get("jupyter", {}).get("outputs_hidden"):
            complaints.append(f"an answer is not folded, the truth is withheld: {first_line(cell)}")
        elif following is None or not source_of(following).startswith(SUMMARY):
            complaints.append(f"a text cell that begins {SUMMARY!r} must follow {first_line(cell)}")
        elif "nbval-ignore-output" not in tags_of(cell):
            for call, seal in zip(calls, seals, strict=True):
                complaints += told_wrongly(source_of(following), call, *seal.split("-"))
    return complaints


def told_wrongly(text: str, call: ast.Call, truth: str, more: str = "") -> list[str]:
    """What is wrong with the folded text of an answer with the stored digits `truth` and `more`."""
    unit = f" {ast.literal_eval(call.args[2])}" if len(call.args) > 2 else ""
    numbers = [number.rstrip(",.") for number in re.findall(r"-?\d[\d.,]*(?:e[-+]\d+)?", text)]
    name = ast.literal_eval(call.args[0])
    complaints = []
    if truth not in [sealed(f"{number}{unit}") for number in numbers]:
        complaints.append(f"what was measured is none of the numbers told of {name!r}: {numbers}")
    if more and more not in [sealed(fence) for fence in re.findall(r"```text\n(.*?)\n```", text, re.DOTALL)]:
        complaints.append(f"the table that belongs to {name!r} must stand in ```text as it is shown")
    return complaints


@rule
def imports_and_drivers_are_folded(page):
    """A question or a picture is on the first screen; no widget's question is answered below it."""
    if not page.converted:
        return []
    cells = [{**cell, "source": source_of(cell)} for cell in page.cells]
    wanted = nbformat.from_dict({**page.notebook, "cells": cells})
    fold(wanted)
    pairs = zip(page.cells, wanted.cells, strict=True)
    differ = [cell for cell, other in pairs if source_of(cell) != other.source or not same_folds(cell, other)]
    return [f"run `python -m tools.notebooks fold`: {first_line(cell)}" for cell in differ]


def same_folds(cell: dict, other: dict) -> bool:
    return all(cell["metadata"].get(key) == other["metadata"].get(key) for key in ("jupyter", "cellView"))


@rule
def widgets_are_driven(page):
    """nbval compares no views: the next cell sets values, asserts the state, and leaves something to see."""
    complaints = []
    for cell, following in page.followed():
        if "widget" not in tags_of(cell):
            continue
        if cell["outputs"]:
            complaints.append(f"a widget cell prints nothing, its view is not stored: {first_line(cell)}")
        if following is None or "assert" not in source_of(following) or not following["outputs"]:
            complaints.append(f"no cell drives the widget and shows it: {first_line(cell)}")
    return complaints
