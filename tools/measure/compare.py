"""Our runs beside nanoGPT's on one GPU: `python -m tools.measure.compare PATH`, PATH a checkout of nanoGPT.

Three rounds of short parts, theirs and ours in turn, each a process of its own: nanoGPT's published
configuration for Shakespeare's characters, our presets `char-gpu-race` and `char-gpu-best` (all three from an
empty compiler cache), and a training step at GPT-2's size with 16 and with 32 windows. Each part carries the
GPU's serial number and a baseline, the speed of a bf16 matrix product just before it. The checkout is copied;
nothing is written into it.
"""

import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gptlib.data import load_corpus
from gptlib.runs import read_records
from tools.chapters import ROOT
from tools.files import write_json
from tools.measure import DATA, command_line, need_cuda
from tools.measure.steps import product_times, teraflops

GOAL = 1.47
PREPARE = """
import runpy, sys, types
sys.modules["requests"] = types.ModuleType("requests")  # the text is there: nothing is fetched
runpy.run_path("prepare.py")
"""


def gpu() -> dict:
    """What a part ran on: the GPU's name and serial number, and how fast a bf16 product is there just now."""
    query = ["nvidia-smi", "--query-gpu=name,serial", "--format=csv,noheader", f"--id={visible_gpu()}"]
    output = subprocess.run(query, capture_output=True, encoding="utf-8", check=True).stdout
    name, serial = output.strip().split(", ")
    product = statistics.median(product_times(torch.bfloat16))
    return {"gpu": name, "serial": serial, "product_tflops": round(teraflops(product))}


def visible_gpu() -> str:
    """The number by which nvidia-smi knows PyTorch's first GPU."""
    return (os.environ.get("CUDA_VISIBLE_DEVICES") or "0").split(",")[0]


def process(command: list, folder: Path, cache: Path | None = None, watch=lambda seconds: None):
    """Run a program: its output, and when it began. Exits with its last lines if it fails.

    `watch` is called again and again with the seconds since then.
    """
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "TQDM_DISABLE": "1"}
    if cache:
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        began = time.monotonic()
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        while running.poll() is None:
            time.sleep(0.05)
            watch(time.monotonic() - began)
        output.seek(0)
        said = output.read()
    if running.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{said[-2000:]}")
    return said, began


def prepared(checkout: Path, place: Path) -> Path:
    """A copy of nanoGPT with the characters prepared by its own script."""
    copy = place / "nanoGPT"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git"))
    characters = copy / "data" / "shakespeare_char"
    (characters / "input.txt").write_text(load_corpus().text, encoding="utf-8", newline="")
    process([sys.executable, "-c", PREPARE], characters)
    return copy


def their_characters(nanogpt: Path, place: Path, arguments: list[str]) -> dict:
    """Their published configuration: when its estimate came to GOAL, its lowest, that model's exact loss."""
    script, out = ROOT / "tools" / "measure" / "nanogpt.py", place / "theirs.json"
    command = [sys.executable, script, out, "config/train_shakespeare_char.py", *arguments]
    _, began = process(command, nanogpt, Path(tempfile.mkdtemp(dir=place)))
    found = json.loads(out.read_text(encoding="utf-8"))
    return {**their_times(found["lines"], began), "exact": found["exact"], "exact_step": found["exact_step"]}


def their_times(lines: list, began: float) -> dict:
    """Seconds and losses from what nanoGPT prints. The first iteration, which compiles, is no training."""
    losses = [(at, int(m[1]), float(m[2])) for at, m in found(lines, r"step (\d+): .*val loss ([\d.]+)")]
    iterations = [(at, int(m[1])) for at, m in found(lines, r"iter (\d+): ")]
    first = iterations[0][0]
    # the time that it prints is the host's, which runs ahead of the GPU: what lies between two lines counts
    pairs = [(b - a) / (j - i) for (a, i), (b, j) in itertools.pairwise(iterations[1:])]
    seconds = statistics.median(pairs)
    times = {"step_ms": 1e3 * seconds, "lowest_estimate": min(loss for _, _, loss in losses)}
    for at, step, loss in losses:
        if loss <= GOAL:
            training = {"with_evaluation": at - first, "without_evaluation": step * seconds}
            return {**times, **training, "wall": at - began, "at_step": step}
    return times


def found(lines: list, pattern: str) -> list:
    """Time and match of each line that begins with the pattern."""
    return [(at, match) for at, line in lines if (match := re.match(pattern, line))]


def our_characters(preset: str, place: Path) -> dict:
    """One of our presets by the command line, its losses exact."""
    folder, cache = (Path(tempfile.mkdtemp(dir=place)) / name for name in ("run", "cache"))
    command = [sys.executable, "-m", "gptlib", "train", "--preset", preset, "--out", folder]
    times = {}

    def watch(seconds: float) -> None:
        if "wall" not in times and any(row.get("val_loss", 9) <= GOAL for row in read_records(folder)):
            times["wall"] = seconds

    process(command, ROOT, cache, watch)
    return {**our_times(read_records(folder)), **times}


def our_times(rows: list[dict]) -> dict:
    """Seconds and losses from a run's records. The first step, which sets up, is no training."""
    first, evaluating, reached, before = rows[0]["seconds"], 0.0, None, rows[0]["seconds"]
    speeds = [row["tokens_per_second"] for row in rows[1:] if "tokens_per_second" in row]
    for row in rows:
        if "val_loss" in row:
            evaluating += row["seconds"] - before
            if row["val_loss"] <= GOAL and not reached:
                reached = {
                    "with_evaluation": row["seconds"] - first,
                    "without_evaluation": row["seconds"] - first - evaluating,
                    "at_step": row["step"],
                }
        before = row["seconds"]
    losses = [row["val_loss"] for row in rows if "val_loss" in row]
    return {"tokens": statistics.median(speeds), **(reached or {}), "lowest": min(losses), "last": losses[-1]}


def their_step(nanogpt: Path, windows: int) -> dict:
    """The time of a step at GPT-2's size by nanoGPT's bench.py."""
    command = [sys.executable, "bench.py", f"--batch_size={windows}", "--real_data=False"]
    output, _ = process(command, nanogpt)
    ms = float(re.search(r"time per iteration: ([\d.]+)ms", output)[1])
    return {"ms": ms, "tokens": 1e3 * windows * 1024 / ms}


def our_step(windows: int) -> dict:
    """The same by our preset's model."""
    output, _ = process([sys.executable, "-m", "tools.measure.gpt2_step", str(windows)], ROOT)
    return json.loads(next(line for line in output.splitlines() if line.startswith("{")))


def summary(parts: list[dict]) -> str:
    """Medians and ranges of each part's numbers."""
    lines = []
    for name in dict.fromkeys(part["part"] for part in parts):
        same = [part for part in parts if part["part"] == name]
        for key, value in same[0].items():
            values = [part[key] for part in same if isinstance(part.get(key), (int, float))]
            if values and isinstance(value, (int, float)):
                median = statistics.median(values)
                lines.append(f"{name:32} {key:20} {median:12.6g}   {min(values):.6g} … {max(values):.6g}")
    return "\n".join(lines)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("checkout", type=Path, help="nanoGPT's folder")
    parser.add_argument("--out", type=Path, default=DATA / "runs" / "speed" / "compare.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="parts by their names, or beginnings of them")
    parser.add_argument("--theirs", nargs="*", default=[], help="more for their train.py: max_iters=3000")
    args = parser.parse_args()
    need_cuda(parser, "the comparison is one of GPUs")
    for name in ("train.py", "bench.py", "config/train_shakespeare_char.py"):
        if not (args.checkout / name).exists():
            parser.error(f"{args.checkout} is no checkout of nanoGPT: {name} is missing")
    parts = json.loads(args.out.read_text(encoding="utf-8"))["parts"] if args.out.exists() else []
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        nanogpt = prepared(args.checkout, place)
        more = [f"--{setting}" for setting in args.theirs]
        kinds = {
            "nanoGPT, characters": lambda: their_characters(nanogpt, place, more),
            "ours, char-gpu-race": lambda: our_characters("char-gpu-race", place),
            "nanoGPT, 124M, 16 windows": lambda: their_step(nanogpt, 16),
            "ours, 124M, 16 windows": lambda: our_step(16),
            "nanoGPT, 124M, 32 windows": lambda: their_step(nanogpt, 32),
            "ours, 124M, 32 windows": lambda: our_step(32),
            "ours, char-gpu-best": lambda: our_characters("char-gpu-best", place),
        }
        for number in range(1, args.rounds + 1):
            for name, measure in kinds.items():
                if args.only and not name.startswith(tuple(args.only)):
                    continue
                parts.append({"part": name, "round": number, **gpu(), **measure()})
                print(json.dumps(parts[-1]), flush=True)
                write_json(args.out, {"torch": torch.__version__, "theirs": args.theirs, "parts": parts})
    print(summary(parts))


if __name__ == "__main__":
    main()
