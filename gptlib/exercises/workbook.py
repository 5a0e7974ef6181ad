"""A workbook while the reader fills it in: checks, the book's version of what is open, export of the modules."""

import ast
import linecache
import os
from pathlib import Path

from gptlib import mine
from gptlib.exercises.checker import NotYet, Verdict, blame, frames
from gptlib.exercises.checks import checks_of
from gptlib.exercises.names import names_exported, names_taken_by
from gptlib.exercises.notebook import (
    PACKAGE,
    exported_sources,
    modules_of,
    open_in_colab,
    read_notebook,
    source_of,
    write_module,
)

BOOK = PACKAGE.parent
OPEN = "raise NotImplementedError"  # what stands in a task's cell where the reader writes


class Workbook:
    """The workbook of a chapter. `namespace` is the notebook's `globals()`."""

    def __init__(self, name: str, namespace: dict):
        self.name, self.namespace = name, namespace
        self.book = read_notebook(BOOK / "notebooks" / f"{name}.ipynb")
        self.checks, self.home = {}, {}
        for module in modules_of(self.book):
            self.checks |= checks_of(module)
            self.home |= dict.fromkeys(checks_of(module), module)

    def check(self, definition: str) -> Verdict:
        """Say in one line whether the reader's definition is right. Where it is open, the book's takes its place."""
        if definition not in self.namespace:
            said = (
                "not there. Run the cell that defines it first; if it gave a SyntaxError, it defines nothing"
            )
            try:
                self.take_the_books(definition)
                said += ". The cells below use the book's until then"
            except NameError:  # the cells above, such as the imports, have not run
                pass
            print(f"{definition}: {said}")
            return Verdict(False)
        attempt = self.namespace[definition]
        try:
            self.checks[definition](attempt)
        except NotYet as problem:
            said = f"not yet. {problem}"
        except Exception as error:
            if is_open(error):
                self.take_the_books(definition)
                said = "open. The cells below use the book's until you write yours"
            else:
                said = f"not yet. {blame(error, attempt)}"
        else:
            lacking = self.lacking(definition)
            said = f"not yet. {lacking}" if lacking else "correct"
        print(f"{definition}: {said}")
        return Verdict(said == "correct")

    def lacking(self, definition: str) -> str:
        """Which name a definition takes from the notebook that its module will not have; "" if there is none."""
        module = self.home[definition]
        ran = self.namespace.get("In", [])  # saved or not
        taken = names_taken_by(self.namespace[definition]) & self.namespace.keys()
        taken -= names_exported(self.book, module, ran)
        if not taken:
            return ""
        name = min(taken)
        return (
            f"{name} is known to this page alone: no cell with `#| export` makes it, so {module}.py would lack it. "
            f"Import or define it inside {definition}, or take what that module imports"
        )

    def take_the_books(self, definition: str) -> None:
        """Define the book's version in the notebook."""
        source = source_of_definition(self.book, definition)
        place = f"<the book's {definition}>"
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        exec(compile(source, place, "exec"), self.namespace)

    def export(self) -> None:
        """Write the reader's modules into the folder of GPTLIB_MINE, the book's cells for what is open, and check them.

        What is written takes effect in the next kernel: in this one the classes of the modules above are in use.
        """
        saved, target = self.saved(), os.environ.get("GPTLIB_MINE")
        if saved is None or target is None:
            missing = (
                f"{self.name}.ipynb is not in this folder" if saved is None else "GPTLIB_MINE is not set"
            )
            print(f"nothing was exported: {missing}")
            return
        if wrong := no_python(saved):
            print(f"nothing was exported: {wrong}")
            return
        notebook, yours = filled(saved, self.book)
        if not yours:
            print("nothing was exported: no task of this chapter is yours yet (save the notebook first)")
            return
        Path(target).mkdir(parents=True, exist_ok=True)
        for module, source in exported_sources(notebook, self.name).items():
            if set(yours) & set(definitions(source)):
                write_module(Path(target) / f"{module}.py", source)
        print(f"written by you: {', '.join(yours)}")
        for module in mine.modules():
            if module.name in modules_of(self.book):
                verdict = (
                    "takes the book's place in the next kernel"
                    if module.used
                    else f"stays out: {module.why_not}"
                )
                print(f"{module.path.name} {verdict}")

    def show(self) -> None:
        """A line a module with tasks: how many are written, whether it is in use."""
        print(overview(Path.cwd()))

    def saved(self) -> dict | None:
        """The reader's workbook as it is saved; None where it is not in the notebook's folder."""
        path = Path(f"{self.name}.ipynb")
        return open_in_colab() or (read_notebook(path) if path.exists() else None)


def is_open(error: Exception) -> bool:
    """Whether the error is a task's bare `raise NotImplementedError` in a cell, not one that a library raised."""
    if type(error) is not NotImplementedError or error.args:
        return False
    return Path(frames(error)[-1].co_filename).parent != PACKAGE


def definitions(source: str) -> list[str]:
    """The functions and classes that a text defines at its top."""
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in ast.parse(source).body if isinstance(node, kinds)]


def is_open_cell(cell: dict) -> bool:
    """Whether a task's cell still holds what the workbook put in the reader's place."""
    return OPEN in source_of(cell)


def is_exported(cell: dict) -> bool:
    """Whether a cell goes into a module."""
    return cell["cell_type"] == "code" and source_of(cell).startswith(("#| export", "#|export"))


def no_python(notebook: dict) -> str:
    """Which exported cell is no Python, and where; "" if all are."""
    for cell in notebook["cells"]:
        if is_exported(cell):
            try:
                ast.parse(source_of(cell))
            except SyntaxError as error:
                return f"line {error.lineno} of the cell that begins {beginning(cell)!r} is no Python"
    return ""


def beginning(cell: dict) -> str:
    """The first line of an exported cell below its directive."""
    return next(iter(source_of(cell).splitlines()[1:]), "")


def source_of_definition(notebook: dict, definition: str) -> str:
    """The text of the exported cell that holds a function or class; KeyError when none does."""
    for cell in notebook["cells"]:
        if is_exported(cell) and definition in definitions(source_of(cell)):
            return source_of(cell)
    raise KeyError(definition)


def filled(saved: dict, book: dict) -> tuple[dict, list[str]]:
    """The reader's notebook with the book's exported cell for each that is open or gone, and what is the reader's."""
    books = {cell["id"]: cell for cell in book["cells"] if is_exported(cell)}
    present = {cell.get("id") for cell in saved["cells"]}
    kept, yours = [], []
    for cell in saved["cells"]:
        if cell.get("id") in books:  # before it, what is gone and stood before it
            while (id := next(iter(books))) != cell["id"] and id not in present:
                kept.append(books.pop(id))
        same = books.pop(cell.get("id"), None)
        written = is_exported(cell) and not is_open_cell(cell)
        kept.append(cell if same is None or written else same)
        if written and same is not None and "# blank" in source_of(same):
            yours += definitions(source_of(cell))
    return {**saved, "cells": [*kept, *books.values()]}, yours


# --- all workbooks


def overview(folder: Path) -> str:
    """A line a module that has tasks; `folder` holds the reader's workbooks."""
    judged = {module.name: module for module in mine.modules()}
    written = written_in(folder)
    lines = [f"{'module':12} {'tasks':>5} {'written':>8}   in use"]
    for name in mine.book_modules():
        if tasks := checks_of(name):
            done = {task: written[task] for task in tasks if task in written}
            lines.append(f"{name:12} {len(tasks):5} {len(done):8}   {state(judged.get(name), done)}")
    return "\n".join(lines)


def written_in(folder: Path) -> dict[str, str]:
    """The definitions that the reader has written in the workbooks of a folder, with their text."""
    found = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        notebook = read_notebook(path)
        for cell in [] if no_python(notebook) else notebook["cells"]:
            if is_exported(cell) and not is_open_cell(cell):
                source = source_of(cell)
                for node in ast.parse(source).body:
                    if isinstance(node, ast.FunctionDef | ast.ClassDef):
                        found[node.name] = ast.get_source_segment(source, node)
    return found


def state(module: mine.Module | None, written: dict[str, str]) -> str:
    """Whether a module of the reader's is used, and why not."""
    if module is None:
        return "no: run the last cell of its workbook to export it" if written else "no"
    if not module.used:
        return f"no: {module.why_not}"
    exported = module.path.read_text(encoding="utf-8")
    changed = [name for name, source in written.items() if source not in exported]
    return f"yes, but {changed[0]} has changed since: export it again" if changed else "yes"
