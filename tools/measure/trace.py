"""What a trace of torch.profiler holds: each kernel of a step with time, FLOPs and bytes; host and device.

FLOPs of products and of attention are those of their shapes (of causal attention the half that is computed).
Other operations count what their formula has for each number, `NOMINAL`: a convention. Bytes are those of an
operation's tensors, each read or written once: the least that can move.
"""

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

SIZES = {"double": 8, "long int": 8, "long": 8, "float": 4, "int": 4, "c10::BFloat16": 2, "c10::Half": 2}
SIZES |= {"bool": 1, "unsigned char": 1, "signed char": 1}
PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}  # where the first of the two matrices stands
REDUCTIONS = ("sum", "mean", "var", "var_mean", "amax", "max", "linalg_vector_norm", "_foreach_norm", "all")
SAME_SIZE_REDUCTIONS = ("softmax", "layer_norm", "nll_loss", "logsumexp")
COPIES = ("copy_", "cat", "fill_", "zero_", "clone", "constant_pad_nd")
GATHERS = ("index", "embedding", "index_select")
NOMINAL = {
    "layer_norm_backward": 12,
    "gelu_backward": 16,
    "adamw": 15,
    "layer_norm": 8,
    "gelu": 8,
    "softmax": 5,
    "dropout_backward": 1,
    "dropout": 2,
    "lerp": 3,
    "addcmul": 3,
    "sum": 1,
    "add": 1,
    "mul": 1,
}
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaMemcpyAsync", "cudaMemsetAsync", "cudaGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
PARTS = 2500  # a timeline is kept to this part of its length


def traced(work: Callable[[], object]) -> list[dict]:
    """The events of a call of `work`: operations and launches on the host, kernels on the device."""
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "trace.json"
        with profile(activities=activities, record_shapes=True) as watched:
            work()
            if on_gpu:
                torch.cuda.synchronize()
        watched.export_chrome_trace(str(path))
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    return [event for event in found["traceEvents"] if event.get("ph") == "X" and "dur" in event]


def bare(name: str) -> str:
    """An operation's name without its namespace."""
    return name.removeprefix("aten::")


def tensors(event: dict) -> list[tuple[list[int], int]]:
    """Shape and bytes a number of each tensor among an operation's arguments; lists of tensors one by one."""
    args, found = event.get("args", {}), []
    for shape, kind in zip(args.get("Input Dims", []), args.get("Input type", []), strict=False):
        if kind == "TensorList":
            found += [(one, 4) for one in shape]
        elif kind in SIZES:
            found.append((shape, SIZES[kind]))
    return found


def numbers(shape: list[int]) -> int:
    """How many numbers a tensor of this shape holds."""
    return math.prod(shape)


def of_product(name: str, args: list) -> tuple[float, float]:
    """FLOPs and bytes of a matrix product, of its two matrices and the result."""
    (a, width), (b, _) = args[PRODUCTS[name] : PRODUCTS[name] + 2]
    result = numbers(a[:-1]) * b[-1]
    return 2 * numbers(a) * b[-1], width * (numbers(a) + numbers(b) + result)


def of_attention(name: str, args: list) -> tuple[float, float]:
    """FLOPs and bytes of fused causal attention: two products forward, five backward, half of each."""
    shape, width = next((shape, width) for shape, width in args if len(shape) == 4)
    T = max(shape[1], shape[2])  # [B, H, T, head_size] or [B, T, H, head_size], where T is the larger one
    products, moved = (5, 8) if "backward" in name else (2, 4)
    return products * numbers(shape) * T, moved * numbers(shape) * width


def nominal(name: str) -> int:
    """FLOPs for each number, from the names of the formulas in it."""
    total = 0
    for word, flops in NOMINAL.items():
        total += flops * name.count(word)
        name = name.replace(word, "")
    return max(total, 1)


def of_others(name: str, args: list) -> tuple[float, float]:
    """FLOPs and bytes of an operation that goes through its tensors number by number."""
    sizes = [(numbers(shape), width) for shape, width in args]
    if not sizes:
        return 0.0, 0.0
    read, (largest, width) = sum(n * w for n, w in sizes), max(sizes)
    if name.startswith("triton_"):  # its arguments hold what it writes
        return nominal(name) * largest, read
    if name in ("fill_", "zero_"):
        return 0.0, read
    if name == "copy_":
        return 0.0, read
    if name == "cat":
        return 0.0, 2 * read
    if name in GATHERS:
        chosen = math.prod(n for n, _ in sizes[1:]) * args[0][0][-1]
        return 0.0, 2 * chosen * sizes[0][1]
    if name == "_fused_adamw_":
        weights = sum(n for n, _ in sizes) / 4
        return NOMINAL["adamw"] * weights, 7 * 4 * weights  # weight, gradient, m, v in; weight, m, v out
    if name.startswith("_foreach"):
        total = sum(n for n, _ in sizes)
        first = total / {"lerp": 2, "addcmul": 3, "add": 2, "div": 2}.get(name.split("_")[2], 1)
        return nominal(name) * first, read + (0 if "norm" in name else 4 * first)
    if name in REDUCTIONS:
        return largest, read
    return nominal(name) * largest, read + largest * width


def kind_of(name: str, kernel: str = "") -> str:
    """Product, attention, reduction, copy or elementwise; by the kernel's name where it has none."""
    if "attention" in name:
        return "attention"
    if name in PRODUCTS:
        return "product"
    if name in COPIES:
        return "copy"
    if name.startswith(("triton_red", "triton_per")) or name in REDUCTIONS:
        return "reduction"
    if any(word in name for word in SAME_SIZE_REDUCTIONS):
        return "reduction"
    if not name:
        known = {
            "attention": ("sdpa", "flash", "fmha", "cudnn"),
            "product": ("nvjet", "gemm", "cutlass", "splitK"),
            "reduction": ("triton_red", "triton_per", "reduce"),
            "optimizer": ("multi_tensor_apply",),
            "copy": ("Memcpy", "Memset", "copy"),
        }
        return next((kind for kind, words in known.items() if any(w in kernel for w in words)), "elementwise")
    return "elementwise"


def counted(name: str, event: dict) -> tuple[float, float]:
    """FLOPs and bytes of one operation."""
    args = tensors(event)
    if "attention" in name:
        return of_attention(name, args) if any(len(shape) == 4 for shape, _ in args) else (0.0, 0.0)
    return of_product(name, args) if name in PRODUCTS else of_others(name, args)


def of_host(events: list[dict]) -> list[tuple[dict, list[dict]]]:
    """Without a GPU: the operations that are counted, none inside another, each as its own kernel."""
    plain = (
        "sum",
        "mean",
        "mul",
        "add",
        "add_",
        "mul_",
        "copy_",
        "div",
        "exp",
        "gelu",
        "addcmul_",
        "_fused_adamw_",
    )
    outer, end = [], -1.0
    for op in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        name = bare(op["name"])
        counts = (
            kind_of(name) in ("product", "attention")
            or name in plain
            or name.startswith(("_foreach", "_fused_adamw"))
        )
        if op.get("cat") == "cpu_op" and counts and op["ts"] >= end:
            outer.append((op, [op]))
            end = op["ts"] + op["dur"]
    return outer


def of_device(events: list[dict]) -> list[tuple[dict, list[dict]]]:
    """Each operation that started kernels, with them; {} for kernels of which no operation is known."""
    by_id = {e["args"].get("External id"): e for e in events if e.get("cat") == "cpu_op" and "args" in e}
    by_id.pop(None, None)
    started: dict = {}
    for event in events:
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
            started.setdefault(event.get("args", {}).get("External id"), []).append(event)
    nobody = [kernel for key in list(started) if key not in by_id for kernel in started.pop(key)]
    return [(by_id[key], kernels) for key, kernels in started.items()] + [({}, [kernel]) for kernel in nobody]


def kernels(events: list[dict]) -> list[dict]:
    """Every kernel of a step: alike ones (operation, kernel, shapes) in one row, the longest row first.

    Where an operation starts several kernels, the longest of them carries its FLOPs and bytes.
    """
    on_gpu = any(event.get("cat") == "kernel" for event in events)
    phases = [e for e in events if e.get("cat") == "user_annotation" and e["name"] in ("optimizer", "clip")]
    rows: dict[tuple, dict] = {}
    for op, started in of_device(events) if on_gpu else of_host(events):
        name = bare(op.get("name", ""))
        flops, moved = counted(name, op) if op else (0.0, 0.0)
        phase = next((p["name"] for p in phases if op and p["ts"] <= op["ts"] <= p["ts"] + p["dur"]), "")
        longest = max(started, key=lambda kernel: kernel["dur"])
        shapes = [shape for shape, _ in tensors(op)] if op else []
        widths = [width for shape, width in tensors(op) if shape] if op else []
        for kernel in started:
            kind = "optimizer" if phase else kind_of(name, kernel["name"])
            key = (name, short(kernel["name"]), str(shapes), phase)
            new = {"kind": kind, "op": name, "kernel": short(kernel["name"]), "phase": phase}
            new |= {"shapes": shapes[:4] if len(shapes) < 9 else len(shapes), "width": (widths or [0])[0]}
            row = rows.setdefault(key, {**new, "calls": 0, "us": 0.0, "flops": 0.0, "bytes": 0.0})
            row["calls"] += 1
            row["us"] = round(row["us"] + kernel["dur"], 2)
            if kernel is longest:
                row["flops"] += flops
                row["bytes"] += moved
    return sorted(rows.values(), key=lambda row: -row["us"])


def short(kernel: str) -> str:
    """A kernel's name without its templates and arguments."""
    name = kernel.removeprefix("void ").replace("(anonymous namespace)::", "").split("<")[0].split("(")[0]
    return name.removeprefix("at::native::")[:70].strip()


def merged(spans: list[tuple[float, float]], gap: float) -> list[list[float]]:
    """Begin and end of what is busy: spans with less than `gap` between them are one."""
    busy: list[list[float]] = []
    for begin, end in sorted(spans):
        if busy and begin - busy[-1][1] < gap:
            busy[-1][1] = max(busy[-1][1], end)
        else:
            busy.append([begin, end])
    return [[round(begin, 1), round(end, 1)] for begin, end in busy]


def timeline(events: list[dict], near: float = 300.0) -> dict:
    """Host and device in microseconds from the first event on; `near`: that many of them in full.

    `launches`, `waits` and `device` are thinned: what lies closer than a 2500th of the step is one span.
    """
    on_gpu = any(event.get("cat") == "kernel" for event in events)
    runtime = [e for e in events if e.get("cat") in ("cuda_runtime", "cuda_driver")]
    launches = [e for e in runtime if e["name"].startswith(LAUNCHES)]
    launches = launches if on_gpu else [op for op, _ in of_host(events)]
    waits = [e for e in runtime if e["name"] in WAITS]
    device = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    begin = min(e["ts"] for e in launches)
    end = max(e["ts"] + e["dur"] for e in [*device, *launches])

    def spans(of: list[dict]) -> list[tuple[float, float]]:
        return [(e["ts"] - begin, min(e["ts"] + e["dur"], end) - begin) for e in of if e["ts"] < end]

    gap = (end - begin) / PARTS
    middle = launches[len(launches) // 3]["ts"] - begin
    inside = {
        name: [
            [round(e["ts"] - begin, 1), round(e["dur"], 1), short(e["name"])[:40]]
            for e in sorted(of, key=lambda e: e["ts"])
            if middle <= e["ts"] - begin < middle + near
        ][:400]
        for name, of in (("launches", launches), ("device", device))
    }
    return {
        "us": round(end - begin, 1),
        "busy_us": round(sum(e["dur"] for e in device), 1),
        "n_launches": len(launches),
        "n_kernels": len(device),
        "host_us": round(max(e["ts"] + e["dur"] for e in launches) - begin, 1),
        "launches": merged(spans(launches), gap),
        "waits": merged(spans(waits), gap),
        "device": merged(spans(device), gap),
        "near": {"from": round(middle, 1), "us": near, **inside},
    }
