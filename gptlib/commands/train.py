"""`train`: a new run of a preset, changed as one likes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gptlib.commands.job import Job, carry_out
from gptlib.commands.options import PRESETS, Device, Step
from gptlib.commands.text import text_named, tokenizer_named
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
    tokenizer: str | None = None  # char, byte, bpe:N (N tokens, learned from the text) or gpt2
    out: Path | None = None  # run folder; by default the next free runs/PRESET-NNN
    mirror: Path | None = None  # an existing folder on another disk, for a copy of each checkpoint
    device: Device = "auto"
    step: Step = "auto"  # auto: captured on a CUDA GPU, also compiled where that pays; else fused


def run_train(args: Train) -> None:
    """Load the text, build the model, train, and say where the result stands on the loss ladder."""
    device = choose_device(args.device)
    for place in filter(None, (args.out, args.mirror)):
        must_be_free(place)
    if args.out and args.mirror and args.out.resolve() == args.mirror.resolve():
        raise ValueError(f"--mirror {args.mirror} is the run's own folder: choose one on another disk")
    corpus = text_named(args.text)
    tokenizer = make_tokenizer(args, corpus)
    model = dataclasses.replace(args.model, vocab_size=tokenizer.vocab_size)
    carry_out(
        Job(args.preset, model, args.train, corpus, tokenizer, args.out, args.mirror, device, args.step)
    )


def make_tokenizer(args: Train, corpus: Corpus) -> Tokenizer:
    """The tokenizer that is asked for, else the preset's."""
    preset = PRESETS[args.preset]
    default = f"bpe:{args.model.vocab_size}" if preset.tokenizer == "bpe" else preset.tokenizer
    tokenizer = tokenizer_named(args.tokenizer or default, corpus)
    if args.model.vocab_size not in (preset.model.vocab_size, tokenizer.vocab_size):
        wrong, right = args.model.vocab_size, tokenizer.vocab_size
        raise ValueError(f"vocab_size={wrong}, but the tokenizer has {right} tokens: leave the setting out")
    return tokenizer
