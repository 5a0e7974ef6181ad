"""What chapter 14 shows of one CUDA GPU: `python -m tools.measure.timeline data/runs/speed/gpu.json`.

It takes about six minutes. Each part runs in a process of its own; one that fails is named in "failed", the
others go on. `steps` is launched again while there is time, since launches differ by more than repeats do.
`--tiny` tries all parts that a machine can run, with small models.
"""

import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gptlib.files import write_text
from tools.chapters import ROOT
from tools.measure import command_line, need_cuda
from tools.measure.losses import in_three_ways, in_triton
from tools.measure.machine import ceilings, machine
from tools.measure.profiles import large, profiles
from tools.measure.rows import equality, steps
from tools.measure.sizes import FULL, ON_GPU, SMALL, Sizes


def writing(sizes: Sizes) -> dict:
    """Tokens a second in each way of chapter 12 and of this one."""
    from tools.measure.bench import bench_generation

    return {row["name"]: {"median": row["median"], "spread": row["spread"]} for row in bench_generation()}


PARTS = {
    "ceilings": ceilings,
    "steps": steps,
    "again": functools.partial(steps, more=False),
    "profiles": profiles,
    "equality": equality,
    "loss": in_three_ways,
    "triton": in_triton,
    "large": large,
    "writing": writing,
}


def write(path: Path, found: dict) -> None:
    """As JSON, a list of numbers in one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1)
    write_text(path, re.sub(r"\[[^\[\]{}]*\]", lambda one: " ".join(one[0].split()), text) + "\n")


def in_a_process(part: str, tiny: bool) -> tuple[dict | None, str]:
    """What a part found in a process of its own, or None and its last words."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "part.json"
        command = [
            sys.executable,
            "-m",
            "tools.measure.timeline",
            str(out),
            "--part",
            part,
            *(["--tiny"] * tiny),
        ]
        ended = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
        sys.stderr.write(ended.stderr[-3000:])
        if ended.returncode:
            return None, ended.stderr[-1500:]
        return json.loads(out.read_text(encoding="utf-8")), ""


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", choices=PARTS, help="this one, in this process")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these, into a file that is there")
    parser.add_argument("--launches", type=int, default=6, help="of the steps, at most")
    parser.add_argument(
        "--seconds", type=float, default=340, help="after three launches none begins that would end later"
    )
    parser.add_argument("--tiny", action="store_true", help="small models: to try the parts")
    args = parser.parse_args()
    if not args.tiny:
        need_cuda(parser, "there is nothing to look at; --tiny tries the parts")
    torch._dynamo.config.recompile_limit = 64  # one process trains many models
    if args.part:
        write(args.out, PARTS[args.part](SMALL if args.tiny else FULL))
        return
    began = time.monotonic()
    found: dict = {**machine(), "launches": [], "failed": {}}
    if args.only:
        found = json.loads(args.out.read_text(encoding="utf-8"))
        if found["device"] != machine()["device"]:
            parser.error(f"{args.out} is of {found['device']}, this machine has {machine()['device']}")
    took: dict[str, float] = {}

    def run(part: str) -> None:
        start = time.monotonic()
        print(f"{part} … {start - began:.0f} s", file=sys.stderr, flush=True)
        result, words = in_a_process(part, args.tiny)
        took[part] = time.monotonic() - start
        if result is None:
            found["failed"][part] = words
        elif part in ("steps", "again"):
            found["launches"].append(result)
        else:
            found[part] = result
        write(args.out, found)  # so far

    for part in args.only or PARTS:
        if part in ("triton", "writing") and not ON_GPU:
            continue
        if part == "writing" and not args.only and time.monotonic() - began > args.seconds - 30:
            continue
        run(part)
    while (
        not args.only
        and len(found["launches"]) < args.launches
        and not found["failed"].keys() & {"steps", "again"}
    ):
        if len(found["launches"]) >= 3 and time.monotonic() - began + took["again"] > args.seconds:
            break
        run("again")
    seconds = time.monotonic() - began
    failed = ", ".join(found["failed"]) or "none"
    print(f"{args.out}: {len(found['launches'])} launches, {seconds:.0f} s; failed: {failed}")


if __name__ == "__main__":
    main()
