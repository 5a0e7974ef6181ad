"""The training step after each change: its time in one launch, and that it trains as the plain loop does."""

import dataclasses
import statistics
import sys

import torch

from gptlib.speed import CompiledStep
from tools.measure import DEVICE, characters
from tools.measure.sizes import ON_GPU, Sizes, span
from tools.measure.steps import Variant, stepping, variants
from tools.measure.timing import mean_calls, single_calls


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
