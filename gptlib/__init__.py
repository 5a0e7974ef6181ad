"""GPT-2 from first principles: the modules that the book's notebooks build."""

import os
from pathlib import Path

__version__ = "0.1.0"

# Then every call is held against the shapes and types in its signature: in tests, and for readers who look
# for a mistake. It costs time, and torch.compile does not understand it.
if os.environ.get("GPTLIB_CHECK_SHAPES"):
    from beartype import BeartypeConf, beartype
    from jaxtyping import install_import_hook

    check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # 1 will do where 1.0 is asked for
    modules = [
        f"gptlib.{path.stem}" for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem != "cli"
    ]
    install_import_hook(modules, "gptlib.check")

if os.environ.get("GPTLIB_MINE"):  # the reader's own modules in the place of the book's
    from gptlib import mine

    mine.install()
