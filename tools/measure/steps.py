"""Training steps of chapter 14: the same step, one change after the other, and what the chip could do."""

import contextlib
import dataclasses
import os
import shutil
import statistics
import sys
from collections.abc import Callable

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import PRESETS
from gptlib.data import Batches
from gptlib.gpt import GPT
from gptlib.kernels import fused_kernels
from gptlib.optimizer import set_learning_rate
from gptlib.speed import CapturedStep, CompiledStep, only_eager, step_flops, whole_step
from gptlib.trainer import Trainer, eager_step
from tools.measure import DEVICE, characters
from tools.measure.timing import mean_calls, row, single_calls

PRESET = PRESETS["char-gpu" if DEVICE.type == "cuda" else "char-cpu"]
HAS_COMPILER = DEVICE.type == "cuda" or bool(shutil.which("c++") or shutil.which("g++"))
SIDE = 4096  # of the square matrices whose product is the ceiling
PRODUCT_FLOPS = 2 * SIDE**3


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to train."""

    threads: int = 1
    precision: str = "fp32"
    tf32: bool = False  # float32 products by the matrix units, whose factors have 10 bits after the point
    waits: bool = True  # for each batch and each loss
    fused_attention: bool = False
    batched: bool = False  # the optimizer
    kernels: bool = False
    dropout: bool = True
    step_fn: Callable | None = None  # makes the step; None: the eager one


def variants() -> list[tuple[str, Variant]]:
    """The steps of chapter 14's table: each is the one before with one change."""
    table = [("plain loop", Variant())]

    def then(name, **what):
        table.append((name, dataclasses.replace(table[-1][1], **what)))

    if DEVICE.type == "cuda":
        then("no number is read", waits=False)
        then("TF32 products", tf32=True)
        then("bf16 products", precision="auto")
    else:
        then(f"{os.cpu_count()} threads instead of 1", threads=os.cpu_count())
    then("fused attention", fused_attention=True)
    then("batched optimizer", batched=True)
    then("a kernel for each layer", kernels=True)
    if DEVICE.type == "cuda":
        then("recorded as a CUDA graph", step_fn=lambda: CapturedStep(compiled=False))
        then("compiled, then recorded", step_fn=CapturedStep)
    elif HAS_COMPILER:
        then("compiled", step_fn=CompiledStep)
    else:
        print("no C++ compiler: torch.compile is left out", file=sys.stderr)
    return table


def tried() -> list[tuple[str, Variant, str]]:
    """What is measured, with the optimizer: the table, and variants of its last and fastest step."""
    steps = [(name, variant, "adamw") for name, variant in variants()]
    name, fastest, _ = steps[-1]
    steps.append((f"{name}, Muon", fastest, "muon"))
    if PRESET.model.dropout:
        steps.append((f"{name}, no dropout", dataclasses.replace(fastest, dropout=False), "adamw"))
    if DEVICE.type == "cuda":  # on a CPU the plain loop is hardly another one
        own = dataclasses.replace(fastest, kernels=False, step_fn=lambda: eager_step)
        steps.append(("eager_step, as chapter 10 left it", own, "adamw"))
    return steps


def bench_steps() -> list[dict]:
    """Training steps, from the plain loop on; tokens a second and the share of the ceiling."""
    _, _, (tokens, _) = characters()
    tokens = tokens.to(DEVICE)
    drawn = PRESET.train.batch_size * PRESET.model.block_size
    flops = step_flops(PRESET.model, PRESET.train.batch_size)
    dtypes = (torch.float32, torch.bfloat16) if DEVICE.type == "cuda" else (torch.float32,)
    products = {dtype: product_times(dtype) for dtype in dtypes}
    rows = [
        row("ceiling", f"matrix product, {str(dtype).removeprefix('torch.')}", times, "TFLOP/s", teraflops)
        for dtype, times in products.items()
    ]
    rows.append(bandwidth())
    threads = torch.get_num_threads()
    for name, variant, optimizer in tried():
        times, first = step_times(variant, optimizer, tokens)
        half = variant.precision != "fp32" and DEVICE.type == "cuda"
        ceiling = PRODUCT_FLOPS / statistics.median(products[torch.bfloat16 if half else torch.float32])
        median = statistics.median(times)
        speeds = {"tokens_per_second": drawn / median, "utilisation": flops / median / ceiling}
        rows.append(row("step", name, times, **speeds, first=first))
        print(f"  {name}: {1e3 * median:.2f} ms", file=sys.stderr, flush=True)
    torch.set_num_threads(threads)
    return rows


def step_times(variant: Variant, optimizer: str, tokens: torch.Tensor) -> tuple[list[float], float]:
    """Times of one step, and how long the first one took, which includes compiling and recording."""
    with stepping(variant, optimizer, tokens) as step:
        (first,) = single_calls(step, 1)
        return mean_calls(step, repeats=5, calls=20 if DEVICE.type == "cuda" else 4), first


@contextlib.contextmanager
def stepping(variant: Variant, optimizer: str, tokens: torch.Tensor, run=PRESET):
    """A function that takes the next step of a fresh run of this kind: its loss; it has `.trainer`."""
    config = dataclasses.replace(run.train, optimizer=optimizer, precision=variant.precision)
    shape = run.model if variant.dropout else dataclasses.replace(run.model, dropout=0.0)
    torch.set_num_threads(variant.threads)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if variant.tf32 else "highest")
    model = GPT(shape, torch.Generator().manual_seed(1)).to(DEVICE).train()
    trainer = Trainer(model, config, batched_optimizer if variant.batched else None)
    for block in trainer.model.h:
        block.attn.fused = variant.fused_attention
    drawn_from = tokens.cpu() if variant.waits else tokens
    batches = Batches(drawn_from, config.batch_size, run.model.block_size, 1)
    step_fn = variant.step_fn() if variant.step_fn else whole_step
    number = iter(range(10**9))

    def step():
        set_learning_rate(trainer.optimizer, 0.1)
        x, y = (t.to(DEVICE) for t in batches.at(next(number)))
        loss, *_ = step_fn(trainer, x, y)
        if variant.waits:
            loss.item()
        return loss

    step.trainer = trainer
    try:
        with contextlib.ExitStack() as replacements:
            if variant.kernels:
                replacements.enter_context(fused_kernels(trainer.model, trainer.optimizer))
            yield step
    finally:
        torch.set_float32_matmul_precision(before)


def product_times(dtype: torch.dtype) -> list[float]:
    """Times of one product of two square matrices."""
    a, b = (torch.randn(SIDE, SIDE, device=DEVICE, dtype=dtype) for _ in "ab")
    return mean_calls(lambda: a @ b, repeats=5, calls=30 if DEVICE.type == "cuda" else 1)


def teraflops(seconds: float) -> float:
    """The speed of one product that took so long."""
    return PRODUCT_FLOPS / seconds / 1e12


def bandwidth() -> dict:
    """Bytes read and written a second while copying a tensor larger than any cache."""
    a = torch.zeros(2**28 if DEVICE.type == "cuda" else 2**26, device=DEVICE)  # 1 GB or 256 MB of float32
    b = torch.empty_like(a)
    times = mean_calls(lambda: b.copy_(a), repeats=5, calls=5)
    return row("ceiling", "copying memory", times, "GB/s", lambda t: 2 * 4 * a.numel() / t / 1e9)


def bench_kernels() -> list[dict]:
    """The kernels of one compiled and recorded step: the longest 30 by name, in microseconds a step."""
    if DEVICE.type != "cuda":
        print("no CUDA GPU: its kernels are not listed", file=sys.stderr)
        return []
    model = GPT(PRESET.model, torch.Generator().manual_seed(1)).to(DEVICE).train()
    trainer = Trainer(model, PRESET.train, batched_optimizer)
    shape = PRESET.train.batch_size, PRESET.model.block_size
    windows = torch.zeros(shape, dtype=torch.long, device=DEVICE)
    step, repeats = CapturedStep(), 5
    step(trainer, windows, windows)
    if reason := only_eager(trainer.dtype):
        print(f"no recorded step whose kernels could be listed: {reason}", file=sys.stderr)
        return []
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        single_calls(step.graph.replay, repeats)
    events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
    named = [(e.key, e.self_device_time_total / repeats, e.count // repeats) for e in events]
    rest = ("all others", sum(us for _, us, _ in named[30:]), sum(calls for _, _, calls in named[30:]))
    return [
        row("kernel", name, [us], "us", lambda t: t, calls=calls) for name, us, calls in [*named[:30], rest]
    ]
