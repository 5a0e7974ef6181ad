"""`evaluate`: a model's exact loss on a text, or its score in HellaSwag."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from gptlib.benchmark import read_hellaswag, score
from gptlib.checkpoint import Checkpoint
from gptlib.commands.model import model_named
from gptlib.commands.options import Device
from gptlib.commands.text import text_named, text_of
from gptlib.data import split
from gptlib.loss import bits_per_character, evaluate
from gptlib.modern import build_model
from gptlib.modern_config import config_from
from gptlib.runs import read_settings
from gptlib.trainer import choose_device, windows_at_once


@dataclass(frozen=True)
class Evaluate:
    """Print a model's exact loss on the validation part of its text, or of another."""

    checkpoint: str | None = None  # as for sample
    text: tuple[str, ...] = ()  # by default the text the model was trained on
    hellaswag: Path | None = None  # instead of a loss: which of four endings; a .jsonl file of HellaSwag
    device: Device = "auto"


def run_evaluate(args: Evaluate) -> None:
    """Exact mean loss over the validation split, with a progress bar."""
    folder, checkpoint = model_named(args.checkpoint)
    device = choose_device(args.device)
    if args.hellaswag:
        return evaluate_hellaswag(args.hellaswag, checkpoint, device)
    run = folder.resolve().parent.parent
    of_run = not args.text and (run / "config.json").exists()
    settings = read_settings(run, config_from) if of_run else {}
    if settings.get("shards"):
        raise ValueError(
            f"{run} was trained on shards, and its log has their losses: name a text with --text"
        )
    corpus = text_of(settings) if of_run else text_named(args.text)
    model, tokenizer = checkpoint.build_model(build_model).to(device), checkpoint.tokenizer
    val_text = split(corpus.text)[1]
    tokens = torch.tensor(tokenizer.encode(val_text))
    block_size = model.config.block_size
    with tqdm(total=math.ceil((len(tokens) - 1) / block_size), desc="evaluating", unit="window") as bar:

        def counted(idx):
            bar.update(len(idx))
            return model(idx)

        windows = min(16, windows_at_once(model.config, device))  # few, so that the bar moves
        loss = evaluate(counted, tokens.to(device), block_size, windows)
    bits = bits_per_character(loss, len(tokens), len(val_text))
    print(
        f"validation loss {loss:.4f} nats per token, {bits * math.log(2):.4f} nats or {bits:.4f} bits per character "
        f"(exact, {len(tokens) - 1:,} predictions, {corpus.name})"
    )


def evaluate_hellaswag(path: Path, checkpoint: Checkpoint, device: torch.device) -> None:
    """How many of a file's questions the model answers rightly."""
    questions = read_hellaswag(path)
    model = checkpoint.build_model(build_model).to(device)
    found = score(model, checkpoint.tokenizer, tqdm(questions, "answering", unit="question"))
    print(found.lines())
    print(f"chance is {100 / len(questions[0].endings):.0f} % ({path.name})")
