"""Training on several processes, measured: `python -m tools.measure.scale --out data/runs/scale/gpus.json`.

One and N GPUs of one host (all of them, or `--processes N`), at both sizes: the time of a step with the
same batch for each GPU (weak scaling) and with one batch shared among them (strong scaling), the same without
communication, the bandwidth of all-reduce, FSDP2, and the proof that N processes compute what one computes.
Each part runs under torchrun and is stored as soon as it is done; one that fails is stored as its error.
Without a CUDA GPU, `--tiny` tries the program itself on two processes that talk through gloo.
"""

import dataclasses
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS, TrainConfig
from gptlib.data import Batches
from gptlib.files import write_text
from gptlib.gpt import GPT, GPTConfig
from gptlib.kernels import fused_kernels
from gptlib.optimizer import set_learning_rate
from gptlib.parallel import FSDP, DataParallel
from gptlib.ranks import Ranks
from gptlib.speed import CapturedStep, fused_step, step_flops, whole_step
from gptlib.trainer import Trainer, eager_step
from gptlib.training import train
from tools.measure import DEVICE, command_line

PEAK = 989e12  # FLOPs a second of an H100 or H200 in bf16, without sparsity: NVIDIA's data sheet
WINDOWS = {"char-gpu": 64, "gpt2-124m": 32}  # for each GPU (weak), or in all (strong)
TINY = GPTConfig(65, block_size=32, n_layer=2, n_head=2, n_embd=32)
LIMIT = 150  # seconds that a part may take


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=torch.cuda.device_count() or 2)
    parser.add_argument("--tiny", action="store_true", help="tiny models on gloo, to try the program")
    parser.add_argument("--part", help="what one process does; torchrun starts it so")
    parser.add_argument("--seconds", type=float, default=420, help="no part begins later than this")
    args = parser.parse_args()
    if DEVICE.type != "cuda" and not args.tiny:
        parser.error("no CUDA GPU here: --tiny tries the program on a CPU")
    if args.part:
        return one_process(args)
    began, n = time.monotonic(), args.processes
    numbers = sorted({1, n} | ({2} if n > 2 else set()))
    jobs = [(k, part) for part in ("char-gpu", "gpt2-124m") for k in numbers]
    jobs += [(n, "links"), (n, "proof"), (n, "fsdp"), (1, "command"), (n, "command")]
    results = {"torch": torch.__version__, "device": device_name(), "processes": n, "parts": []}
    for processes, part in jobs:
        if time.monotonic() - began > args.seconds:
            results["parts"].append({"part": part, "processes": processes, "error": "no time was left"})
            continue
        start = time.monotonic()
        print(f"{time.monotonic() - began:4.0f} s: {part} on {processes}", file=sys.stderr, flush=True)
        found = started(part, processes, args)
        found = {"part": part, "processes": processes, **found, "wall": round(time.monotonic() - start, 1)}
        results["parts"].append(found)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.out, json.dumps(results, indent=1))
        print(f"    {json.dumps(found)[:600]}", file=sys.stderr, flush=True)


def device_name() -> str:
    """The name of the GPU; on a CPU, that."""
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU, gloo"


def started(part: str, processes: int, args) -> dict:
    """Run a part under torchrun and read what its process 0 has written."""
    if part == "command":
        return by_command_line(processes, args)
    result = args.out.with_name(f".part-{os.getpid()}.json")
    result.unlink(missing_ok=True)
    how = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    what = ["-m", "tools.measure.scale", "--part", part, "--out", str(result), *["--tiny"] * args.tiny]
    done = run_quietly([*how, *what])
    if not result.exists():
        return {"error": done}
    found = json.loads(result.read_text(encoding="utf-8"))
    result.unlink()
    return found


def run_quietly(command: list[str]) -> str:
    """Run a command; returns the end of what it said."""
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    with subprocess.Popen(command, env={**os.environ, "TQDM_DISABLE": "1"}, **how) as process:
        try:
            said, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.terminate()
            said = process.communicate()[0] + f"\nnot done after {LIMIT} s"
    return said[-3000:]


def by_command_line(processes: int, args) -> dict:
    """`torchrun -m gptlib train`, as a reader starts it: the speed that its log records."""
    run = args.out.with_name(f"run-{processes}")
    shutil.rmtree(run, ignore_errors=True)
    preset, steps = ("char-cpu", 20) if args.tiny else ("char-gpu", 400)
    how = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    what = ["-m", "gptlib", "train", "--preset", preset, "--out", str(run), "--text", "data/plays/input.txt"]
    batch = (4 if args.tiny else WINDOWS["char-gpu"]) * processes
    settings = {
        "max-steps": steps,
        "batch-size": batch,
        "eval-interval": steps,
        "sample-interval": 0,
        "log-interval": steps // 4,
    }
    options = [word for name, value in settings.items() for word in (f"--train.{name}", str(value))]
    step = [] if args.tiny else ["--step", "compiled"]
    said = run_quietly([*how, *what, *options, *step])
    log = run / "metrics.jsonl"
    if not log.exists():
        return {"error": said}
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    speeds = [row["tokens_per_second"] for row in rows if "tokens_per_second" in row][
        2:
    ]  # the first hold compiling
    losses = [row["val_loss"] for row in rows if "val_loss" in row]
    shutil.rmtree(run)
    return {
        "tokens_per_second": statistics.median(speeds),
        "batch_size": batch,
        "steps": steps,
        "val_loss": losses[-1],
    }


# --- what each process does


def one_process(args) -> None:
    """Carry out a part together with the other processes; process 0 writes what came of it."""
    ranks = Ranks(DEVICE.type, seconds=180)
    what = {"links": links, "proof": proof, "fsdp": fsdp}
    found = what[args.part](ranks, args.tiny) if args.part in what else steps_of(args.part, ranks, args.tiny)
    if ranks.rank == 0:
        write_text(args.out, json.dumps(found))
    os._exit(0)  # destroying NCCL's group would wait for the CUDA graphs that hold its kernels


def wait(ranks: Ranks) -> None:
    """Until all processes, and their GPUs, have come here."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    ranks.largest(0)


def times_of(work, ranks: Ranks, repeats: int, calls: int) -> dict:
    """The median time of a call in milliseconds, all processes together, and how far repeats lie from it."""
    found = []
    for _ in range(repeats + 1):  # the first does not count
        wait(ranks)
        start = time.perf_counter()
        for _ in range(calls):
            work()
        wait(ranks)
        found.append(1e3 * (time.perf_counter() - start) / calls)
    median = statistics.median(found[1:])
    return {"ms": median, "spread": max(abs(t - median) for t in found[1:])}


def setting(preset: str, tiny: bool, windows: int) -> tuple[GPTConfig, TrainConfig]:
    """The model and the training of a size."""
    model, how = PRESETS[preset].model, PRESETS[preset].train
    return TINY if tiny else model, dataclasses.replace(how, batch_size=windows, micro_batch_size=None)


def steps_of(preset: str, ranks: Ranks, tiny: bool) -> dict:
    """Weak and strong scaling of one size: the captured step with its all-reduce, and without."""
    n, windows = ranks.world_size, 8 if tiny else WINDOWS[preset]
    rows = []
    for kind, batch in (("weak", windows * n), ("strong", windows)):
        if kind == "strong" and (n == 1 or batch % n):
            continue
        for communicates in (True, False) if n > 1 else (True,):
            torch._dynamo.reset()  # or the second shape is compiled for any number of windows
            row = step_row(*setting(preset, tiny, batch), ranks, communicates)
            rows.append({"scaling": kind, "batch_size": batch, "communicates": communicates, **row})
            ranks.watch.tick()
    return {"rows": rows}


def step_row(shape: GPTConfig, config: TrainConfig, ranks: Ranks, communicates: bool) -> dict:
    """One step of training: its time, tokens a second, MFU, the most memory."""
    parallel = DataParallel(ranks)
    on_gpu = DEVICE.type == "cuda"
    fresh_memory()
    model = parallel.prepare(GPT(shape, torch.Generator().manual_seed(1)), config).train()
    trainer = Trainer(
        model, config, batched_optimizer, parallel if communicates and ranks.world_size > 1 else None
    )
    tokens = torch.randint(shape.vocab_size, (1_000_000,), generator=torch.Generator().manual_seed(0))
    batches = parallel.part_of(Batches(tokens.to(ranks.device), config.batch_size, shape.block_size))
    step, numbers = CapturedStep() if on_gpu else fused_step, iter(range(10**9))

    def work():
        set_learning_rate(trainer.optimizer, 0.1)
        step(trainer, *batches.at(next(numbers)))

    start = time.perf_counter()
    work()
    wait(ranks)
    first = time.perf_counter() - start
    calls = 2 if not on_gpu else 20 if shape.n_embd < 500 else 10
    row = times_of(work, ranks, repeats=5, calls=calls)
    row |= speeds(shape, config.batch_size, row["ms"], ranks.world_size)
    sizes = sum(p.numel() for p in model.parameters())
    return {
        **row,
        "first_seconds": first,
        "GiB": most_memory(),
        "parameters": sizes,
        "bytes": 4 * (sizes + 1),
    }


def speeds(shape: GPTConfig, batch_size: int, ms: float, n: int) -> dict:
    """Tokens a second of all GPUs, and the share of their peak that the step's products are."""
    tokens = 1e3 * batch_size * shape.block_size / ms
    return {"tokens_per_second": tokens, "MFU": 1e3 * step_flops(shape, batch_size) / ms / PEAK / n}


def links(ranks: Ranks, tiny: bool) -> dict:
    """All-reduce of messages of several sizes, and a ring of our own sends for one of them."""
    rows, n = [], ranks.world_size
    for power in [*range(10, 22 if tiny else 30, 2), *([] if tiny else [29])]:
        message = torch.zeros(2**power // 4, device=ranks.device)
        row = times_of(lambda message=message: ranks.all_reduce(message), ranks, 5, 10 if power > 24 else 50)
        rows.append({"bytes": 2**power, **row, "bus_GB_per_s": 2 * (n - 1) / n * 2**power / row["ms"] / 1e6})
        ranks.watch.tick()
    size = 2**20 if tiny else 2**29
    a = torch.zeros(size // 4, device=ranks.device)
    b = torch.empty_like(a)
    copy = times_of(lambda: b.copy_(a), ranks, 5, 10)
    return {"all_reduce": rows, "copy_GB_per_s": 2 * size / copy["ms"] / 1e6}


def fsdp(ranks: Ranks, tiny: bool) -> dict:
    """FSDP2 at GPT-2's size beside data parallel, both with eager steps: time and memory."""
    return {"rows": [eager_row(kind, ranks, tiny) for kind in ("data parallel", "FSDP2")]}


def eager_row(kind: str, ranks: Ranks, tiny: bool) -> dict:
    """One eager step with kernels: its time, the most memory, the optimizer's bytes."""
    n = ranks.world_size
    shape, config = setting("gpt2-124m", tiny, (2 if tiny else 16) * n)
    fresh_memory()
    parallel = (FSDP if kind == "FSDP2" else DataParallel)(ranks)
    model = parallel.prepare(GPT(shape, torch.Generator().manual_seed(1)), config).train()
    trainer = Trainer(model, config, parallel.optimizer(batched_optimizer), parallel)
    step = parallel.step if kind == "FSDP2" else step_with_kernels
    idx = torch.randint(shape.vocab_size, (config.batch_size // n, shape.block_size), device=ranks.device)
    row = times_of(lambda: step(trainer, idx, idx), ranks, 3, 2 if tiny else 5)
    state = [t for moments in trainer.optimizer.state.values() for t in moments.values()]
    row |= {"GiB": most_memory(), "optimizer_bytes": sum(t.numel() * t.element_size() for t in state)}
    ranks.watch.tick()
    more = speeds(shape, config.batch_size, row["ms"], n)
    return {"kind": kind, "batch_size": config.batch_size, **row, **more}


def fresh_memory() -> None:
    """Give the GPU's memory back, and count its peak anew."""
    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def most_memory() -> float:
    """The most memory that this process had on its GPU since then, in GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else 0.0


def step_with_kernels(trainer: Trainer, x: torch.Tensor, y: torch.Tensor):
    """What `FSDP.step` computes, of whole weights."""
    with fused_kernels(trainer.model, trainer.optimizer):
        return whole_step(trainer, x, y)


def proof(ranks: Ranks, tiny: bool) -> dict:
    """The largest differences between N processes and one, and between FSDP2 and data parallel."""
    found = {}
    torch.use_deterministic_algorithms(True, warn_only=True)
    shape = dataclasses.replace(TINY, vocab_size=64)
    tokens = torch.randint(64, (4000,), generator=torch.Generator().manual_seed(0))
    how = dict(warmup_steps=5, grad_clip=0.5, eval_interval=10, log_interval=1, precision="fp32")
    config = TrainConfig(50, 4 * ranks.world_size, 2, **how)

    def trained(parallel, config, dtype, step_fn=eager_step):
        """Weights and records after training."""
        torch.set_default_dtype(dtype)  # of the sums that are recorded
        model = GPT(shape, torch.Generator().manual_seed(3)).to(ranks.device, dtype)
        plugs = dict(step_fn=step_fn)
        if parallel:
            model = parallel.prepare(model, config)
            plugs |= dict(optimizer_fn=parallel.optimizer(), parallel=parallel)
        if isinstance(parallel, FSDP):
            plugs["step_fn"] = parallel.step
        result = train(model, tokens[:3500], tokens[3500:], config, **plugs)
        weights = [p.full_tensor() if hasattr(p, "full_tensor") else p.detach() for p in model.parameters()]
        ranks.watch.tick()
        return weights, result.records

    def differ(one, other):
        """The largest difference of weights, and of recorded losses."""
        weights = max((a - b).abs().max().item() for a, b in zip(one[0], other[0], strict=True))
        rows = zip(one[1], other[1], strict=True)
        keys = ("train_loss", "val_loss", "grad_norm")
        losses = max(abs(a[k] - b[k]) for a, b in rows for k in keys if k in a)
        return {"weights": weights, "losses": losses}

    alone = trained(None, config, torch.float64)
    found["float64, one process against all"] = differ(
        alone, trained(DataParallel(ranks), config, torch.float64)
    )
    unclipped = dataclasses.replace(config, grad_clip=0, micro_batch_size=None)
    sharded = trained(FSDP(ranks), unclipped, torch.float32)
    whole = trained(DataParallel(ranks), unclipped, torch.float32, step_with_kernels)
    found["float32, FSDP2 against data parallel"] = differ(sharded, whole)
    if DEVICE.type == "cuda":
        captured = [CapturedStep(compiled=False) for _ in range(2)]
        alone = trained(None, unclipped, torch.float32, captured[0])
        together = trained(DataParallel(ranks), unclipped, torch.float32, captured[1])
        found["float32, captured steps, one process against all"] = differ(alone, together)
    return found


if __name__ == "__main__":
    main()
