"""Which names a definition takes, and which its module has: what only the page knows would be missing there."""

import builtins
import dis
import inspect
import re
import symtable

from gptlib.exercises.notebook import modules_of, source_of

PAGE_ONLY = {"display", "get_ipython"}  # IPython puts them beside Python's own names


def names_exported(notebook: dict, module: str, ran=()) -> set[str]:
    """The names that a module of the notebook has, Python's own among them. `ran`: texts of cells that were run."""
    cells = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = set(dir(builtins)) - PAGE_ONLY
    for cell in [*cells, *ran]:
        directive = re.match(r"#\| *exporti? *(\w*)\n", cell)
        if directive and (directive[1] or modules_of(notebook)[0]) == module:
            names |= names_set_in(cell)
    return names


def names_set_in(source: str) -> set[str]:
    """The names that a cell's text imports, defines or assigns at its top; none if it is no plain Python."""
    try:
        symbols = symtable.symtable(source, "<cell>", "exec").get_symbols()
    except SyntaxError:
        return set()
    return {s.get_name() for s in symbols if s.is_imported() or s.is_assigned()}


def names_taken_by(thing) -> set[str]:
    """The global names that a function, or a class in its methods, looks up."""
    if inspect.isclass(thing):
        inside = [
            getattr(value, "fget", None) or getattr(value, "__func__", value)
            for value in vars(thing).values()
        ]
        return set().union(*(names_taken_by(value) for value in inside if inspect.isfunction(value)))
    codes, names = [inspect.unwrap(thing).__code__], set()
    for code in codes:  # the list grows by the functions inside
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
        names |= {
            step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        }
    return names
