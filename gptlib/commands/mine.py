"""`mine`: which parts of the book are the reader's own."""

import os
from dataclasses import dataclass

from gptlib import mine
from gptlib.exercises.workbook import overview


@dataclass(frozen=True)
class Mine:
    """List the tasks of the workbooks: which are written, which modules are in use, which are out of date."""


def run_mine(args: Mine) -> None:
    """A line a module that has tasks."""
    place = mine.folder() or mine.HERE.resolve()
    os.environ["GPTLIB_MINE"] = str(place)
    print(overview(place.parent))
