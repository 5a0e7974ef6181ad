"""Run everything, in the order in which it is quickest to fail: `make test`.

Each part says in one line what it is; the first that fails ends the run with its output above.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
PARTS = {
    "unit tests, house rules, exercises": [*PYTEST, "tests", "--ignore", "tests/browser"],
    "notebooks, outputs compared": [
        *PYTEST,
        "--nbval",
        "--nbval-current-env",
        "--nbval-cell-timeout",
        "300",
        "notebooks",
    ],
    "JupyterLab in a browser": [sys.executable, "-m", "pytest", "-q", "tests/browser"],
}


def main() -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    for name, command in PARTS.items():
        print(f"\n== {name}", flush=True)
        code = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if code:
            print(f"== failed: {name}")
            return code
    print(f"\n== all green in {(time.perf_counter() - began) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
