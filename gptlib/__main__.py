"""`python -m gptlib`: the command line of cli.py. `--mine` comes first of all: it decides what is imported."""

import os
import sys

if int(os.environ.get("RANK", 0)):  # of several processes that torchrun started, number 0 speaks
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")

from gptlib import mine  # noqa: E402

sys.argv[1:] = mine.taken_from(sys.argv[1:])

from gptlib.cli import leave, main  # noqa: E402

leave(main())
