"""Which module of gptlib imports which, also inside functions, as their sources say."""

import ast
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path


def imports(package: Path) -> dict[str, set[str]]:
    """For each module below a package ("gptlib.widgets.kit.pen"), the modules of the package it imports."""
    files = {module_name(path, package): path for path in package.rglob("*.py")}
    return {name: imported_by(name, path) & files.keys() for name, path in files.items()}


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_by(name: str, path: Path) -> set[str]:
    """The full names that a module imports; `from a import b` counts as a, and as a.b if that is a module."""
    parent = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), parent)
            submodules = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {origin, *submodules}
    return found - {name}


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of imports, [] where there is none."""
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def upwards(arrows: dict[str, set[str]], order: list[str]) -> list[str]:
    """Imports by a module in `order` of one that does not come before it, the package itself aside."""
    place = {f"gptlib.{module}": number for number, module in enumerate(order)}
    return [
        f"{name} imports {other}"
        for name in place
        for other in sorted(arrows.get(name, ()))
        if other != "gptlib" and place.get(other, len(order)) >= place[name]
    ]
