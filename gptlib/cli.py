"""The command line, which puts the chapters' parts together: `python -m gptlib train | resume | sample | …`."""

import dataclasses
import json
import logging
import math
import os
import select
import shutil
import sys
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
)
from gptlib.data import Batches, Corpus, load_corpus, split
from gptlib.decoder import CapturedDecoder
from gptlib.files import DATA, replacing, write_text
from gptlib.generation import generate, stream
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import bits_per_character, evaluate, ladder
from gptlib.runs import (
    Checkpointer,
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
from gptlib.speed import make_step, only_eager, step_flops
from gptlib.tokenizer import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from gptlib.training import (
    PRESETS,
    TrainConfig,
    TrainingError,
    TrainState,
    choose_device,
    choose_precision,
    eager_step,
    train,
)

Device = Literal["auto", "cpu", "cuda", "mps"]
Step = Literal["auto", "eager", "fused", "captured", "compiled"]
SHIPPED = "char-gpu-best"
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
    ] = ()  # files, folders, patterns: UTF-8 text, .jsonl with a field "text", either as .gz
    tokenizer: str | None = None  # char, byte, bpe:N (N tokens, learned from the text) or gpt2
    out: Path | None = None  # run folder; by default the next free runs/PRESET-NNN
    mirror: Path | None = None  # an existing folder on another disk, for a copy of each checkpoint
    device: Device = "auto"
    step: Step = "auto"  # auto: compiled and captured on a CUDA GPU, else eager


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

    checkpoint: str | None = (
        None  # a checkpoint, a run (its best), a shipped model; by default the newest run's
    )
    prompt: str = "\\n"  # \n is a line break; - reads the prompt from standard input, and so does a pipe
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
    corpus = Corpus.from_files(*args.text) if args.text else load_corpus()
    tokenizer = make_tokenizer(args, corpus)
    model_config = dataclasses.replace(args.model, vocab_size=tokenizer.vocab_size)
    folder = args.out or next_free(Path("runs"), args.preset if not args.text else "own")
    must_be_free(folder, args.mirror)
    job = Job(
        args.preset, model_config, args.train, corpus, tokenizer, folder, args.mirror, device, args.step
    )
    carry_out(job, None)


def run_resume(args: Resume) -> None:
    """Go on with a run; nothing has to be said again, and what may change is taken and said."""
    settings = read_settings(args.run if (args.run / "config.json").exists() else args.mirror or args.run)
    device, folder = choose_device(args.device), args.run
    saved = find_state(folder, args.mirror)
    if saved is None:  # ended before its first checkpoint: from the beginning
        model_config, before = GPTConfig(**settings["model"]), TrainConfig(**settings["train"])
    else:
        model_config, before = saved.model_config, saved.train_config
    corpus = text_of(settings)
    tokenizer = saved.tokenizer if saved else tokenizer_named(settings.get("tokenizer", "char"), corpus)
    changed = changes(before, args.train)
    if saved and saved.state.step >= args.train.max_steps:
        more = f"--train.max-steps {2 * saved.state.step}"
        raise ValueError(f"{folder} is at its last step, {saved.state.step}: extend it with {more}, say")
    for name, value in changed.items():
        print(f"{name} is {value} from here on, it was {getattr(before, name)}")
    if device_name(device) != settings["device"]:
        print(
            f"this run was on {settings['device']}, here it is {device_name(device)}: other last digits from here on"
        )
    job = Job(
        settings["preset"],
        model_config,
        args.train,
        corpus,
        tokenizer,
        folder,
        args.mirror,
        device,
        args.step,
    )
    carry_out(job, saved.state if saved else None)


@dataclass(frozen=True)
class Job:
    """All that a run needs."""

    preset: str
    model: GPTConfig
    train: TrainConfig
    corpus: Corpus
    tokenizer: Tokenizer
    folder: Path
    mirror: Path | None
    device: torch.device
    step: str


def carry_out(job: Job, start: TrainState | None) -> None:
    """Train, and print what came of it. A run that fails before its first record leaves no folder behind."""
    train_text, val_text = split(job.corpus.text)
    tokens = tuple(torch.tensor(job.tokenizer.encode(text)) for text in (train_text, val_text))
    # what cannot work is an error before anything is written
    Batches(tokens[0], job.train.batch_size, job.model.block_size)
    Batches(tokens[1], 1, 1)
    dtype = choose_precision(job.train.precision, job.device)
    work = step_flops(job.model, job.train.batch_size) * job.train.max_steps
    step_fn = make_step(job.step, job.device, work)
    if step_fn is not eager_step and (reason := only_eager(job.train, dtype)):
        print(f"steps are eager: {reason}")
    model = GPT(job.model, torch.Generator().manual_seed(job.train.seed)).to(job.device)
    checkpointer = Checkpointer(job.folder, job.model, job.train, job.tokenizer, job.mirror)
    settings = describe(job.preset, model, job.train, job.corpus, tokens, val_text)
    settings["tokenizer"] = tokenizer_name(job.tokenizer)
    new = not job.folder.exists()
    for place in filter(None, (job.folder, job.mirror)):
        write_settings(place, settings)
    print(f"{job.preset}: {settings['parameters']:,} weights on {settings['device']}, into {job.folder}")
    print(advice(settings, job.train, job.model))
    logger = MetricsLog(job.folder, start.step if start else 0)
    try:
        with StopSignals() as stop:
            result = train(
                model,
                *tokens,
                job.train,
                step_fn=with_memory_advice(step_fn),
                sample_fn=lambda model: sample_text(model, job.tokenizer, 300, seed=job.train.seed),
                checkpointer=checkpointer,
                logger=logger,
                start=start,
                stop=stop,
            )
    except BaseException as stopped:
        if new and not checkpoints_in(job.folder) and not read_records(job.folder):
            shutil.rmtree(job.folder, ignore_errors=True)
        elif isinstance(stopped, (KeyboardInterrupt, SystemExit)):
            print(f"\n{stopped}; go on with: python -m gptlib resume {job.folder}", file=sys.stderr)
        raise
    print(
        f"\nvalidation loss {result.val_loss:.4f} nats per token at step {result.step}, "
        f"best {result.best_val_loss:.4f} at step {result.best_step}, {result.seconds:.0f} s"
    )
    rungs = own_ladder(train_text, val_text)
    write_text(job.folder / "ladder.json", json.dumps(rungs, indent=1))
    print_ladder(rungs, result.val_loss * len(tokens[1]) / len(val_text))
    print("\n" + sample_text(model, job.tokenizer, 400, seed=job.train.seed).strip())
    print(f"\nMore of it:  python -m gptlib sample --checkpoint {job.folder}")


def changes(before: TrainConfig, after: TrainConfig) -> dict:
    """The settings that differ; ValueError for one that may not change within a run."""
    differing = {n: v for n, v in vars(after).items() if v != getattr(before, n)}
    for name in differing.keys() - MAY_CHANGE:
        raise ValueError(f"{name} is {getattr(before, name)} in this run and cannot become {differing[name]}")
    return differing


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
    if settings["corpus"] in ("tinyshakespeare", "plays"):
        corpus = load_corpus(settings["corpus"])
    else:
        corpus = Corpus.from_files(*settings["text"]["source"].split(os.pathsep))
    before = settings.get("text", {}).get("sha256", corpus.sha256)
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
    orders = [n for n in range(6) if n * math.log2(characters.vocab_size) < 63]
    return ladder(characters.encode(train_text), characters.encode(val_text), characters.vocab_size, orders)


def print_ladder(rungs: dict[str, float], loss: float) -> None:
    """Where a loss, in nats per character, stands among the n-gram tables."""
    print("\nThe loss ladder, in nats per character on the same validation text:")
    for name, value in sorted({**rungs, "this model": loss}.items(), key=lambda rung: -rung[1]):
        print(f"  {value:.3f}  {name}{'  <--' if name == 'this model' else ''}")


# --- what is done with a model


def checkpoint_named(name: str | None) -> Path:
    """A checkpoint's folder: named itself, by its run (the best one), as a shipped model, or the newest run's."""
    if name is None:
        runs = [run for run in Path("runs").glob("*") if checkpoints_in(run)]
        newest = max(runs, key=lambda run: checkpoints_in(run)[-1].stat().st_mtime, default=None)
        return best_checkpoint(newest) if newest else DATA / "checkpoints" / SHIPPED
    folder = Path(name)
    if not folder.exists() and (DATA / "checkpoints" / name).is_dir():
        return DATA / "checkpoints" / name
    return best_checkpoint(folder) if checkpoints_in(folder) else folder


def run_sample(args: Sample) -> None:
    """Stream a continuation of the prompt to the terminal."""
    folder = checkpoint_named(args.checkpoint)
    checkpoint, device = load_checkpoint(folder), choose_device(args.device)
    if args.checkpoint is None:
        print(f"({folder})", file=sys.stderr)
    model, tokenizer = checkpoint.build_model().to(device), checkpoint.tokenizer
    writer = CapturedDecoder(model) if device.type == "cuda" else model
    if args.seed >= 1 << 64 or args.seed < 0:
        raise ValueError(f"seed={args.seed} must be at least 0 and below 2^64")
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
    print_continuation(writer, tokenizer, ids, args.max_new_tokens, how, shown="")


def prompt_of(args: Sample) -> str:
    """The prompt, from standard input for - and where something is piped in; \\n becomes a line break."""
    if args.prompt == "-" or (args.prompt == Sample.prompt and input_waits()):
        return sys.stdin.read()
    return args.prompt.replace("\\n", "\n")


def input_waits() -> bool:
    """Whether something is piped into this program: not a keyboard, and something to read or its end."""
    try:
        return not sys.stdin.isatty() and bool(select.select([sys.stdin], [], [], 0)[0])
    except (OSError, ValueError):  # no standard input; Windows, whose pipes cannot be asked
        return False


def print_continuation(
    writer, tokenizer: Tokenizer, ids: list[int], length: int, how: dict, shown: str
) -> list[int]:
    """Print what follows `ids`, a character as soon as its last token is drawn; returns all ids."""
    device = next(writer.parameters()).device
    idx = torch.tensor([ids], dtype=torch.long, device=device)
    for new in stream(writer, idx, length, **how):
        ids = [*ids, new.item()]
        text = tokenizer.decode(ids)
        if not text.endswith("\ufffd"):  # a character of several tokens is not complete yet
            print(text[len(shown) :], end="", flush=True)
            shown = text
    print(tokenizer.decode(ids)[len(shown) :])  # U+FFFD for a last character that was not finished
    return ids


def write_together(writer, tokenizer: Tokenizer, length: int, block_size: int, how: dict) -> None:
    """You write a line, the model goes on, and so forth until the end of the input."""
    ids: list[int] = []
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
        ids = print_continuation(writer, tokenizer, ids, length, how, shown=tokenizer.decode(ids))


def run_evaluate(args: Evaluate) -> None:
    """Exact mean loss over the validation split, with a progress bar."""
    folder = checkpoint_named(args.checkpoint)
    checkpoint, device = load_checkpoint(folder), choose_device(args.device)
    settings = folder.parent.parent / "config.json"
    if args.text:
        corpus = Corpus.from_files(*args.text)
    else:
        corpus = text_of(read_settings(settings.parent)) if settings.exists() else load_corpus()
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
    runs = {run.name: (read_settings(run), read_records(run)) for run in args.runs}
    for name, (_, records) in runs.items():
        if not any("val_loss" in record for record in records):
            raise ValueError(f"{name} has no validation loss yet")
    path = args.runs[0] / "ladder.json"
    rungs = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if rungs is None:
        rungs = own_ladder(*split(text_of(runs[args.runs[0].name][0]).text))
    losses = {name: per_character(*run) for name, run in runs.items()}
    if args.out is None:
        return print_losses(losses, rungs)
    try:
        from gptlib.widgets.run_plot import plot_losses
    except ImportError as missing:
        raise ValueError(f"a PNG needs {missing.name}: pip install matplotlib, or leave --out away") from None
    with replacing(args.out) as temporary:
        plot_losses(losses, rungs).savefig(temporary, format="png", dpi=150)
    print(f"written to {args.out}")


def per_character(settings: dict, records: list[dict]) -> list[tuple[int, float]]:
    """Step and validation loss in nats per character, which compare across tokenizers."""
    share = settings["val_tokens"] / settings["val_characters"]
    return [(record["step"], record["val_loss"] * share) for record in records if "val_loss" in record]


def print_losses(losses: dict[str, list[tuple[int, float]]], rungs: dict[str, float]) -> None:
    """A bar for each validation loss, and where the rungs of the ladder lie."""
    top = max(rungs.values())
    for name, points in losses.items():
        print(f"{name}: validation loss in nats per character")
        for step, loss in points:
            below = [rung for rung, value in rungs.items() if loss < value]
            bar = "█" * max(1, round(40 * loss / top))
            print(f"{step:8,}  {loss:.3f}  {bar}{f'  below the {below[-1]}' if below else ''}")


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
        first = dict(prog="python -m gptlib train", return_unknown_args=True, add_help=False)
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
    return tyro.cli(tyro.conf.OmitSubcommandPrefixes[union], args=argv, prog="python -m gptlib")


def settings_before(argv: list[str]) -> TrainConfig:
    """The training settings of the run that `resume` names, for its other options to change."""
    for word in argv:
        if (Path(word) / "config.json").exists():
            return TrainConfig(**read_settings(Path(word))["train"])
    return PRESETS["char-cpu"].train


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
    try:
        args = parse(argv)
    except SystemExit as stop:  # after --help, and after a complaint
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
    return 0
