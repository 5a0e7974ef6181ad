"""The command line, which puts the chapters' parts together: `python -m gptlib train | resume | sample | …`."""

import codecs
import contextlib
import dataclasses
import io
import json
import logging
import math
import os
import re
import select
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from safetensors.torch import save_file
from tqdm.auto import tqdm

import gptlib
from gptlib.checkpoint import (
    Checkpoint,
    CheckpointError,
    best_checkpoint,
    checkpoints_in,
    latest_checkpoint,
    load_checkpoint,
    verify,
)
from gptlib.checkpointer import Checkpointer
from gptlib.config import PRESETS, TrainConfig
from gptlib.data import Batches, Corpus, load_corpus, split
from gptlib.decoder import CapturedDecoder
from gptlib.files import DATA, replacing, write_text
from gptlib.generation import check_settings, generate, stream
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import bits_per_character, evaluate, ladder
from gptlib.runs import (
    MetricsLog,
    StopSignals,
    advice,
    describe,
    device_name,
    must_be_free,
    next_free,
    read_records,
    read_settings,
    with_memory_advice,
    write_settings,
)
from gptlib.speed import CapturedStep, CompiledStep, make_step, only_eager, step_flops
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from gptlib.trainer import StepFunction, TrainState, choose_device, choose_precision
from gptlib.training import TrainingError, train

Device = Literal["auto", "cpu", "cuda", "mps"]
Step = Literal["auto", "eager", "fused", "captured", "compiled"]
TEXTS = ("tinyshakespeare", "plays")  # of `load_corpus`
SHIPPED = "char-gpu-best"
PROGRAM = "python\u00a0-m\u00a0gptlib"  # no-break spaces: tyro's hints keep only the first word
MAY_CHANGE = {"max_steps", "micro_batch_size", "precision"}
MAY_CHANGE |= {"eval_interval", "log_interval", "sample_interval", "checkpoint_interval"}


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


@dataclass(frozen=True)
class Resume:
    """Go on with a run from its newest intact checkpoint, with the settings it has."""

    run: tyro.conf.Positional[Path]
    train: TrainConfig
    mirror: Path | None = None  # where copies of the checkpoints are
    device: Device = "auto"
    step: Step = "auto"


@dataclass(frozen=True)
class Sample:
    """Print text from a model, as it is drawn."""

    checkpoint: str | None = None  # a checkpoint, a run, a shipped model; by default the newest run
    prompt: str = ""  # \n is a line break, which is also the default; - reads standard input, so does a pipe
    max_new_tokens: int = 500
    temperature: float = 0.8  # 0 always takes the likeliest token
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1
    interactive: bool = False  # write a line, the model goes on; an empty line lets it go on, Ctrl-D ends
    device: Device = "auto"


@dataclass(frozen=True)
class Evaluate:
    """Print a model's exact loss on the validation part of its text, or of another."""

    checkpoint: str | None = None  # as for sample
    text: tuple[str, ...] = ()  # by default the text the model was trained on
    device: Device = "auto"


@dataclass(frozen=True)
class Plot:
    """Draw the losses of runs beside the ladder of their text, in the terminal or as a PNG."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None  # a .png file; without it a table in the terminal


@dataclass(frozen=True)
class Presets:
    """List the presets."""


@dataclass(frozen=True)
class Export:
    """Write a model into a new folder that Hugging Face's transformers loads as GPT-2."""

    checkpoint: tyro.conf.Positional[str]  # as for sample
    out: tyro.conf.Positional[Path]
    to: Literal["hf"] = "hf"


# --- train and resume


def run_train(args: Train) -> None:
    """Load the text, build the model, train, and say where the result stands on the loss ladder."""
    device = choose_device(args.device)
    for place in filter(None, (args.out, args.mirror)):
        must_be_free(place)
    if args.out and args.mirror and args.out.resolve() == args.mirror.resolve():
        raise ValueError(f"--mirror {args.mirror} is the run's own folder: choose one on another disk")
    corpus = Corpus.from_files(*args.text) if args.text else load_corpus()
    tokenizer = make_tokenizer(args, corpus)
    model = dataclasses.replace(args.model, vocab_size=tokenizer.vocab_size)
    carry_out(
        Job(args.preset, model, args.train, corpus, tokenizer, args.out, args.mirror, device, args.step)
    )


def run_resume(args: Resume) -> None:
    """Go on with a run; nothing has to be said again, and what may change is taken and said."""
    settings = read_settings(args.run if (args.run / "config.json").exists() else args.mirror or args.run)
    device, saved = choose_device(args.device), find_state(args.run, args.mirror)
    if saved is None:  # it ended before its first checkpoint: from the beginning
        model, before = GPTConfig(**settings["model"]), TrainConfig(**settings["train"])
    else:
        model, before = saved.model_config, saved.train_config
    say_changes(before, args.train, settings["device"], device_name(device))
    corpus = text_of(settings)
    if saved and saved.state.step >= args.train.max_steps:
        if not (args.run / "ladder.json").exists():  # it was killed while the ladder was fitted
            keep_ladder(args.run, split(corpus.text))
        more = f"--train.max-steps {2 * saved.state.step}"
        raise ValueError(f"{args.run} is at its last step, {saved.state.step}: extend it with {more}, say")
    tokenizer = saved.tokenizer if saved else tokenizer_named(settings.get("tokenizer", "char"), corpus)
    preset = settings["preset"]
    job = Job(preset, model, args.train, corpus, tokenizer, args.run, args.mirror, device, args.step)
    carry_out(job, saved.state if saved else None)


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
    model = GPT(job.model, torch.Generator().manual_seed(job.train.seed)).to(job.device)
    new = job.folder is None or not job.folder.exists()
    folder = job.folder or next_free(Path("runs"), job.preset if job.corpus.name in TEXTS else "own")
    try:
        checkpointer = Checkpointer(folder, job.model, job.train, job.tokenizer, job.mirror)
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
    if isinstance(step_fn, (CapturedStep, CompiledStep)) and (reason := only_eager(job.train, dtype)):
        print(f"steps are eager: {reason}")
    return step_fn


def leave(folder: Path, new: bool, reason: BaseException) -> None:
    """Leave nothing of a new run that failed before its first record; say how a stopped one goes on."""
    if new and not checkpoints_in(folder) and not read_records(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif isinstance(reason, (KeyboardInterrupt, SystemExit)):
        print(f"\nstopped; go on with: python -m gptlib resume {folder}", file=sys.stderr)


def say_changes(before: TrainConfig, after: TrainConfig, device_before: str, device: str) -> None:
    """Print what is different from here on; ValueError for a setting that may not change within a run."""
    changed = {n: v for n, v in vars(after).items() if v != getattr(before, n)}
    for name in sorted(changed.keys() - MAY_CHANGE):
        raise ValueError(f"{name} is {getattr(before, name)} in this run and cannot become {changed[name]}")
    for name, value in changed.items():
        print(f"{name} is {value} from here on, it was {getattr(before, name)}")
    if device != device_before:
        print(f"this run was on {device_before}, here it is {device}: other last digits from here on")


def find_state(folder: Path, mirror: Path | None) -> Checkpoint | None:
    """The newest intact checkpoint of a run or of its mirror; None where no checkpoint was ever finished."""
    places = [folder, *filter(None, [mirror])]
    if not any(checkpoints_in(place) for place in places):
        return None
    newest = latest_checkpoint(*places)
    saved = load_checkpoint(newest)
    if saved.state.optimizer is None:
        raise ValueError(f"{newest} has no optimizer state: it was saved for reading, not for resuming")
    run = newest.parent.parent
    for name in ("metrics.jsonl", "samples.txt"):  # the machine that wrote them is gone
        if run != folder and (run / name).exists() and not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, folder / name)
    return saved


def text_of(settings: dict) -> Corpus:
    """The text of a run, read again; ValueError when it is another one now."""
    text = settings.get("text", {})
    own_file = Path(text.get("source", "")).name == settings["corpus"]  # it may be called "plays", too
    if settings["corpus"] in TEXTS and not own_file:
        corpus = load_corpus(settings["corpus"])
    else:
        corpus = Corpus.from_files(*text["source"].split("\n"))
    before = text.get("sha256", corpus.sha256)
    if corpus.name != settings["corpus"] or corpus.sha256 != before:
        raise ValueError(
            f"the text {settings['corpus']} is not what the run was trained on: its checksum differs"
        )
    return corpus


def make_tokenizer(args: Train, corpus: Corpus) -> Tokenizer:
    """The tokenizer that is asked for, else the preset's."""
    preset = PRESETS[args.preset]
    default = "char" if preset.tokenizer == "char" else f"bpe:{args.model.vocab_size}"
    tokenizer = tokenizer_named(args.tokenizer or default, corpus)
    if args.model.vocab_size not in (preset.model.vocab_size, tokenizer.vocab_size):
        wrong, right = args.model.vocab_size, tokenizer.vocab_size
        raise ValueError(f"vocab_size={wrong}, but the tokenizer has {right} tokens: leave the setting out")
    return tokenizer


def tokenizer_named(name: str, corpus: Corpus) -> Tokenizer:
    """char, byte, gpt2, or bpe:N: byte pairs learned from the training part of the text."""
    kind, _, size = name.partition(":")
    if kind == "bpe" and size.isdecimal():
        print(f"learning a vocabulary of {int(size):,} tokens from {corpus.name}")
        return BPETokenizer.train(split(corpus.text)[0], int(size))
    if name == "char":
        return CharTokenizer.from_text(corpus.text)
    if name in ("byte", "gpt2"):
        return ByteTokenizer() if name == "byte" else BPETokenizer.gpt2()
    raise ValueError(f"tokenizer={name!r} is unknown: choose char, byte, bpe:N (bpe:1024, say) or gpt2")


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """The name by which `tokenizer_named` makes this tokenizer."""
    if tokenizer.kind != "bpe":
        return tokenizer.kind
    return "gpt2" if tokenizer.special else f"bpe:{tokenizer.vocab_size}"


def sample_text(model: GPT, tokenizer: Tokenizer, length: int, seed: int) -> str:
    """`length` tokens of text, always the same for the same model and seed."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    idx = torch.tensor([first_tokens(tokenizer)], device=device)
    return tokenizer.decode(generate(model, idx, length, temperature=0.8, generator=generator)[0].tolist())


def first_tokens(tokenizer: Tokenizer) -> list[int]:
    """What a text begins with: a line break, or the first token where the tokenizer has none."""
    try:
        return tokenizer.encode("\n")
    except ValueError:
        return [0]


def own_ladder(train_text: str, val_text: str) -> dict[str, float]:
    """N-gram tables of characters fitted to this text, in nats per character."""
    characters = CharTokenizer.from_text(train_text + val_text)
    size, tokens = characters.vocab_size, [characters.encode(text) for text in (train_text, val_text)]
    orders = [n for n in range(6) if n * math.log2(size) < 63 and n <= len(train_text)]
    return ladder(*tokens, size, tqdm(orders, "fitting the ladder", leave=False, unit="table"))


def keep_ladder(folder: Path, texts: tuple[str, str]) -> dict[str, float]:
    """Fit the ladder of a run's text and keep it with the run."""
    rungs = own_ladder(*texts)
    write_text(folder / "ladder.json", json.dumps(rungs, indent=1))
    return rungs


def print_ladder(rungs: dict[str, float], losses: dict[str, float]) -> None:
    """Where losses, in nats per character, stand among the n-gram tables."""
    print("\nThe loss ladder, in nats per character on the same validation text:")
    for name, value in sorted([*rungs.items(), *losses.items()], key=lambda rung: -rung[1]):
        print(f"  {value:.3f}  {name}{'  <--' if name in losses else ''}")


# --- what is done with a model


def checkpoint_named(name: str | None) -> Path:
    """A checkpoint's folder: named itself, by its run (the best one), as a shipped model, or the newest run's."""
    shipped = DATA / "checkpoints"
    if name is None:
        runs = [run for run in Path("runs").glob("*") if checkpoints_in(run)]
        newest = max(runs, key=lambda run: checkpoints_in(run)[-1].stat().st_mtime, default=None)
        return best_checkpoint(newest) if newest else shipped / SHIPPED
    folder = Path(name)
    if checkpoints_in(folder):
        return best_checkpoint(folder)
    if (folder / "config.json").exists() and (folder / "checkpoints").exists():
        raise ValueError(f"{name} holds no checkpoint yet")
    if folder.exists() or not (shipped / name).is_dir():
        verify(folder)
        return folder
    return shipped / name


def run_sample(args: Sample) -> None:
    """Stream a continuation of the prompt to the terminal."""
    check_settings(args.temperature, args.top_k, args.top_p)
    if sys.stdin is None and (args.prompt == "-" or args.interactive):
        raise ValueError("standard input is closed: give the text with --prompt")
    if not 0 <= args.seed < 1 << 64:
        raise ValueError(f"seed={args.seed} must be at least 0 and below 2^64")
    folder = checkpoint_named(args.checkpoint)
    checkpoint, device = load_checkpoint(folder), choose_device(args.device)
    if args.checkpoint is None:
        print(f"({folder})", file=sys.stderr)
    model, tokenizer = checkpoint.build_model().to(device), checkpoint.tokenizer
    writer = CapturedDecoder(model) if device.type == "cuda" else model
    generator = torch.Generator(device).manual_seed(args.seed)
    how = dict(temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, generator=generator)
    block_size = model.config.block_size
    if args.interactive:
        return write_together(writer, tokenizer, args.max_new_tokens, block_size, how)
    ids = tokenizer.encode(prompt_of(args)) or first_tokens(tokenizer)
    if len(ids) > block_size:
        raise ValueError(
            f"the prompt's T={len(ids)} exceeds block_size={block_size}: shorten it by {len(ids) - block_size}"
        )
    new = stream(writer, torch.tensor([ids], device=device), args.max_new_tokens, **how)
    print(tokenizer.decode(ids), end="", flush=True)
    print_tokens(new, tokenizer)


def prompt_of(args: Sample) -> str:
    """The prompt, from standard input for - and where something is piped in; \\n becomes a line break."""
    if args.prompt == "-" or (not args.prompt and input_waits()):
        return sys.stdin.read()
    return args.prompt.replace("\\n", "\n")


def input_waits() -> bool:
    """Whether something is piped into this program: not a keyboard, and something to read or its end."""
    try:
        return not sys.stdin.isatty() and bool(select.select([sys.stdin], [], [], 0)[0])
    except (OSError, ValueError, AttributeError):  # no standard input; Windows, whose pipes cannot be asked
        return False


def print_tokens(new: Iterable[torch.Tensor], tokenizer: Tokenizer) -> list[int]:
    """Print tokens as they are drawn, a character as soon as it is complete; returns their ids."""
    ids, decoder = [], codecs.getincrementaldecoder("utf-8")("replace")
    for token in new:
        ids.append(token.item())
        print(decoder.decode(tokenizer.decode_bytes(ids[-1:])), end="", flush=True)
    print(decoder.decode(b"", final=True))  # U+FFFD for a last character that was not finished
    return ids


def write_together(writer, tokenizer: Tokenizer, length: int, block_size: int, how: dict) -> None:
    """You write a line, the model goes on, and so forth until the end of the input."""
    device, ids = next(writer.parameters()).device, []
    while True:
        try:
            line = input("> ")
        except EOFError:
            print()
            return
        try:
            ids += tokenizer.encode(line.replace("\\n", "\n"))
        except ValueError as error:
            print(f"({error})")
            continue
        ids = (ids or first_tokens(tokenizer))[-block_size:]
        ids += print_tokens(stream(writer, torch.tensor([ids], device=device), length, **how), tokenizer)


def run_evaluate(args: Evaluate) -> None:
    """Exact mean loss over the validation split, with a progress bar."""
    folder = checkpoint_named(args.checkpoint)
    checkpoint, device = load_checkpoint(folder), choose_device(args.device)
    run = folder.resolve().parent.parent
    if args.text:
        corpus = Corpus.from_files(*args.text)
    else:
        corpus = text_of(read_settings(run)) if (run / "config.json").exists() else load_corpus()
    model, tokenizer = checkpoint.build_model().to(device), checkpoint.tokenizer
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
        f"validation loss {loss:.4f} nats per token, {bits * math.log(2):.4f} nats or {bits:.4f} bits per character "
        f"(exact, {len(tokens) - 1:,} predictions, {corpus.name})"
    )


def run_plot(args: Plot) -> None:
    """Losses by step, one run beside the other."""
    if not args.runs:
        raise ValueError("no run is named: give at least one run folder")
    if args.out and args.out.suffix != ".png":
        raise ValueError(f"{args.out} does not end in .png")
    settings = [read_settings(run) for run in args.runs]
    names = [os.fsencode(run).decode("utf-8", "replace") for run in args.runs]  # also where paths are ASCII
    losses = {name: losses_of(*run) for name, *run in zip(names, args.runs, settings, strict=True)}
    texts = {(s["corpus"], s.get("text", {}).get("sha256")) for s in settings}
    if len({name for name, _ in texts}) > 1 or len({sha for _, sha in texts if sha}) > 1:
        raise ValueError("these runs have different texts: their losses cannot be compared")
    rungs = rungs_of(args.runs[0], settings[0])
    if args.out is None:
        return print_losses(losses, rungs)
    try:
        from gptlib.widgets.run_plot import plot_losses
    except ImportError as missing:
        raise ValueError(f"a PNG needs {missing.name}: pip install matplotlib, or leave --out away") from None
    with replacing(args.out) as temporary:
        plot_losses(losses, rungs).savefig(temporary, format="png", dpi=150)
    print(f"written to {args.out}")


def losses_of(run: Path, settings: dict) -> list[tuple[int, float]]:
    """Step and validation loss in nats per character, which compare across tokenizers."""
    share = settings["val_tokens"] / settings["val_characters"]
    losses = [(row["step"], row["val_loss"] * share) for row in read_records(run) if "val_loss" in row]
    if not losses:
        raise ValueError(f"{run} has no validation loss yet")
    return losses


def rungs_of(run: Path, settings: dict) -> dict[str, float]:
    """The ladder of a run's text: kept with the run, else fitted again."""
    path = run / "ladder.json"
    if not path.exists():
        return own_ladder(*split(text_of(settings).text))
    try:
        return {name: float(loss) for name, loss in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it, and it is made again") from None


def print_losses(losses: dict[str, list[tuple[int, float]]], rungs: dict[str, float]) -> None:
    """A bar for each validation loss, and the lowest ones among the rungs of the ladder."""
    top = max(loss for values in (rungs.items(), *losses.values()) for _, loss in values)
    for name, points in losses.items():
        print(f"{name}: validation loss in nats per character")
        for step, loss in points:
            print(f"{step:8,}  {loss:.3f}  {'█' * max(1, round(60 * loss / top))}")
    print_ladder(rungs, {name: min(loss for _, loss in points) for name, points in losses.items()})


def run_presets(args: Presets) -> None:
    """One line a preset."""
    print(
        f"{'':14} {'weights':>8}  {'layers × width':14}  {'context':>7}  {'steps × batch':14}  optimizer  tokens"
    )
    for name, preset in PRESETS.items():
        with torch.device("meta"):
            weights = sum(p.numel() for p in GPT(preset.model).parameters())
        model, how = preset.model, preset.train
        shape, work = f"{model.n_layer} × {model.n_embd}", f"{how.max_steps:,} × {how.batch_size}"
        size = f"{weights / 1e6:.1f} M"
        print(
            f"{name:14} {size:>8}  {shape:14}  {model.block_size:7}  {work:14}  {how.optimizer:9}  {preset.tokenizer}"
        )


def run_export(args: Export) -> None:
    """GPT-2's file names, shapes and settings; what GPT-2's format has no place for is said."""
    checkpoint = load_checkpoint(checkpoint_named(args.checkpoint))
    if args.out.exists():
        raise ValueError(f"{args.out} exists already: nothing was overwritten; choose another folder")
    model, tokenizer = checkpoint.build_model(), checkpoint.tokenizer
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as folder:
        folder.mkdir()
        save_file(model.to_gpt2_state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
        write_text(folder / "config.json", json.dumps(hf_config(model.config), indent=1))
        if isinstance(tokenizer, BPETokenizer):
            vocabulary, merges = tokenizer.gpt2_files()
            write_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
            write_text(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
        tokenizer.save(folder / "tokenizer-gptlib.json")
    if not isinstance(tokenizer, BPETokenizer):
        print(
            f"the {tokenizer.kind} tokenizer has no place in GPT-2's format: its ids are in tokenizer-gptlib.json"
        )
    print(f"written to {args.out}: GPT2LMHeadModel.from_pretrained({str(args.out)!r}) loads it")


def hf_config(config: GPTConfig) -> dict:
    """The settings by which transformers builds the same model."""
    sizes = {"n_positions": config.block_size, "n_embd": config.n_embd, "n_layer": config.n_layer}
    dropout = {name: config.dropout for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop")}
    kind = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new"}
    ends = {
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": True,
        "layer_norm_epsilon": 1e-5,
    }
    return {**kind, "vocab_size": config.vocab_size, "n_head": config.n_head, **sizes, **dropout, **ends}


# --- the commands

COMMANDS = {
    Train: run_train,
    Resume: run_resume,
    Sample: run_sample,
    Evaluate: run_evaluate,
    Plot: run_plot,
    Presets: run_presets,
    Export: run_export,
}


def parse(argv: list[str]):
    """Two passes for train and resume: what gives the defaults first, the preset or the run, then everything."""

    @dataclass(frozen=True)
    class Choice:
        preset: Literal[tuple(PRESETS)] = "char-cpu"

    preset, before = "char-cpu", PRESETS["char-cpu"].train
    if argv[:1] == ["train"]:
        first = dict(prog=f"{PROGRAM} train", return_unknown_args=True, add_help=False)
        preset = tyro.cli(Choice, args=argv[1:], **first)[0].preset
    if argv[:1] == ["resume"]:
        before = settings_before(argv[1:])
    defaults = {
        Train: Train(PRESETS[preset].model, PRESETS[preset].train, preset),
        Resume: Resume(tyro.MISSING, before),
    }
    commands = []
    for kind in COMMANDS:
        default = {"default": defaults[kind]} if kind in defaults else {}
        commands.append(Annotated[kind, tyro.conf.subcommand(kind.__name__.lower(), **default)])
    union = commands[0]
    for command in commands[1:]:
        union = union | command
    return tyro.cli(tyro.conf.OmitSubcommandPrefixes[union], args=argv, prog=PROGRAM)


def settings_before(argv: list[str]) -> TrainConfig:
    """The training settings of the run that `resume` names, for its other options to change."""
    for word in argv:
        if (Path(word) / "config.json").exists():
            return TrainConfig(**read_settings(Path(word))["train"])
    return PRESETS["char-cpu"].train


def complaint(text: str) -> str:
    """What tyro says about a command: a setting that makes no sense in one line, anything else as it is."""
    words = " ".join(re.sub(r"[─│╭╮╰╯]|-{3,}|\|", " ", text).split())  # without the frame
    value = re.search(r"Error parsing __\S+: (.+?) For full helptext", words)
    return f"error: {value[1]}\n" if value else text


def main(argv: list[str] | None = None) -> int:
    """Run a command; every expected error is one line and exit code 2. Ctrl-C: 130, SIGTERM: 143."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(errors="replace")  # a terminal that knows fewer characters than the text
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--version"]:
        print(f"gptlib {gptlib.__version__}, PyTorch {torch.__version__}")
        return 0
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parse(argv)
    except SystemExit as stop:  # after --help, and after a complaint
        print(complaint(said.getvalue()), end="", file=sys.stderr)
        return stop.code
    except ValueError as error:  # the settings of a run that is to go on
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        COMMANDS[type(args)](args)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code
    except BrokenPipeError:  # whoever reads the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (CheckpointError, TrainingError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        print("error: out of memory: take a smaller model or a shorter text", file=sys.stderr)
        return 2
    return 0
