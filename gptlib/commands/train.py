"""`train`: a new run of a preset, changed as one likes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gptlib.commands.job import Job, carry_out
from gptlib.commands.options import PRESETS, Device, Step
from gptlib.commands.resume import Resume, go_on
from gptlib.commands.shards import shards_of, tokenizer_of
from gptlib.commands.text import text_named, tokenizer_named
from gptlib.commands.together import began_before, joined
from gptlib.config import TrainConfig
from gptlib.data import Corpus
from gptlib.gpt import GPTConfig
from gptlib.runs import must_be_free
from gptlib.tokenizer import Tokenizer
from gptlib.trainer import choose_device


@dataclass(frozen=True)
class Train:
    """Train a preset, changed as you like, on TinyShakespeare or on your own text."""

    model: GPTConfig
    train: TrainConfig
    preset: Literal[tuple(PRESETS)] = "char-cpu"
    text: tuple[
        str, ...
    ] = ()  # files, folders, patterns: UTF-8 text, .jsonl with a field "text", .gz of both
    shards: Path | None = None  # a folder that the command shards has written, in the place of a text
    tokenizer: str | None = None  # char, byte, bpe:N (N tokens, learned from the text) or gpt2
    out: Path | None = None  # run folder; by default the next free runs/PRESET-NNN
    mirror: Path | None = None  # an existing folder on another disk, for a copy of each checkpoint
    device: Device = "auto"
    step: Step = "auto"  # auto: captured on a CUDA GPU, also compiled where that pays; else fused
    fsdp: bool = (
        False  # under torchrun: each process keeps a slice of the weights, for what does not fit one GPU
    )
    timeout: float = (
        600.0  # under torchrun: seconds after which a process that hangs is named and ends the run
    )


def run_train(args: Train) -> None:
    """Load the text, build the model, train, and say where the result stands on the loss ladder."""
    parallel = joined(args.device, args.fsdp, args.timeout)
    if folder := began_before(args.out):  # torchrun has started the processes again
        return go_on(Resume(folder, args.train, args.mirror, args.device, args.step, args.fsdp), parallel)
    device = parallel.ranks.device if parallel else choose_device(args.device)
    for place in filter(None, (args.out, args.mirror)):
        must_be_free(place)
    if args.out and args.mirror and args.out.resolve() == args.mirror.resolve():
        raise ValueError(f"--mirror {args.mirror} is the run's own folder: choose one on another disk")
    shards = None
    if args.shards:
        corpus, tokenizer, shards = shards_named(args)
    else:
        corpus = text_named(args.text)
        tokenizer = make_tokenizer(args, corpus)
    model = dataclasses.replace(args.model, vocab_size=tokenizer.vocab_size)
    places = args.out, args.mirror
    carry_out(
        Job(args.preset, model, args.train, corpus, tokenizer, *places, device, args.step, parallel, shards)
    )


def shards_named(args: Train) -> tuple[Corpus, Tokenizer, tuple]:
    """The shards that are asked for, as a corpus without text; ValueError where another option contradicts them."""
    if args.text:
        raise ValueError("--text and --shards are two texts: give one of them")
    corpus, tokenizer, shards = shards_of(args.shards)
    if args.tokenizer and (wanted := tokenizer_of(args.tokenizer)).fingerprint != tokenizer.fingerprint:
        names = f"{tokenizer.kind} {tokenizer.fingerprint}, not by {args.tokenizer} {wanted.fingerprint}"
        raise ValueError(f"{args.shards} was made by the tokenizer {names}: leave --tokenizer out")
    return corpus, tokenizer, shards


def make_tokenizer(args: Train, corpus: Corpus) -> Tokenizer:
    """The tokenizer that is asked for, else the preset's."""
    preset = PRESETS[args.preset]
    default = f"bpe:{args.model.vocab_size}" if preset.tokenizer == "bpe" else preset.tokenizer
    tokenizer = tokenizer_named(args.tokenizer or default, corpus)
    if args.model.vocab_size not in (preset.model.vocab_size, tokenizer.vocab_size):
        wrong, right = args.model.vocab_size, tokenizer.vocab_size
        raise ValueError(f"vocab_size={wrong}, but the tokenizer has {right} tokens: leave the setting out")
    return tokenizer
