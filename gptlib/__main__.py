"""`python -m gptlib`: the command line of cli.py."""

import sys

from gptlib.cli import main

sys.exit(main())
