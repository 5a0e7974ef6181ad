"""What chapter 14 shows of one CUDA GPU: `python -m tools.measure.timeline data/runs/speed/gpu.json`.

It takes about six minutes. Each part runs in a process of its own; one that fails is named in "failed", the
others go on. `steps` is launched again while there is time, since launches differ by more than repeats do.
`--tiny` tries all parts that a machine can run, with small models.
"""

import contextlib
import dataclasses
import functools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.profiler import record_function

from gptlib import speed
from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS, RunConfig
from gptlib.data import load_corpus
from gptlib.files import write_text
from gptlib.gpt import GPT, GPTConfig
from gptlib.kernels import chunked_loss, next_token_loss
from gptlib.loss import cross_entropy
from gptlib.optimizer import set_learning_rate
from gptlib.speed import CapturedStep, CompiledStep, whole_step
from gptlib.trainer import Trainer
from tools.chapters import ROOT
from tools.measure import DEVICE, characters, command_line, need_cuda
from tools.measure.steps import HAS_COMPILER, Variant, stepping, variants
from tools.measure.timing import mean_calls, single_calls
from tools.measure.trace import kernels, timeline, traced

ON_GPU = DEVICE.type == "cuda"
# by the maker's data sheets, without sparsity: TFLOP/s, float32 outside the matrix units
HOPPER = {"float32": 67, "TF32": 494.7, "bfloat16": 989.4, "fp8": 1979, "L2 MB": 50, "processors": 132}
SHEETS = {"H200": {**HOPPER, "GB/s": 4800}, "H100": {**HOPPER, "GB/s": 3350}}
TINY = dataclasses.replace(
    PRESETS["char-cpu"],
    model=GPTConfig(65, block_size=32, n_layer=2, n_head=2, n_embd=32, dropout=0.1),
    train=dataclasses.replace(PRESETS["char-cpu"].train, batch_size=4, optimizer="adamw"),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured, and how long."""

    run: RunConfig
    large: RunConfig  # GPT-2's size
    repeats: int
    calls: int
    side: int  # of the square matrices
    copied: int  # numbers
    rows: int  # of logits in the loss
    vocab: int
    losses: int  # steps that are compared

    @property
    def small(self) -> RunConfig:
        """A step with next to no work: what it takes is the host's time."""
        model = dataclasses.replace(self.run.model, block_size=8)
        return dataclasses.replace(
            self.run, model=model, train=dataclasses.replace(self.run.train, batch_size=1)
        )


def gpt2(batch_size: int) -> RunConfig:
    """GPT-2's preset with one whole batch a step."""
    train = dataclasses.replace(PRESETS["gpt2-124m"].train, batch_size=batch_size, micro_batch_size=None)
    return dataclasses.replace(PRESETS["gpt2-124m"], train=train)


FULL = Sizes(PRESETS["char-gpu"], gpt2(16), 3, 10, 8192, 2**28, 16 * 1024, 50257, 20)
SMALL = Sizes(TINY, TINY, 2, 2, 64, 2**12, 64, 300, 3)


def now() -> None:
    """Wait until the device is done."""
    if ON_GPU:
        torch.cuda.synchronize()


def span(times: list[float], unit: float = 1e3) -> dict:
    """Median, lowest and highest."""
    times = [unit * t for t in times]
    return {"median": statistics.median(times), "low": min(times), "high": max(times)}


# --- what the machine can do


def ceilings(sizes: Sizes) -> dict:
    """Products and copies, the bandwidth by size, and what it costs to start an operation."""
    found: dict = {"products": {}}
    a, b = (torch.randn(sizes.side, sizes.side, device=DEVICE) for _ in "ab")
    flops = 2 * sizes.side**3
    for name, dtype, precision in (
        ("float32", torch.float32, "highest"),
        ("TF32", torch.float32, "high"),
        ("bfloat16", torch.bfloat16, "highest"),
    ):
        torch.set_float32_matmul_precision(precision)
        x, y = a.to(dtype), b.to(dtype)
        times = mean_calls(lambda x=x, y=y: x @ y, 5, 10 if ON_GPU else 1)
        found["products"][name] = span([flops / t / 1e12 for t in times], 1)
        if name == "TF32":  # its error against float32's, which is the reference's own rounding
            exact = x[:256].double() @ y.double()
            tf32 = (x[:256] @ y).double()
            torch.set_float32_matmul_precision("highest")
            full = (x[:256] @ y).double()
            size = exact.std().item()
            found["error of TF32"] = (tf32 - exact).std().item() / size
            found["error of float32"] = (full - exact).std().item() / size
    torch.set_float32_matmul_precision("highest")
    found["copy"] = span(copied(sizes.copied), 1)
    found["by size"] = [[4 * n, bandwidth(n, sizes.copied)] for n in sizes_of_memory(sizes.copied)]
    found["starting"] = starting()
    return found


def copied(n: int) -> list[float]:
    """GB a second read and written while n numbers are copied."""
    long = torch.zeros(n, device=DEVICE)
    other = torch.empty_like(long)
    return [2 * long.nbytes / t / 1e9 for t in mean_calls(lambda: other.copy_(long), 5, 5)]


def sizes_of_memory(most: int) -> list[int]:
    """Lengths from small to large, two for each doubling."""
    found, n = [], 2**14
    while n <= most:
        found += [n, int(1.5 * n) // 1024 * 1024]
        n *= 2
    return found or [most]


def bandwidth(n: int, most: int) -> float:
    """GB a second while n numbers in place are read and written, again and again; the best of three."""
    x = torch.zeros(n, device=DEVICE)
    calls = max(4, min(400, 4 * most // n)) if ON_GPU else 3

    def work():
        for _ in range(calls):
            x.add_(1.0)

    if ON_GPU:  # recorded, so that starting the kernels does not count
        work()
        now()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        work = graph.replay
    return calls * 2 * x.nbytes / min(mean_calls(work, 3, 1)) / 1e9


def starting() -> dict:
    """Microseconds of the host for an operation on eight numbers, and of the device for its kernel."""
    x = torch.zeros(8, device=DEVICE)
    times = []
    for _ in range(5):
        now()
        begin = time.perf_counter()
        for _ in range(500):
            x.add_(1.0)
        times.append((time.perf_counter() - begin) / 500)
        now()
    found = {"host us": 1e6 * statistics.median(times)}
    if ON_GPU:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(500):
                x.add_(1.0)
        found["replayed us"] = 1e6 * statistics.median(mean_calls(graph.replay, 5, 1)) / 500
    return found


# --- the steps


def rows_of_steps(more: bool) -> list[tuple[str, Variant, str]]:
    """The table, and with `more` variants of its last step."""
    steps = [(name, variant, "adamw") for name, variant in variants()]
    name, fastest, _ = steps[-1]
    if more:
        steps.append((f"{name}, no dropout", dataclasses.replace(fastest, dropout=False), "adamw"))
        steps.append((f"{name}, Muon", fastest, "muon"))
        if ON_GPU:
            steps.append(
                ("compiled, not recorded", dataclasses.replace(fastest, step_fn=CompiledStep), "adamw")
            )
    return steps


def steps(sizes: Sizes, more: bool = True) -> dict:
    """Milliseconds of each step in this launch; of the host alone where Python starts each operation."""
    tokens = characters()[2][0].to(DEVICE)
    found = {}
    for name, variant, optimizer in rows_of_steps(more):
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        with stepping(variant, optimizer, tokens, sizes.run) as step:
            (first,) = single_calls(step, 1)
            found[name] = {"first": first, **span(mean_calls(step, sizes.repeats, sizes.calls))}
            found[name]["GiB"] = torch.cuda.max_memory_allocated() / 2**30 if ON_GPU else 0.0
        if variant.step_fn is None:
            with stepping(variant, optimizer, tokens, sizes.small) as step:
                step()
                found[name]["host"] = 1e3 * statistics.median(mean_calls(step, sizes.repeats, sizes.calls))
        del step
        print(f"  {name}: {found[name]['median']:.2f} ms", file=sys.stderr, flush=True)
    return found


def equality(sizes: Sizes) -> dict:
    """How far the losses of each step lie from the plain loop's, in its own precision and in float32."""
    tokens = characters()[2][0].to(DEVICE)
    shape = dataclasses.replace(sizes.run.model, n_layer=2, dropout=0.0)
    run = dataclasses.replace(sizes.run, model=shape)
    found: dict = {}
    plain: list[float] = []
    for name, variant in variants():
        for precision in dict.fromkeys((variant.precision, "fp32")):
            exact = precision == "fp32" and (variant.precision != "fp32" or not variant.tf32)
            tf32 = variant.tf32 and not exact
            tried = dataclasses.replace(variant, precision=precision, tf32=tf32)
            with stepping(tried, "adamw", tokens, run) as step:
                losses = [step().item() for _ in range(sizes.losses)]
            plain = plain or losses
            difference = max(abs(a - b) for a, b in zip(losses, plain, strict=True))
            key = "float32" if exact else "TF32" if tf32 and precision == "fp32" else "bfloat16"
            found.setdefault(name, {})[key] = difference
        print(f"  {name}: {found[name]}", file=sys.stderr, flush=True)
    return {"losses": plain, "differences": found}


# --- every kernel


@contextlib.contextmanager
def phases(trainer: Trainer):
    """Inside, a trace says which part of the step an operation belongs to; the rest is the backward pass."""
    step, clip = trainer.optimizer.step, speed.batched_clip_grad_norm

    def named(name, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            with record_function(name):
                return function(*args, **kwargs)

        return call

    trainer.optimizer.step = named("optimizer", step)
    speed.batched_clip_grad_norm = named("clip", clip)
    try:
        yield
    finally:
        del trainer.optimizer.step
        speed.batched_clip_grad_norm = clip


def profiled(step, warm: int = 3) -> list[dict]:
    """The events of one step after a few that do not count."""
    for _ in range(warm):
        step()
    now()
    with phases(step.trainer):
        traced(step)  # the first trace sets the profiler up
        return traced(step)


def profiles(sizes: Sizes) -> dict:
    """Kernels and timelines of the steps, started operation by operation and recorded."""
    tokens = characters()[2][0].to(DEVICE)
    table = dict(variants())
    names = ["plain loop"]
    if ON_GPU:
        names += [
            "TF32 products",
            "bf16 products",
            "fused attention",
            "batched optimizer",
            "a kernel for each layer",
        ]
    found: dict = {"kernels": {}, "timelines": {}}
    for name in names:
        with stepping(table[name], "adamw", tokens, sizes.run) as step:
            events = profiled(step)
        found["timelines"][name] = timeline(events)
        if name in ("plain loop", "bf16 products"):
            found["kernels"][name] = kernels(events)
    name, fastest = list(table.items())[-1]
    if ON_GPU or HAS_COMPILER:
        with stepping(dataclasses.replace(fastest, step_fn=CompiledStep), "adamw", tokens, sizes.run) as step:
            events = profiled(step)
        found["kernels"]["compiled"] = kernels(events)
        found["timelines"]["compiled"] = timeline(events)
    if ON_GPU:
        for name in ("recorded as a CUDA graph", "compiled, then recorded"):
            with stepping(table[name], "adamw", tokens, sizes.run) as step:
                for _ in range(3):
                    step()
                now()
                traced(step)
                events = traced(step)
            found["timelines"][name] = timeline(events)
            found["kernels"][name] = kernels(events)[:40]
    return found


def large(sizes: Sizes) -> dict:
    """GPT-2's size, compiled: the time of a step, its memory, its kernels."""
    run = sizes.large
    idx = torch.randint(run.model.vocab_size, (run.train.batch_size, run.model.block_size), device=DEVICE)

    def stepping_on(step_fn, batched=True):
        model = GPT(run.model, torch.Generator().manual_seed(1)).to(DEVICE).train()
        trainer = Trainer(model, run.train, batched_optimizer if batched else None)

        def step():
            set_learning_rate(trainer.optimizer, 0.1)
            return step_fn(trainer, idx, idx).loss

        step.trainer = trainer
        return step

    found: dict = {"batch": list(idx.shape)}
    if ON_GPU or HAS_COMPILER:
        step = stepping_on(CompiledStep())
        found["kernels"] = kernels(profiled(step, 2))
        del step
    plain = stepping_on(whole_step)
    plain()
    found["eager"] = span(mean_calls(plain, 3, 3))
    del plain
    if ON_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        step = stepping_on(CapturedStep())
        step()
        found["recorded"] = span(mean_calls(step, 5, 10))
        found["memory"] = torch.cuda.max_memory_allocated() / 2**30
        events = traced(step)
        found["timeline"] = timeline(events)
    return found


# --- the loss


def in_three_ways(sizes: Sizes) -> dict:
    """Loss over a large vocabulary, forward and backward: its time and memory, eager and compiled."""
    C = 768 if ON_GPU else 8
    make = functools.partial(torch.randn, device=DEVICE)
    hidden = make(1, sizes.rows, C, dtype=torch.bfloat16 if ON_GPU else torch.float32).requires_grad_()
    table = (0.02 * make(sizes.vocab, C)).requires_grad_()
    targets = torch.randint(sizes.vocab, (1, sizes.rows), device=DEVICE)

    def written_out(hidden, table, targets):
        return cross_entropy(hidden @ table.T, targets)

    ways = {"written out": written_out, "fused": next_token_loss, "in chunks": chunked_loss}
    if ON_GPU or HAS_COMPILER:
        ways["written out, compiled"] = torch.compile(written_out)
        ways["fused, compiled"] = torch.compile(next_token_loss)
    found: dict = {"rows": sizes.rows, "vocab": sizes.vocab}
    reference = None
    for name, way in ways.items():

        def work(way=way):
            hidden.grad = table.grad = None
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=ON_GPU):
                loss = way(hidden, table, targets)
            loss.backward()
            return loss.detach()

        loss = work()
        now()
        before = torch.cuda.memory_allocated() if ON_GPU else 0
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        work()
        peak = (torch.cuda.max_memory_allocated() - before) / 2**30 if ON_GPU else 0.0
        gradient = hidden.grad.float().clone()
        reference = reference or (loss.item(), gradient)
        found[name] = {
            **span(mean_calls(work, 3, 5 if ON_GPU else 1)),
            "GiB": peak,
            "loss differs by": abs(loss.item() - reference[0]),
            "gradient differs by": ((gradient - reference[1]).norm() / reference[1].norm()).item(),
        }
    return found


def in_triton(sizes: Sizes) -> dict:
    """Cross-entropy and its gradient in one Triton kernel beside eager and compiled ones."""
    from tools.measure.loss_kernel import loss_and_gradient

    found = {}
    for vocab in (65, sizes.vocab):
        logits = torch.randn(sizes.rows // 2, vocab, device=DEVICE).requires_grad_()
        targets = torch.randint(vocab, (sizes.rows // 2,), device=DEVICE)

        def by_autograd(loss_fn, logits=logits, targets=targets):
            loss = loss_fn(logits, targets)
            return loss.detach(), torch.autograd.grad(loss, logits)[0]

        ways = {
            "written out": functools.partial(by_autograd, cross_entropy),
            "F.cross_entropy": functools.partial(by_autograd, F.cross_entropy),
            "written out, compiled": functools.partial(by_autograd, torch.compile(cross_entropy)),
            "Triton": functools.partial(loss_and_gradient, logits.detach(), targets),
        }
        exact = by_autograd(F.cross_entropy, logits.detach()[:256].double().requires_grad_(), targets[:256])
        rows = {}
        for name, way in ways.items():
            loss, gradient = way()
            few = gradient[:256].double() * (len(targets) / 256)
            times = span(mean_calls(way, 5, 10))
            rows[name] = {
                **times,
                "GB/s": 2 * logits.nbytes / times["median"] / 1e6,
                "loss": loss.item(),
                "gradient differs by": (few - exact[1]).abs().max().item(),
                "of": exact[1].abs().max().item(),
            }
        found[str(vocab)] = {"rows": len(targets), "ways": rows}
    return found


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


def machine() -> dict:
    """What the numbers depend on."""
    name = torch.cuda.get_device_name() if ON_GPU else "CPU"
    sheet = next((sheet for key, sheet in SHEETS.items() if key in name), None)
    return {
        "device": name,
        "torch": torch.__version__,
        "host": cpu_name(),
        "corpus": load_corpus().name,
        "sheet": sheet,
    }


def cpu_name() -> str:
    """The processor's name where Linux tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown"


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
