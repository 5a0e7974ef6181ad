"""How fast the book's parts are on this machine: `make bench`, or `python -m tools.measure.bench steps`.

Prints one table with medians and spreads and writes it as JSON. What the machine lacks is skipped, and said.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from gptlib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gptlib.data import Batches, load_corpus
from gptlib.generation import generate
from gptlib.gpt import GPT
from gptlib.optimizer import AdamW, set_learning_rate
from gptlib.speed import (
    KERNELS,
    CapturedDecoder,
    CapturedStep,
    CompiledStep,
    only_eager,
    replaced,
    step_flops,
    whole_step,
)
from gptlib.tokenizer import GPT2_PATTERN, BPETokenizer, CharTokenizer
from gptlib.training import PRESETS, Trainer, eager_step

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HAS_COMPILER = DEVICE.type == "cuda" or bool(shutil.which("c++") or shutil.which("g++"))
NEVER = contextlib.nullcontext


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds(work, repeats: int, calls: int = 1) -> list[float]:
    """The time of one call, `repeats` times over, each time the mean of `calls` calls."""
    times = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        wait()
        times.append((time.perf_counter() - start) / calls)
    return times


def row(part: str, name: str, times: list[float], unit: str = "ms", of=lambda t: 1e3 * t, **more) -> dict:
    """One line of the table: the median of `of(time)`, and how far the repeats lie from it at most."""
    values = [of(t) for t in times]
    median = statistics.median(values)
    spread = max(abs(v - median) for v in values)
    return {"part": part, "name": name, "median": median, "spread": spread, "unit": unit, **more}


# --- training steps: the same step, one change after the other


def one_by_one(self) -> None:
    """`Adam.step` with a loop over the tensors."""
    for group in self.param_groups:
        settings = {k: group[k] for k in ("lr", "betas", "eps", "weight_decay")}
        for p in group["params"]:
            self.update([p], [p.grad], **settings)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to train."""

    threads: int = 1
    precision: str = "fp32"
    waits: bool = True  # for each batch and each loss
    fused_attention: bool = False
    batched: bool = False  # the optimizer's update
    kernels: bool = False
    dropout: bool = True
    step_fn: Callable | None = None  # makes the step; None: the eager one


def variants() -> list[tuple[str, Variant]]:
    """The steps of chapter 14's table: each is the one before with one change."""
    table = [("plain loop", Variant())]

    def then(name, **what):
        table.append((name, dataclasses.replace(table[-1][1], **what)))

    if DEVICE.type == "cuda":
        then("nobody waits for the GPU", waits=False)
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


def measure_step(
    variant: Variant, optimizer: str, tokens, repeats: int, calls: int
) -> tuple[list[float], float]:
    """Times of one step, and how long the first one took, which includes compiling and recording."""
    preset = PRESETS["char-gpu" if DEVICE.type == "cuda" else "char-cpu"]
    config = dataclasses.replace(preset.train, optimizer=optimizer, precision=variant.precision)
    shape = preset.model if variant.dropout else dataclasses.replace(preset.model, dropout=0.0)
    torch.set_num_threads(variant.threads)
    trainer = Trainer(GPT(shape, torch.Generator().manual_seed(1)).to(DEVICE).train(), config)
    for block in trainer.model.h:
        block.attn.fused = variant.fused_attention
    batches = Batches(
        tokens.cpu() if variant.waits else tokens, config.batch_size, preset.model.block_size, 1
    )
    step_fn = variant.step_fn() if variant.step_fn else whole_step
    number = iter(range(10**9))

    def step():
        set_learning_rate(trainer.optimizer, 0.1)
        x, y = (t.to(DEVICE) for t in batches.at(next(number)))
        loss, _ = step_fn(trainer, x, y)
        if variant.waits:
            loss.item()

    loop = NEVER() if variant.batched else replaced((AdamW, "step", torch.no_grad()(one_by_one)))
    kernels = replaced(*KERNELS) if variant.kernels else NEVER()
    with loop, kernels:
        first = seconds(step, 1)[0]
        seconds(step, 1, 3)
        return seconds(step, repeats, calls), first


def bench_steps() -> list[dict]:
    """Training steps, from the plain loop on; tokens a second and the share of the ceiling."""
    corpus = load_corpus()
    tokens = torch.tensor(CharTokenizer.from_text(corpus.text).encode(corpus.text), device=DEVICE)
    preset = PRESETS["char-gpu" if DEVICE.type == "cuda" else "char-cpu"]
    batch = preset.train.batch_size
    flops, drawn = step_flops(preset.model, batch), batch * preset.model.block_size
    ceilings = {
        dtype: ceiling(dtype) for dtype in (torch.float32, torch.bfloat16)[: 1 + (DEVICE.type == "cuda")]
    }
    threads, rows = torch.get_num_threads(), []
    for dtype, top in ceilings.items():
        name = f"matrix product, {str(dtype).removeprefix('torch.')}"
        rows.append(row("ceiling", name, top, "TFLOP/s", lambda t: 2 * 4096**3 / t / 1e12))
    rows.append(bandwidth())
    tried = [(name, variant, "adamw") for name, variant in variants()]
    last, fastest, _ = tried[-1]
    tried += [(f"{last}, Muon", fastest, "muon")]
    if preset.model.dropout:
        tried += [(f"{last}, no dropout", dataclasses.replace(fastest, dropout=False), "adamw")]
    if DEVICE.type == "cuda":  # on a CPU the plain loop is hardly another one
        own = dataclasses.replace(fastest, kernels=False, step_fn=lambda: eager_step)
        tried += [("eager_step, as chapter 10 left it", own, "adamw")]
    for name, variant, optimizer in tried:
        slow = DEVICE.type == "cpu"
        times, first = measure_step(variant, optimizer, tokens, repeats=5, calls=4 if slow else 20)
        dtype = torch.float32 if variant.precision == "fp32" or slow else torch.bfloat16
        attainable = 2 * 4096**3 / statistics.median(ceilings[dtype])
        median = statistics.median(times)
        more = {
            "tokens_per_second": drawn / median,
            "utilisation": flops / median / attainable,
            "first": first,
        }
        rows.append(row("step", name, times, **more))
        print(f"  {name}: {1e3 * median:.2f} ms", file=sys.stderr, flush=True)
    torch.set_num_threads(threads)
    return rows


def ceiling(dtype: torch.dtype) -> list[float]:
    """Times of one product of two 4096 × 4096 matrices."""
    a, b = (torch.randn(4096, 4096, device=DEVICE, dtype=dtype) for _ in "ab")
    work = lambda: a @ b  # noqa: E731
    seconds(work, 1, 2)
    return seconds(work, 5, 30 if DEVICE.type == "cuda" else 1)


def bandwidth() -> dict:
    """Bytes read and written a second while copying a tensor larger than any cache."""
    a = torch.zeros(2**28 if DEVICE.type == "cuda" else 2**26, device=DEVICE)  # 1 GB or 256 MB of float32
    b = torch.empty_like(a)
    seconds(lambda: b.copy_(a), 1, 2)
    times = seconds(lambda: b.copy_(a), 5, 5)
    return row("ceiling", "copying memory", times, "GB/s", lambda t: 2 * 4 * a.numel() / t / 1e9)


def bench_kernels() -> list[dict]:
    """The kernels of one compiled and recorded step: the longest 30 by name, in microseconds a step."""
    if DEVICE.type != "cuda":
        print("no CUDA GPU: its kernels are not listed", file=sys.stderr)
        return []
    preset = PRESETS["char-gpu"]
    trainer = Trainer(GPT(preset.model, torch.Generator().manual_seed(1)).to(DEVICE).train(), preset.train)
    windows = torch.zeros(preset.train.batch_size, preset.model.block_size, dtype=torch.long, device=DEVICE)
    step, repeats = CapturedStep(), 5
    step(trainer, windows, windows)
    if reason := only_eager(trainer):
        print(f"no recorded step whose kernels could be listed: {reason}", file=sys.stderr)
        return []
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        seconds(step.graph.replay, 1, repeats)
    events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
    named = [(e.key, e.self_device_time_total / repeats, e.count // repeats) for e in events]
    rest = ("all others", sum(us for _, us, _ in named[30:]), sum(calls for _, _, calls in named[30:]))
    return [
        row("kernel", name, [us], "us", lambda t: t, calls=calls) for name, us, calls in [*named[:30], rest]
    ]


# --- the other parts


def bench_generation() -> list[dict]:
    """255 tokens from the 6-layer, 384-wide model: window recomputed, cached, and on a GPU captured."""
    model = GPT(PRESETS["char-gpu"].model, torch.Generator().manual_seed(1)).to(DEVICE).eval()
    prompt = torch.zeros(1, 1, dtype=torch.long, device=DEVICE)
    ways = {"window for each token": (model, False), "key-value cache": (model, True)}
    if DEVICE.type == "cuda":
        ways["cache, recorded"] = (CapturedDecoder(model), True)
        ways["cache, compiled, then recorded"] = (CapturedDecoder(model, compiled=True), True)
    rows = []
    for name, (writer, cached) in ways.items():
        write = partial(generate, writer, prompt, 255, temperature=0.8, use_cache=cached)
        if DEVICE.type == "cuda":
            seconds(write, 1)  # the first one records
        rows.append(row("generation", name, seconds(write, 3), "tokens/s", lambda t: 255 / t))
    return rows


def bench_tokenizer() -> list[dict]:
    """BPE: training on the corpus and encoding it, cold and with a warm cache; tiktoken beside it."""
    text, rows = load_corpus().text, []
    for merges in (256, 4096):
        times = seconds(partial(BPETokenizer.train, text, 256 + merges), 3)
        rows.append(row("tokenizer", f"train {merges:,} merges", times, "s", lambda t: t))
    gpt2 = BPETokenizer.gpt2()
    cold = [seconds(partial(fresh.encode, text), 1)[0] for fresh in [BPETokenizer.gpt2() for _ in range(3)]]
    gpt2.encode(text)
    rows.append(row("tokenizer", "encode the corpus, cold", cold, "s", lambda t: t))
    rows.append(
        row("tokenizer", "encode the corpus, warm", seconds(lambda: gpt2.encode(text), 3), "s", lambda t: t)
    )
    try:
        import tiktoken
    except ImportError:
        print("no tiktoken: not compared with it", file=sys.stderr)
        return rows
    ranks = {gpt2.decode_bytes([i]): i for i in range(gpt2.vocab_size - 1)}  # all but <|endoftext|>
    theirs = tiktoken.Encoding("gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    rows.append(
        row("tokenizer", "tiktoken encodes it", seconds(lambda: theirs.encode(text), 3), "s", lambda t: t)
    )
    return rows


def bench_widget() -> list[dict]:
    """The attention explorer on the shipped model: redraw after a click, recompute after a new prompt."""
    try:
        from gptlib.widgets.attention_explorer import explorer_for_model
        from gptlib.widgets.shipped_model import trained_model
    except ImportError as missing:
        print(f"no {missing.name}: the widget is skipped", file=sys.stderr)
        return []
    trained = trained_model()
    explorer = explorer_for_model(trained.model, trained.tokenizer, "ROMEO:\nBut, soft!")
    layers, prompts = iter([1, 2, 3, 4, 5] * 4), iter([f"KING {c}: Speak, good friend" for c in "ABCDEFGHIJ"])

    def click():
        explorer.layer.value = next(layers)

    def ask():
        explorer.prompt.value = next(prompts)

    return [row("widget", "redraw", seconds(click, 10)), row("widget", "new prompt", seconds(ask, 10))]


def bench_checkpoint() -> list[dict]:
    """Saving and loading the full model with its optimizer state."""
    preset = PRESETS["char-gpu"]
    trainer = Trainer(GPT(preset.model), preset.train)
    for p in trainer.model.parameters():
        p.grad = torch.zeros_like(p)
    trainer.optimizer.step()
    tokenizer = CharTokenizer.from_text(load_corpus().text)
    checkpoint = Checkpoint(trainer.state(1, 4.0, 1), preset.model, preset.train, tokenizer)
    with tempfile.TemporaryDirectory() as place:
        numbers = iter(range(100))
        saving = seconds(lambda: save_checkpoint(Path(place) / str(next(numbers)), checkpoint), 5)
        loading = seconds(lambda: load_checkpoint(Path(place) / "0"), 5)
    return [row("checkpoint", "save", saving), row("checkpoint", "load, verified", loading)]


PARTS = {
    "steps": bench_steps,
    "kernels": bench_kernels,
    "generation": bench_generation,
    "tokenizer": bench_tokenizer,
    "widget": bench_widget,
    "checkpoint": bench_checkpoint,
}


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [f"{'part':11} {'what':38} {'median':>10}   {'± at most':>9} unit"]
    for r in rows:
        line = f"{r['part']:11} {r['name'][:38]:38} {r['median']:10.4g}   {r['spread']:9.2g} {r['unit']}"
        if "utilisation" in r:
            line += f", {r['tokens_per_second']:,.0f} tokens/s, {100 * r['utilisation']:.1f} % of the ceiling"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"), help="where the JSON goes")
    args = parser.parse_args()
    if unknown := set(args.parts) - PARTS.keys():
        parser.error(f"unknown part {min(unknown)!r}: choose from {', '.join(PARTS)}")
    machine = {"device": name_of_device(), "torch": torch.__version__, "corpus": load_corpus().name}
    rows = []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in args.parts or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += PARTS[name]()
        args.out.write_text(json.dumps({**machine, "rows": rows}, indent=1) + "\n")  # so far
    print(f"{machine['device']}, PyTorch {machine['torch']}\n{table(rows)}")
    print(f"written to {args.out}")


def name_of_device() -> str:
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
