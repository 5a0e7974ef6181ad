"""What a machine can do: products, copies, the bandwidth by size, the start of an operation; data sheets."""

import contextlib
import statistics
import time
from pathlib import Path

import torch

from gptlib.data import load_corpus
from tools.measure import DEVICE
from tools.measure.sizes import ON_GPU, Sizes, now, span
from tools.measure.timing import mean_calls

# by the maker's data sheets, without sparsity: TFLOP/s, float32 outside the matrix units
HOPPER = {"float32": 67, "TF32": 494.7, "bfloat16": 989.4, "fp8": 1979, "L2 MB": 50, "processors": 132}
SHEETS = {"H200": {**HOPPER, "GB/s": 4800}, "H100": {**HOPPER, "GB/s": 3350}}


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
