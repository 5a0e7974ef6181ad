"""`make chapter NAME=example` in a fresh copy of the book: all that looks at a chapter is green at once."""

import os
import subprocess
import sys

import pytest
from book_files import ROOT, book_files

from tools.chapters import chapters
from tools.skeleton import check_name

pytestmark = pytest.mark.slow
# the house rules, the list of chapters, the package, its checkers, its own tests, and its outputs
LOOK_AT_IT = [f"tests/book/test_{name}.py" for name in ("house_rules", "chapters", "package")]
LOOK_AT_IT += ["tests/exercises", "tests/gptlib/test_example.py"]
LOOK_AT_IT += ["--nbval", "--nbval-current-env", "notebooks/18_example.ipynb"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A copy of the book in which the chapter was begun, and what the command printed."""
    book = tmp_path_factory.mktemp("copy") / "book"
    for file in book_files():
        copy = book / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    done = run(book, "tools.notebooks", "chapter", "example")
    assert done.returncode == 0, done.stderr
    return book, done.stdout.split()


def run(book, module, *arguments):
    """`python -m MODULE` in the copy, with the copy's own gptlib."""
    environment = {**os.environ, "PYTHONPATH": str(book)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True)


def test_it_writes_the_chapters_files(book):
    book, printed = book
    assert printed == [
        "notebooks/18_example.ipynb",
        "gptlib/example.py",
        "gptlib/exercises/chapters/example.py",
        "gptlib/exercises/solutions/example.py",
        "tests/exercises/answers/example.py",
        "tests/gptlib/test_example.py",
    ]
    assert all((book / path).exists() for path in printed)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "gptlib/exercises", "tests"],
        ["tools.notebooks", "export", "--check"],
        ["pytest", "-q", *LOOK_AT_IT, "-k", "example or row or tables or imports or noun"],
    ],
    ids=["lint", "format", "export", "tests and nbval"],
)
def test_it_is_green(command, book):
    done = run(book[0], *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_exists_then(book):
    done = run(book[0], "tools.notebooks", "chapter", "example")
    complaint = "'example' exists already, see gptlib/example.py: choose another name\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", complaint)


@pytest.mark.parametrize(
    "name, complaint",
    [
        ("2nd", "'2nd' is no name for a chapter: give a lower-case identifier such as retrieval"),
        ("class", "'class' is no name for a chapter"),
        ("Attention", "'Attention' is no name for a chapter"),
        ("attention", "'attention' exists already, see gptlib/attention.py: choose another name"),
        ("full_run", "'full_run' exists already, see "),
        ("widgets", "'widgets' exists already, see gptlib/widgets"),
        ("cli", "'cli' exists already, see gptlib/cli.py"),
    ],
)
def test_other_names_are_refused(name, complaint):
    with pytest.raises(SystemExit, match=f"^{complaint}"):
        check_name(name, chapters())
