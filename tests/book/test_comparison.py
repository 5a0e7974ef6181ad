"""What `pytest --nbval` compares of a notebook's outputs, and what it leaves out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools.chapters import ROOT

pytestmark = pytest.mark.slow
BAR = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass\n"
WARNING = "import sys\nprint('no text: the embedded plays stand in for it', file=sys.stderr)\n"
OTHER_WARNING = "import sys\nprint('not expected', file=sys.stderr)\n"


def failing_cells(folder: Path, cells: list[tuple[str, str]]) -> list[int]:
    """The numbers of the cells, each a source and its stored text, that nbval finds changed."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for source, stored in cells:
        output = nbformat.v4.new_output("stream", name="stdout", text=stored)
        notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output]))
    nbformat.write(notebook, folder / "small.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-rf"]
    done = subprocess.run(
        [*command, "--nbval", "--nbval-current-env", "small.ipynb"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return [int(number) for number in re.findall(r"^FAILED small.ipynb::Cell (\d+)", done.stdout, re.M)]


def test_what_is_printed_is_compared_beside_bars_and_the_stand_ins_warning(tmp_path):
    cells = [(f"{extra}print(42)", stored) for extra in ("", BAR, WARNING) for stored in ("42\n", "43\n")]
    assert failing_cells(tmp_path, [*cells, (f"{OTHER_WARNING}print(42)", "42\n")]) == [1, 3, 5, 6]
