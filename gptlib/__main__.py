"""`python -m gptlib`: the command line of cli.py. `--mine` comes first of all: it decides what is imported."""

import sys

from gptlib import mine

sys.argv[1:] = mine.taken_from(sys.argv[1:])

from gptlib.cli import main  # noqa: E402

sys.exit(main())
