"""The last cell of a chapter: export the reader's modules, load them, and run the chapter's proofs on them."""

import ast
import importlib
import linecache
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from gptlib.exercises.notebook import (
    PACKAGE,
    exported_sources,
    find_notebook,
    source_of,
    tags_of,
    write_module,
)


def reload_modules(names: list[str]) -> dict:
    """Load modules of gptlib anew, and what is loaded that builds on them; their public names and values."""
    qualified = [f"gptlib.{name}" for name in names]
    importlib.invalidate_caches()
    for loaded in builds_on(qualified):
        importlib.reload(sys.modules[loaded])
    modules = [importlib.import_module(name) for name in qualified]
    return {public: getattr(module, public) for module in modules for public in module.__all__}


def builds_on(names: list[str]) -> list[str]:
    """The loaded ones of `names`, and the loaded modules of gptlib that import them, in the order to reload."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("gptlib.")}
    imports = {name: imported_by(module) & loaded.keys() for name, module in loaded.items()}
    stale = set()
    order = list(TopologicalSorter(imports).static_order())
    for name in order:  # the modules that it imports come before it
        if name in names or imports[name] & stale:
            stale.add(name)
    return [name for name in order if name in stale]


def imported_by(module) -> set[str]:
    """The full names that a module of gptlib imports at its top, as they stand in its source."""
    names = set()
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
            names.update({origin, *(f"{origin}.{alias.name}" for alias in node.names)})
    return names - {module.__name__}


def proofs_of(notebook: dict) -> list[tuple[str, str]]:
    """Claim and source of each cell tagged `proof`; the claim is its first comment, or the heading above."""
    heading = ""
    proofs = []
    for cell in notebook["cells"]:
        source = source_of(cell)
        if cell["cell_type"] == "markdown":
            headings = [line for line in source.splitlines() if line.startswith("#")]
            heading = headings[-1] if headings else heading
        elif "proof" in tags_of(cell):
            first = source.splitlines()[0]
            proofs.append(((first if first.startswith("#") else heading).lstrip("# "), source))
    return proofs


def prove(claim: str, source: str, namespace: dict) -> None:
    """Run one proof in `namespace` without showing what it prints; AssertionError when it fails."""
    from IPython.utils.capture import capture_output

    place = f"<proof: {claim}>"
    # the traceback shows lines of the proof from here
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    try:
        with capture_output():
            exec(compile(source, place, "exec"), namespace)
    except Exception as error:
        raise AssertionError(f"this proof fails: {claim}") from error


def export_chapter(name: str, namespace: dict) -> None:
    """Export notebook NAME as it is saved, load its modules, and run the chapter's proofs on them.

    `namespace` is the notebook's `globals()`: it gets the modules' public names. AssertionError names the
    proof that fails. When the notebook is not found or gptlib cannot be written, one line says so.
    """
    try:
        notebook = find_notebook(name)
        sources = exported_sources(notebook, name)
        for module, source in sources.items():
            write_module(PACKAGE / f"{module}.py", source)
    except OSError as error:
        print(f"nothing was exported: {error}")
        return
    modules = list(sources)
    namespace.update(reload_modules(modules))
    print(what_holds(modules, name))
    proofs = proofs_of(notebook)
    for claim, source in proofs:
        prove(claim, source, namespace)
    for_what = "" if not modules else " for it" if len(modules) == 1 else " for them"
    print(f"{len(proofs)} proofs hold{for_what}")


def what_holds(modules: list[str], name: str) -> str:
    """One line on an export: "gptlib/a.py and gptlib/b.py hold the exported cells of NAME"."""
    if not modules:
        return f"{name} has nothing to export"
    *others, last = [f"gptlib/{module}.py" for module in modules]
    if not others:
        return f"{last} holds the exported cells of {name}"
    return f"{', '.join(others)} and {last} hold the exported cells of {name}"
