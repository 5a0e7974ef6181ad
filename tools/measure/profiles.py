"""Steps as the profiler sees them: every kernel, and host and device in time; also at GPT-2's size."""

import contextlib
import dataclasses
import functools

import torch
from torch.profiler import record_function

from gptlib import speed
from gptlib.batched import batched_optimizer
from gptlib.gpt import GPT
from gptlib.optimizer import set_learning_rate
from gptlib.speed import CapturedStep, CompiledStep, whole_step
from gptlib.trainer import Trainer
from tools.measure import DEVICE, characters
from tools.measure.sizes import ON_GPU, Sizes, now, span
from tools.measure.steps import HAS_COMPILER, stepping, variants
from tools.measure.timing import mean_calls
from tools.measure.trace import kernels, timeline, traced


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
