"""The command line, which puts the chapters' parts together: `python -m gptlib train | sample | evaluate`."""

import dataclasses
import logging
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from tqdm.auto import tqdm

from gptlib.checkpoint import CheckpointError, latest_checkpoint, load_checkpoint
from gptlib.data import Batches, load_corpus, split
from gptlib.decoder import CapturedDecoder
from gptlib.generation import generate, stream
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import bits_per_character, evaluate, ladder
from gptlib.runs import (
    Checkpointer,
    MetricsLog,
    StopSignals,
    compare,
    describe,
    must_be_free,
    next_free,
    with_memory_advice,
    write_settings,
)
from gptlib.speed import make_step
from gptlib.tokenizer import BPETokenizer, CharTokenizer, Tokenizer
from gptlib.training import PRESETS, TrainConfig, TrainingError, choose_precision, train


@dataclass(frozen=True)
class Train:
    """Train a preset, changed as you like, and keep metrics, samples and checkpoints in a run folder."""

    model: GPTConfig
    train: TrainConfig
    preset: Literal[tuple(PRESETS)] = "char-cpu"
    out: Path | None = None  # run folder; by default the next free runs/PRESET-NNN
    resume: bool = False  # go on from the newest valid checkpoint in --out (or its --mirror)
    mirror: Path | None = None  # an existing folder on another disk, for a copy of each checkpoint
    step: Literal["auto", "eager", "captured", "compiled"] = (
        "auto"  # auto: compiled on a CUDA GPU, else eager
    )


@dataclass(frozen=True)
class Sample:
    """Print text from a checkpoint, character by character as it is drawn."""

    checkpoint: Path
    prompt: str = "\n"
    max_new_tokens: int = 500
    temperature: float = 0.8  # 0 always takes the likeliest token
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1


@dataclass(frozen=True)
class Evaluate:
    """Print a checkpoint's exact loss on the whole validation split."""

    checkpoint: Path


def run_train(args: Train) -> None:
    """Load the text, build the model, train, and say where the result stands on the loss ladder."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus = load_corpus()
    train_text, val_text = split(corpus.text)
    tokenizer = make_tokenizer(args, corpus.text, train_text)
    model_config = dataclasses.replace(args.model, vocab_size=tokenizer.vocab_size)
    start, folder = None, args.out or next_free(Path("runs"), args.preset)
    if args.resume:
        if args.out is None:
            raise ValueError("--resume needs --out RUN_FOLDER: the run to go on with")
        newest = latest_checkpoint(folder, *filter(None, [args.mirror]))
        start = state_to_resume(newest, model_config, args.train, tokenizer)
        compare(newest.parent.parent / "config.json", corpus.name, device)
    else:
        must_be_free(folder, args.mirror)
    train_tokens, val_tokens = (torch.tensor(tokenizer.encode(text)) for text in (train_text, val_text))
    # what cannot work is an error before anything is written
    Batches(train_tokens, args.train.batch_size, model_config.block_size)
    Batches(val_tokens, 1, 1)
    choose_precision(args.train.precision, device)
    model = GPT(model_config, torch.Generator().manual_seed(args.train.seed)).to(device)

    step_fn = with_memory_advice(make_step(args.step, device))
    checkpointer = Checkpointer(folder, model_config, args.train, tokenizer, args.mirror)
    settings = describe(args.preset, model, args.train, corpus, (train_tokens, val_tokens), val_text)
    for place in filter(None, [folder, args.mirror]):
        write_settings(place, settings)
    print(f"{args.preset}: {settings['parameters']:,} parameters on {settings['device']}, into {folder}")

    with StopSignals() as stop:
        result = train(
            model,
            train_tokens,
            val_tokens,
            args.train,
            step_fn=step_fn,
            sample_fn=lambda model: sample_text(model, tokenizer, "\n", 300, seed=args.train.seed),
            checkpointer=checkpointer,
            logger=MetricsLog(folder),
            start=start,
            stop=stop,
        )
    print(
        f"\nvalidation loss {result.val_loss:.4f} nats per token at step {result.step}, "
        f"best {result.best_val_loss:.4f} at step {result.best_step}, {result.seconds:.0f} s"
    )
    print_ladder(result.val_loss * len(val_tokens) / len(val_text), train_text, val_text)
    print("\n" + sample_text(model, tokenizer, "\n", 400, seed=args.train.seed).strip())
    newest = latest_checkpoint(folder)
    print(f"\nMore of it:  python -m gptlib sample --checkpoint {newest} --prompt 'ROMEO:'")


def run_sample(args: Sample) -> None:
    """Stream a continuation of the prompt to the terminal."""
    checkpoint = load_checkpoint(args.checkpoint)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = checkpoint.build_model().to(device), checkpoint.tokenizer
    writer = CapturedDecoder(model) if device.type == "cuda" else model
    idx = torch.tensor([tokenizer.encode(args.prompt)], dtype=torch.long, device=device)
    T, block_size = idx.shape[1], model.config.block_size
    if T > block_size:
        raise ValueError(
            f"the prompt's T={T} exceeds block_size={block_size}: shorten it by {T - block_size}"
        )
    generator = torch.Generator(device).manual_seed(args.seed)
    how = dict(temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, generator=generator)
    ids, shown = idx[0].tolist(), ""
    for new in stream(writer, idx, args.max_new_tokens, **how):
        ids.append(new.item())
        text = tokenizer.decode(ids)
        if not text.endswith("\ufffd"):  # a character of several tokens is not complete yet
            print(text[len(shown) :], end="", flush=True)
            shown = text
    print()


def run_evaluate(args: Evaluate) -> None:
    """Exact mean loss over the validation split, with a progress bar."""
    checkpoint = load_checkpoint(args.checkpoint)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer, corpus = checkpoint.build_model().to(device), checkpoint.tokenizer, load_corpus()
    val_text = split(corpus.text)[1]
    tokens = torch.tensor(tokenizer.encode(val_text))
    block_size = model.config.block_size
    with tqdm(total=math.ceil((len(tokens) - 1) / block_size), desc="evaluating", unit="window") as bar:

        def counted(idx):
            bar.update(len(idx))
            return model(idx)

        loss = evaluate(counted, tokens.to(device), block_size, batch_size=16)
    bits = bits_per_character(loss, len(tokens), len(val_text))
    print(
        f"validation loss {loss:.4f} nats per token, {bits:.4f} bits per character "
        f"(exact, {len(tokens) - 1:,} predictions, {corpus.name})"
    )


def make_tokenizer(args: Train, text: str, train_text: str) -> Tokenizer:
    """The preset's tokenizer: all characters of the text, or byte pairs learned from its training part."""
    if PRESETS[args.preset].tokenizer == "bpe":
        return BPETokenizer.train(train_text, args.model.vocab_size)
    tokenizer = CharTokenizer.from_text(text)
    if args.model.vocab_size not in (PRESETS[args.preset].model.vocab_size, tokenizer.vocab_size):
        wrong, right = args.model.vocab_size, tokenizer.vocab_size
        raise ValueError(f"vocab_size={wrong}, but the text has {right} characters: leave the setting out")
    return tokenizer


def state_to_resume(folder: Path, model: GPTConfig, train: TrainConfig, tokenizer: Tokenizer):
    """The checkpoint's TrainState; CheckpointError lists where the command line's settings differ."""
    saved = load_checkpoint(folder, model_config=model, train_config=train, tokenizer=tokenizer)
    if saved.state.optimizer is None:
        raise ValueError(f"{folder} has no optimizer state: it was saved for reading, not for resuming")
    if saved.state.step >= train.max_steps:
        raise ValueError(f"{folder} is the end of its run: no step is left; start another with --out")
    return saved.state


def sample_text(model: GPT, tokenizer, prompt: str, length: int, seed: int) -> str:
    """`length` tokens of text after `prompt`, always the same for the same model and seed."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    idx = torch.tensor([tokenizer.encode(prompt)], device=device)
    return tokenizer.decode(generate(model, idx, length, temperature=0.8, generator=generator)[0].tolist())


def print_ladder(loss: float, train_text: str, val_text: str) -> None:
    """Where a loss, in nats per character, stands among n-gram tables fitted to the same text."""
    characters = CharTokenizer.from_text(train_text + val_text)
    rungs = ladder(characters.encode(train_text), characters.encode(val_text), characters.vocab_size)
    rungs["this model"] = loss
    print("\nThe loss ladder, in nats per character on the same validation text:")
    for name, value in sorted(rungs.items(), key=lambda rung: -rung[1]):
        print(f"  {value:.3f}  {name}{'  <--' if name == 'this model' else ''}")


def parse(argv: list[str]) -> Train | Sample | Evaluate:
    """Two passes: the preset first, then everything else with that preset's numbers as the defaults."""

    @dataclass(frozen=True)
    class Choice:
        preset: Literal[tuple(PRESETS)] = "char-cpu"

    preset = "char-cpu"
    if argv[:1] == ["train"]:
        preset = tyro.cli(
            Choice, prog="python -m gptlib train", args=argv[1:], return_unknown_args=True, add_help=False
        )[0].preset
    defaults = Train(PRESETS[preset].model, PRESETS[preset].train, preset)
    commands = (
        Annotated[Train, tyro.conf.subcommand("train", default=defaults)]
        | Annotated[Sample, tyro.conf.subcommand("sample")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    )
    return tyro.cli(tyro.conf.OmitSubcommandPrefixes[commands], args=argv, prog="python -m gptlib")


def main(argv: list[str] | None = None) -> int:
    """Run a command; every expected error is one line and exit code 2. Ctrl-C: 130, SIGTERM: 143."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:  # after --help, and after a complaint
        return stop.code
    run = {Train: run_train, Sample: run_sample, Evaluate: run_evaluate}[type(args)]
    try:
        run(args)
    except KeyboardInterrupt as stop:
        print(f"\n{stop or 'stopped'}; train --resume goes on with what was saved", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (CheckpointError, TrainingError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
