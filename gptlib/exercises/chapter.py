"""The last cell of a chapter: export the reader's own module, load it, and prove it again."""

import ast
import importlib
import json
import linecache
import os
import sys
import tempfile
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # gptlib/, beside notebooks/ in the book's folder


def source_of(cell: dict) -> str:
    """A cell's text, which notebook files hold as one string or as a list of lines."""
    return "".join(cell["source"])


def tags_of(cell: dict) -> list[str]:
    """A cell's tags, [] where it has none."""
    return cell["metadata"].get("tags", [])


def read_notebook(path: Path) -> dict:
    """The notebook as plain dictionaries and lists."""
    return json.loads(path.read_text(encoding="utf-8"))


def exports_of(notebook: dict) -> str | None:
    """The module that a notebook exports to, from its `#| default_exp` line; None when it has none."""
    for cell in notebook["cells"]:
        for line in source_of(cell).splitlines():
            if cell["cell_type"] == "code" and line.startswith("#| default_exp "):
                return line.split()[-1]
    return None


def exported_source(notebook: dict, name: str) -> str:
    """The module that nbdev makes of the `#| export` cells of the notebook called `name`."""
    from nbdev.export import nb_export  # slow to load, and only exports need it

    # nbdev writes paths and imports relative to where the files lie: this folder is laid out like the book
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "notebooks" / f"{name}.ipynb"
        copy.parent.mkdir()
        copy.write_text(json.dumps(notebook), encoding="utf-8")
        nb_export(copy, lib_path=Path(folder) / "gptlib")
        return (Path(folder) / "gptlib" / f"{exports_of(notebook)}.py").read_text(encoding="utf-8")


def write_module(path: Path, source: str) -> bool:
    """Write a module unless it holds just that; True when it changed.

    A temporary file is renamed, so that nobody who imports the module meanwhile sees half of it.
    """
    if path.exists() and path.read_text(encoding="utf-8") == source:
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(source, encoding="utf-8")
    os.replace(temporary, path)
    return True


def open_in_colab() -> dict | None:
    """The notebook as it stands in the browser, on Colab; None elsewhere, or when Colab does not hand it out.

    An open notebook lies in no file there that the kernel could read.
    """
    if "google.colab" not in sys.modules:
        return None
    try:
        from google.colab import _message

        return _message.blocking_request("get_ipynb", timeout_sec=10)["ipynb"]
    except Exception:  # not a documented interface: whatever goes wrong, the cloned book has a copy
        return None


def find_notebook(name: str) -> dict:
    """The notebook as the reader has it; FileNotFoundError with the remedy."""
    if notebook := open_in_colab():
        return notebook
    for folder in (Path(), Path("notebooks"), PACKAGE.parent / "notebooks"):
        if (path := folder / f"{name}.ipynb").exists():
            if "google.colab" in sys.modules:
                print(f"{name} is taken from {path}: what you changed in the browser is not in it")
            return read_notebook(path)
    raise FileNotFoundError(f"{name}.ipynb is not in notebooks/: save it there under this name")


def reload_module(name: str) -> dict:
    """Load gptlib.NAME anew, and what is loaded that builds on it; returns NAME's public names and values."""
    qualified = f"gptlib.{name}"
    importlib.invalidate_caches()
    if qualified not in sys.modules:
        importlib.import_module(qualified)
    else:
        for loaded in [qualified, *dependents(qualified)]:
            importlib.reload(sys.modules[loaded])
    module = sys.modules[qualified]
    return {public: getattr(module, public) for public in module.__all__}


def dependents(name: str) -> list[str]:
    """The loaded modules of gptlib that import `name`, also through others, in the order to reload them."""
    loaded = {n: module for n, module in sys.modules.items() if n.startswith("gptlib.")}
    imports = {n: imported_by(m) & loaded.keys() for n, m in loaded.items()}
    stale = {name}
    order = [n for n in TopologicalSorter(imports).static_order() if n != name]
    for n in order:  # what a module imports comes before it
        if imports[n] & stale:
            stale.add(n)
    return [n for n in order if n in stale]


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
    heading, proofs = "", []
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
    linecache.cache[place] = (
        len(source),
        None,
        source.splitlines(keepends=True),
        place,
    )  # lines for the traceback
    try:
        with capture_output():
            exec(compile(source, place, "exec"), namespace)
    except Exception as error:
        raise AssertionError(f"this proof fails: {claim}") from error


def export_chapter(name: str, namespace: dict) -> None:
    """Export notebook NAME as it is saved, load the module, and run the chapter's proofs on it.

    `namespace` is the notebook's `globals()`: it gets the module's public names. AssertionError names the
    proof that fails. When the notebook is not found or gptlib cannot be written, one line says so.
    """
    try:
        notebook = find_notebook(name)
        module = exports_of(notebook)
        if module is not None:
            write_module(PACKAGE / f"{module}.py", exported_source(notebook, name))
    except OSError as error:
        print(f"nothing was exported: {error}")
        return
    if module is None:
        print(f"{name} has nothing to export")
    else:
        namespace.update(reload_module(module))
        print(f"gptlib/{module}.py holds the exported cells of {name}")
    proofs = proofs_of(notebook)
    for claim, source in proofs:
        prove(claim, source, namespace)
    print(f"{len(proofs)} proofs hold" + ("" if module is None else " for it"))
