"""`sample`: text from a model, streamed to the terminal."""

import codecs
import select
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from gptlib.commands.model import model_named
from gptlib.commands.options import Device
from gptlib.decoder import CapturedDecoder
from gptlib.generation import check_settings, generate, stream
from gptlib.gpt import GPT
from gptlib.modern import build_model
from gptlib.tokenizer import Tokenizer
from gptlib.trainer import choose_device


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


def run_sample(args: Sample) -> None:
    """Stream a continuation of the prompt to the terminal."""
    check_settings(args.temperature, args.top_k, args.top_p)
    if sys.stdin is None and (args.prompt == "-" or args.interactive):
        raise ValueError("standard input is closed: give the text with --prompt")
    if not 0 <= args.seed < 1 << 64:
        raise ValueError(f"seed={args.seed} must be at least 0 and below 2^64")
    folder, checkpoint = model_named(args.checkpoint)
    device = choose_device(args.device)
    if args.checkpoint is None:
        print(f"({folder})", file=sys.stderr)
    model, tokenizer = checkpoint.build_model(build_model).to(device), checkpoint.tokenizer
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
