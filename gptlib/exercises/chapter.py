"""The last cell of a chapter: export the reader's own module, load it, and prove it again."""

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the book's folder, which holds notebooks/ and gptlib/


def exports_of(notebook: Path) -> str | None:
    """The module that a notebook exports to, from its `#| default_exp` line; None when it has none."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "code" and line.startswith("#| default_exp "):
                return line.split()[-1]
    return None


def exported_source(notebook: Path) -> str:
    """The module that nbdev makes of a notebook's `#| export` cells."""
    from nbdev.export import nb_export  # takes a second to load, and only exports need it

    with tempfile.TemporaryDirectory(prefix=".export-", dir=notebook.resolve().parents[1]) as folder:
        nb_export(notebook.resolve(), lib_path=folder)
        return (Path(folder) / f"{exports_of(notebook)}.py").read_text(encoding="utf-8")


def export_notebook(notebook: Path) -> bool:
    """Write a notebook's module into gptlib/ beside notebooks/; True when that changed it.

    A temporary file is renamed, so that nobody who imports the module meanwhile sees half of it.
    """
    source = exported_source(notebook)
    module = notebook.resolve().parents[1] / "gptlib" / f"{exports_of(notebook)}.py"
    if module.exists() and module.read_text(encoding="utf-8") == source:
        return False
    temporary = module.with_name(f".{module.name}.{os.getpid()}.tmp")
    temporary.write_text(source, encoding="utf-8")
    os.replace(temporary, module)
    return True


def find_notebook(name: str) -> Path:
    """notebooks/NAME.ipynb of the book, or FileNotFoundError with the remedy."""
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    if not notebook.exists():
        raise FileNotFoundError(f"{notebook} does not exist: keep the notebook's name and save it in that folder")
    return notebook


def proofs_of(notebook: Path) -> list[str]:
    """The sources of the cells tagged `proof`."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if "proof" in cell["metadata"].get("tags", [])]


def reload_module(name: str, namespace: dict) -> None:
    """Load gptlib.NAME again and put its public names into `namespace`."""
    qualified = f"gptlib.{name}"
    importlib.invalidate_caches()
    module = importlib.reload(sys.modules[qualified]) if qualified in sys.modules else importlib.import_module(qualified)
    namespace.update({public: getattr(module, public) for public in module.__all__})


def export_chapter(name: str, namespace: dict) -> None:
    """Export notebook NAME as it is saved, load the module, and run the chapter's proofs on it.

    AssertionError names the proof that fails.
    """
    notebook = find_notebook(name)
    module = exports_of(notebook)
    if module is None:
        print(f"{name} exports no module")
    else:
        export_notebook(notebook)
        reload_module(module, namespace)
        print(f"gptlib/{module}.py holds the exported cells of {name}")
    proofs = proofs_of(notebook)
    for source in proofs:
        claim = source.splitlines()[0].lstrip("# ")
        try:
            exec(compile(source, f"<proof: {claim}>", "exec"), namespace)
        except Exception as error:
            raise AssertionError(f"this proof fails: {claim}") from error
    print(f"{len(proofs)} proofs hold" + ("" if module is None else " for it"))
