"""The web book as files: what Sphinx reads, and the static files, from notebooks and chapters.toml."""

import hashlib
import html
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.cmd.build import main as sphinx

from gptlib.exercises.notebook import tags_of
from gptlib.files import remove, replacing, write_text
from tools.chapters import ROOT, Chapter, chapters
from tools.notebooks import with_repository
from web import glossary, names
from web.addresses import Addresses, addresses
from web.formulas import write_font
from web.front import front, written_by
from web.page import Pages

HERE = Path(__file__).resolve().parent


def build(out: Path, work: Path) -> int:
    """Write the pages into `out`, whole or not at all; `work` is read again in the next build.

    Returns Sphinx's exit code.
    """
    source, static, pages = work / "source", work / "static", work / "html"
    prepare(source, static)
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.glob("*.*")))).hexdigest()
    options = ["-q", "-W", "--keep-going", "-j", "auto", "-c", str(HERE), "-d", str(work / "doctrees")]
    options += ["-D", f"nb_execution_cache_path={work / 'cache'}"]  # nothing is executed; MyST-NB makes it
    options += ["-D", f"book_version={version}", "-D", f"html_static_path={HERE / 'static'},{static}"]
    code = sphinx([*options, str(source), str(pages)])
    if code == 0:
        publish(pages, out)
    return code


def publish(pages: Path, out: Path) -> None:
    """Copy the pages into the folder `out`, without what Sphinx keeps for itself."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        shutil.copytree(
            pages, temporary, ignore=shutil.ignore_patterns(".buildinfo", "objects.inv", "_sources")
        )
        (temporary / ".nojekyll").touch()  # GitHub Pages leaves out folders such as _static without it
        remove(out)


def prepare(source: Path, static: Path) -> None:
    """Write what Sphinx reads: a notebook a page, the first page, the glossary and the index of names."""
    book, where = chapters(), addresses()
    pages = Pages(static, places())
    built: list[names.Name] = []
    for chapter in book:
        notebook = read(ROOT / "notebooks" / f"{chapter.stem}.ipynb")
        built += names.names_of(notebook, chapter)
        if chapter is book[0]:
            save(source / "index.md", front(book, written_by(notebook)))
        for folder in ("notebooks", "notebooks/workbook"):
            path = Path(folder, f"{chapter.stem}.ipynb")
            save(static / path, nbformat.writes(prepared(read(ROOT / path), where)))
        page = pages.page(notebook, chapter, header(chapter, where))
        save(source / f"{chapter.stem}.ipynb", nbformat.writes(page))
    save(source / "glossary.md", glossary.glossary())
    save(source / "names.md", names.index(built))
    glossary.Links.names = {name.name: name for name in reversed(built)}
    write_font(static / "math.woff")
    if (HERE / "live").is_dir():
        shutil.copytree(HERE / "live", static / "live", dirs_exist_ok=True)
    if find_spec("web.weights"):
        from web import weights

        weights.write(static / "live")


def read(path: Path) -> NotebookNode:
    """A notebook."""
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def save(path: Path, text: str) -> None:
    """Write a text unless the file has it already: what has not changed is not read again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def places() -> dict[str, dict]:
    """Which cells have a live widget: {chapter: {cell: {"live": …, "options": …}}}."""
    path = HERE / "live" / "places.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def prepared(notebook: NotebookNode, where: Addresses) -> NotebookNode:
    """A notebook for download: its setup cell names the repository that publishes the pages."""
    for cell in notebook.cells:
        if "setup" in tags_of(cell) and where.repository:
            cell.source = with_repository(cell.source, f"https://github.com/{where.repository}")
    return notebook


def header(chapter: Chapter, where: Addresses) -> str:
    """The line below a chapter's heading: its notebook in Colab, its workbook, its file."""
    notebook, workbook = f"notebooks/{chapter.stem}.ipynb", f"notebooks/workbook/{chapter.stem}.ipynb"
    links = {
        "Open in Colab": where.colab(notebook),
        "Open the workbook": where.colab(workbook) or f"_static/{workbook}",
        "Download": f"_static/{notebook}",
    }
    items = "".join(
        f'<a href="{html.escape(link)}"{" download" if link.startswith("_static") else ""}>{name}</a>'
        for name, link in links.items()
        if link
    )
    return f'<p class="notebook">{items}</p>'
