"""Run the tests, what fails quickest first: `make check`, `make test`, `make full`, or without make

    python -m tests.run check

Each part says in one line what it is; the first that fails ends the run with its output above.
"""

import argparse
import os
import subprocess
import sys
import time

from tools.chapters import ROOT, chapters

PYTHON = [sys.executable, "-m"]
TWO_AT_A_TIME = [*PYTHON, "pytest", "-q", "-n", "2", "--dist", "loadfile"]
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "300"]
# The last chapter takes longest: it is begun first, so that both processes end together.
LAST_FIRST = [f"notebooks/{chapter.stem}.ipynb" for chapter in reversed(chapters())]
# All that no notebook exports: the formatter leaves what a reader sees on a page as it is.
EXPORTED = {module for chapter in chapters() for module in chapter.modules}
BY_HAND = ["conftest.py", "data", "tests", "tools", "web"]
BY_HAND += ["gptlib/commands", "gptlib/exercises", "gptlib/widgets"]
BY_HAND += [f"gptlib/{file.name}" for file in sorted(ROOT.glob("gptlib/*.py")) if file.stem not in EXPORTED]
PARTS = {
    "lint": [*PYTHON, "ruff", "check", "."],
    "format": [*PYTHON, "ruff", "format", "--check", *BY_HAND],
    "export": [*PYTHON, "tools.notebooks", "export", "--check"],
    "quick tests": [*TWO_AT_A_TIME, "tests", "--ignore", "tests/browser", "-m", "not slow"],
    "tests": [*TWO_AT_A_TIME, "tests", "--ignore", "tests/browser"],
    "notebooks, outputs compared": [*TWO_AT_A_TIME, "--no-loadscope-reorder", *NBVAL, *LAST_FIRST],
    "JupyterLab in a browser": [*TWO_AT_A_TIME, "tests/browser"],
    "stress": [*PYTHON, "pytest", "-q", "-m", "stress", "tests"],
}
RUNS = {
    "check": ["lint", "format", "export", "quick tests"],
    "test": ["lint", "format", "export", "tests", "notebooks, outputs compared", "JupyterLab in a browser"],
    "stress": ["stress"],
}
RUNS["full"] = [*RUNS["test"], "stress"]


def environment(part: str) -> dict[str, str]:
    """One thread for each process; `stress` asks the tests that have it to take longer."""
    more = {"GPTLIB_STRESS": "1"} if part == "stress" else {}
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", choices=RUNS, help="check: no notebooks, no browser; full: with stress")
    began = time.perf_counter()
    for part in RUNS[parser.parse_args().run]:
        print(f"\n== {part}", flush=True)
        code = subprocess.run(PARTS[part], cwd=ROOT, env=environment(part)).returncode
        if code:
            print(f"== failed: {part}")
            return code
    print(f"\n== all green in {(time.perf_counter() - began) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
