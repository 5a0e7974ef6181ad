"""From nothing to a trained model: `python -m tools.measure.cold_start OUT.json`.

Starts the command line's race in a fresh process with an empty compiler cache, three times for each kind of
step, and writes how many seconds after the start of the process the validation loss was at most 1.47. The
compiled ones come last: a killed one's compiler processes would slow the next start.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

GOAL = 1.47


def until_goal(step: str) -> dict:
    """One process: seconds from its start until a validation loss of at most GOAL was recorded."""
    with tempfile.TemporaryDirectory() as place:
        metrics = Path(place) / "run" / "metrics.jsonl"
        command = [sys.executable, "-m", "gptlib", "train", "--preset", "char-gpu-race"]
        command += ["--step", step, "--out", str(metrics.parent)]
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{place}/cache", "TQDM_DISABLE": "1"}
        start = time.time()
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []  # whole lines
                rows = [json.loads(line) for line in lines]
                if any(row.get("val_loss", GOAL + 1) <= GOAL for row in rows):
                    seconds = round(time.time() - start, 2)
                    process.kill()
                    return {
                        "step": step,
                        "seconds": seconds,
                        "first_step": rows[0]["seconds"],
                        "rows": rows[-2:],
                    }
                time.sleep(0.05)
        return {"step": step, "seconds": None, "exit_code": process.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this machine has no CUDA GPU: the race is run there")
    results = []
    for step in ("captured",) * 3 + ("compiled",) * 3:
        results.append(until_goal(step))
        print(json.dumps(results[-1]), flush=True)
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
