"""A run: what it needs, and its training from the first step, or from a state, to what came of it."""

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
from gptlib.commands.text import TEXTS, tokenizer_name
from gptlib.config import TrainConfig
from gptlib.data import Batches, Corpus, split
from gptlib.gpt import GPTConfig
from gptlib.modern import build_model
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


def carry_out(job: Job, start: TrainState | None = None) -> None:
    """Train, and print what came of it. What cannot work is an error before anything is written."""
    texts = split(job.corpus.text)
    tokens = encoded(job, texts)
    step_fn = step_function(job)
    choose_threads(job.device)
    model = build_model(job.model, torch.Generator().manual_seed(job.train.seed)).to(job.device)
    new = job.folder is None or not job.folder.exists()
    folder = job.folder or next_free(Path("runs"), job.preset if job.corpus.name in TEXTS else "own")
    try:
        checkpointer = Checkpointer(folder, job.model, job.train, job.tokenizer, job.mirror, mine.hashes())
        settings = describe(job.preset, model, job.train, job.corpus, tokens, texts[1])
        settings["tokenizer"] = tokenizer_name(job.tokenizer)
        for place in filter(None, (folder, job.mirror)):
            write_settings(place, settings)
        print(f"{job.preset}: {settings['parameters']:,} weights on {settings['device']}, into {folder}")
        print(advice(settings, job.train, job.model))
        logger = MetricsLog(folder, start.step if start else 0)
        plugs = dict(checkpointer=checkpointer, logger=logger, start=start)
        with StopSignals() as stop:
            result = train(
                model,
                *tokens,
                job.train,
                step_fn=with_memory_advice(step_fn),
                optimizer_fn=batched_optimizer,
                sample_fn=lambda model: sample_text(model, job.tokenizer, 300, seed=job.train.seed),
                stop=stop,
                **plugs,
            )
    except BaseException as reason:
        leave(folder, new, reason)
        raise
    print(
        f"\nvalidation loss {result.val_loss:.4f} nats per token at step {result.step}, "
        f"best {result.best_val_loss:.4f} at step {result.best_step}, {result.seconds:.0f} s"
    )
    print_ladder(keep_ladder(folder, texts), {"this model": result.val_loss * len(tokens[1]) / len(texts[1])})
    print("\n" + sample_text(model, job.tokenizer, 400, seed=job.train.seed).strip())
    print(f"\nMore of it:  python -m gptlib sample --checkpoint {folder}")


def encoded(job: Job, texts: tuple[str, str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and validation tokens; ValueError where one of them is too short."""
    tokens = tuple(torch.tensor(job.tokenizer.encode(text), dtype=torch.long) for text in texts)
    Batches(tokens[0], job.train.batch_size, job.model.block_size)
    if min(len(tokens[1]), len(texts[1])) < 2:
        raise ValueError(f"the validation part, a tenth of the text, is {texts[1]!r}: take a longer text")
    return tokens


def step_function(job: Job) -> StepFunction:
    """The step that is asked for. Where it falls back to the eager one, a line says why."""
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
