"""The checks of the reader's tasks: a file a module, written from the proofs that the chapters show.

`check_NAME(NAME)` raises NotYet with what is wrong. Each gets one definition and nothing else of a notebook.
"""

import importlib
import importlib.util
from collections.abc import Callable


def checks_of(module: str) -> dict[str, Callable]:
    """The checks of a module's tasks by the name of the definition; {} where the book poses none."""
    name = f"{__name__}.{module}"
    if importlib.util.find_spec(name) is None:
        return {}
    found = vars(importlib.import_module(name))
    return {key.removeprefix("check_"): check for key, check in found.items() if key.startswith("check_")}
