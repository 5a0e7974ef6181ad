"""A run: what it needs, and its training from the first step, or from a state, to what came of it."""

import dataclasses
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from gptlib import mine
from gptlib.batched import batched_optimizer
from gptlib.checkpoint import checkpoints_in
from gptlib.checkpointer import Checkpointer
from gptlib.commands.ladder import keep_ladder, print_ladder
from gptlib.commands.sample import sample_text
from gptlib.commands.together import missing_named, run_id
from gptlib.commands.text import TEXTS, tokenizer_name
from gptlib.config import TrainConfig
from gptlib.data import Batches, Corpus, split
from gptlib.gpt import GPTConfig
from gptlib.modern import build_model
from gptlib.parallel import FSDP, DataParallel
from gptlib.runs import (
    MetricsLog,
    StopSignals,
    advice,
    describe,
    next_free,
    read_records,
    with_memory_advice,
    write_settings,
)
from gptlib.shards import TokenShards
from gptlib.speed import CapturedStep, CompiledStep, make_step, only_eager, step_flops, threads_that_pay
from gptlib.tokenizer import Tokenizer
from gptlib.trainer import StepFunction, TrainState, choose_precision
from gptlib.training import train


@dataclass(frozen=True)
class Job:
    """All that a run needs."""

    preset: str
    model: GPTConfig
    train: TrainConfig
    corpus: Corpus
    tokenizer: Tokenizer
    folder: Path | None  # None: the next free one
    mirror: Path | None
    device: torch.device
    step: str
    parallel: DataParallel | None = None  # the processes that train it together
    shards: tuple[TokenShards, TokenShards] | None = (
        None  # what to train on and to validate on, in the place of a text
    )


def carry_out(job: Job, start: TrainState | None = None) -> None:
    """Train, and print what came of it. What cannot work is an error before anything is written."""
    parallel, first = job.parallel, not job.parallel or job.parallel.ranks.rank == 0
    texts = None if job.shards else split(job.corpus.text)
    tokens = encoded(job, texts)
    characters = (
        job.shards[1].characters or len(tokens[1]) if job.shards else len(texts[1])
    )  # of the validation part
    step_fn = step_function(job)
    choose_threads(job.device)
    model = build_model(job.model, torch.Generator().manual_seed(job.train.seed))
    model = parallel.prepare(model, job.train) if parallel else model.to(job.device)
    new = job.folder is None or not job.folder.exists()
    folder = job.folder or (
        next_free(Path("runs"), job.preset if job.corpus.name in TEXTS else "own") if first else None
    )
    if parallel:  # process 0 writes
        folder = parallel.ranks.objects(folder)[0]
    try:
        plugs = dict(optimizer_fn=batched_optimizer, start=own_part(start, job))
        if first:
            plugs["checkpointer"] = Checkpointer(
                folder, job.model, job.train, job.tokenizer, job.mirror, mine.hashes()
            )
            settings = describe(job.preset, model, job.train, job.corpus, tokens, texts[1] if texts else "")
            settings |= {"tokenizer": tokenizer_name(job.tokenizer), "val_characters": characters}
            settings |= how_many(parallel) | ({"shards": True} if job.shards else {})
            for place in filter(None, (folder, job.mirror)):
                write_settings(place, settings)
            print(f"{job.preset}: {settings['parameters']:,} weights on {on_what(settings)}, into {folder}")
            print(advice(settings, job.train, job.model))
            plugs["logger"] = MetricsLog(folder, start.step if start else 0)
        with StopSignals() as stop:
            plugs["stop"] = stop
            if parallel:
                plugs |= parallel.plugs(**plugs)
            with missing_named(
                parallel
            ):  # inside: torchrun's SIGTERM to the rest must not come before the line
                result = train(
                    model,
                    *tokens,
                    job.train,
                    step_fn=with_memory_advice(step_fn),
                    sample_fn=lambda model: sample_text(model, job.tokenizer, 300, seed=job.train.seed),
                    **plugs,
                )
        text = sample_text(model, job.tokenizer, 400, seed=job.train.seed).strip()
    except BaseException as reason:
        if first:
            leave(folder, new, reason)
        raise
    if not first:
        return
    print(
        f"\nvalidation loss {result.val_loss:.4f} nats per token at step {result.step}, "
        f"best {result.best_val_loss:.4f} at step {result.best_step}, {result.seconds:.0f} s"
    )
    loss = result.val_loss * len(tokens[1]) / characters
    if texts:
        print_ladder(keep_ladder(folder, texts), {"this model": loss})
    else:
        print(f"{loss:.4f} nats per character of the shards' validation part")
    print("\n" + text)
    print(f"\nMore of it:  python -m gptlib sample --checkpoint {folder}")


def own_part(start: TrainState | None, job: Job) -> TrainState | None:
    """This process's part of the state to go on from."""
    if start is None or job.parallel:
        return start and job.parallel.part(start, job.train.seed)
    alone = {
        kind: state for kind, state in start.rng.items() if " " not in kind
    }  # without those of other processes
    return dataclasses.replace(start, rng=alone)


def how_many(parallel: DataParallel | None) -> dict:
    """What config.json says of a run by several processes."""
    if not parallel:
        return {}
    found = {"processes": parallel.ranks.world_size, "fsdp": isinstance(parallel, FSDP)}
    return found | ({"run_id": run_id()} if run_id() else {})


def on_what(settings: dict) -> str:
    """The devices of a run, in words."""
    n = settings.get("processes", 1)
    return (
        settings["device"]
        if n == 1
        else f"{n} × {settings['device']}{' with FSDP' if settings['fsdp'] else ''}"
    )


def encoded(job: Job, texts: tuple[str, str] | None) -> tuple:
    """Training and validation tokens, of the texts or of the shards; ValueError where one of them is too short."""
    tokens = job.shards or tuple(torch.tensor(job.tokenizer.encode(text), dtype=torch.long) for text in texts)
    n, batch_size = (job.parallel.ranks.world_size if job.parallel else 1), job.train.batch_size
    if batch_size % n:
        fits = f"--train.batch-size {-(-batch_size // n) * n}"
        raise ValueError(
            f"batch_size={batch_size} cannot be shared out among {n} processes: take {fits}, say"
        )
    Batches(tokens[0], batch_size, job.model.block_size)
    if job.shards and len(tokens[1]) < 2:
        raise ValueError(
            f"the validation shards hold {len(tokens[1])} tokens: write them with a larger --val-fraction"
        )
    if texts and min(len(tokens[1]), len(texts[1])) < 2:
        raise ValueError(f"the validation part, a tenth of the text, is {texts[1]!r}: take a longer text")
    return tokens


def step_function(job: Job) -> StepFunction:
    """The step that is asked for. Where it falls back to the eager one, a line says why."""
    if isinstance(job.parallel, FSDP):
        return job.parallel.step
    dtype = choose_precision(job.train.precision, job.device)
    work = step_flops(job.model, job.train.batch_size) * job.train.max_steps
    step_fn = make_step(job.step, job.device, work)
    if isinstance(step_fn, (CapturedStep, CompiledStep)) and (reason := only_eager(dtype)):
        print(f"steps are eager: {reason}")
    return step_fn


def choose_threads(device: torch.device) -> None:
    """On a CPU, compute with as many threads as pay; where OMP_NUM_THREADS says how many, with so many."""
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return
    most, threads = torch.get_num_threads(), threads_that_pay()
    torch.set_num_threads(threads)
    if threads < most:
        print(
            f"{threads} of {most} threads: more are no faster just now (OMP_NUM_THREADS={most} takes them all)"
        )


def leave(folder: Path, new: bool, reason: BaseException) -> None:
    """Leave nothing of a new run that failed before its first record; say how a stopped one goes on."""
    if new and not checkpoints_in(folder) and not read_records(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif isinstance(reason, (KeyboardInterrupt, SystemExit)):
        print(f"\nstopped; go on with: python -m gptlib resume {folder}", file=sys.stderr)
