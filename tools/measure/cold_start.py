"""From nothing to a trained model: `python -m tools.measure.cold_start OUT.json`.

Starts the command line's race in a fresh process with an empty compiler cache, three times for each kind of
step, and writes how many seconds after the start of the process the validation loss was at most 1.47. The
compiled ones come last: a killed one's compiler processes would slow the next start.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.files import write_json
from tools.measure import command_line, need_cuda

GOAL = 1.47


def until_goal(step: str) -> dict:
    """One process: seconds from its start until a validation loss of at most GOAL was recorded."""
    with tempfile.TemporaryDirectory() as place:
        metrics = Path(place) / "run" / "metrics.jsonl"
        command = [sys.executable, "-m", "gptlib", "train", "--preset", "char-gpu-race"]
        command += ["--step", step, "--out", str(metrics.parent)]
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{place}/cache", "TQDM_DISABLE": "1"}
        start = time.monotonic()
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                rows = records(metrics)
                if any(row.get("val_loss", GOAL + 1) <= GOAL for row in rows):
                    seconds = round(time.monotonic() - start, 2)
                    process.kill()
                    first = rows[0]["seconds"]
                    return {"step": step, "seconds": seconds, "first_step": first, "rows": rows[-2:]}
                time.sleep(0.05)
        return {"step": step, "seconds": None, "exit_code": process.returncode}


def records(metrics: Path) -> list[dict]:
    """The whole lines of a file that is being written."""
    if not metrics.exists():
        return []
    return [json.loads(line) for line in metrics.read_text(encoding="utf-8").split("\n")[:-1]]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    need_cuda(parser, "the race is run there")
    results = []
    for step in ("captured",) * 3 + ("compiled",) * 3:
        results.append(until_goal(step))
        print(json.dumps(results[-1]), flush=True)
        write_json(args.out, results)


if __name__ == "__main__":
    main()
