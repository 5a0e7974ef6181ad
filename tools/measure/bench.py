"""How fast the book's parts are on this machine: `make bench`, or `python -m tools.measure.bench steps`.

Prints one table with medians and spreads and writes it as JSON. What the machine lacks is skipped, and said.
"""

import itertools
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from gptlib.batched import batched_optimizer
from gptlib.bpe import GPT2_PATTERN
from gptlib.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gptlib.config import PRESETS
from gptlib.data import load_corpus
from gptlib.decoder import CapturedDecoder
from gptlib.generation import generate
from gptlib.gpt import GPT
from gptlib.tokenizer import BPETokenizer, CharTokenizer
from gptlib.trainer import Trainer
from tools.files import write_json
from tools.measure import DEVICE, command_line
from tools.measure.steps import bench_kernels, bench_steps
from tools.measure.timing import mean_calls, row, single_calls


def bench_generation() -> list[dict]:
    """255 tokens from the 6-layer, 384-wide model: window recomputed, cached, and on a GPU captured."""
    model = GPT(PRESETS["char-gpu"].model, torch.Generator().manual_seed(1)).to(DEVICE).eval()
    prompt = torch.zeros(1, 1, dtype=torch.long, device=DEVICE)
    ways = {"window for each token": (model, False), "key-value cache": (model, True)}
    if DEVICE.type == "cuda":
        ways["cache, recorded"] = (CapturedDecoder(model), True)
        ways["cache, compiled, then recorded"] = (CapturedDecoder(model, compiled=True), True)
    rows = []
    for name, (writer, cached) in ways.items():
        write = partial(generate, writer, prompt, 255, temperature=0.8, use_cache=cached)
        if DEVICE.type == "cuda":
            write()  # the first one records
        rows.append(row("generation", name, single_calls(write, 3), "tokens/s", lambda t: 255 / t))
    return rows


def bench_tokenizer() -> list[dict]:
    """BPE: training on the corpus and encoding it, cold and with a warm cache; tiktoken beside it."""
    text = load_corpus().text
    seconds = partial(row, "tokenizer", unit="s", of=lambda t: t)
    rows = []
    for merges in (256, 4096):
        times = single_calls(partial(BPETokenizer.train, text, 256 + merges), 3)
        rows.append(seconds(f"train {merges:,} merges", times))
    gpt2 = BPETokenizer.gpt2()
    fresh = [BPETokenizer.gpt2() for _ in range(3)]
    cold = [time for one in fresh for time in single_calls(partial(one.encode, text), 1)]
    rows.append(seconds("encode the corpus, cold", cold))
    rows.append(seconds("encode the corpus, warm", mean_calls(partial(gpt2.encode, text), 3)))
    try:
        import tiktoken
    except ImportError:
        print("no tiktoken: not compared with it", file=sys.stderr)
        return rows
    ranks = {gpt2.decode_bytes([i]): i for i in range(gpt2.vocab_size - 1)}  # all but <|endoftext|>
    theirs = tiktoken.Encoding("gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    rows.append(seconds("tiktoken encodes it", mean_calls(partial(theirs.encode, text), 3)))
    return rows


def bench_widget() -> list[dict]:
    """The attention explorer on the shipped model: redraw after a click, recompute after a new prompt."""
    try:
        from gptlib.widgets.attention_explorer import explorer_for_model
        from gptlib.widgets.shipped_model import trained_model
    except ImportError as missing:
        print(f"no {missing.name}: the widget is skipped", file=sys.stderr)
        return []
    trained = trained_model()
    explorer = explorer_for_model(trained.model, trained.tokenizer, "ROMEO:\nBut, soft!")
    layers = itertools.cycle([1, 2, 3, 4, 5])
    prompts = itertools.cycle(f"KING {letter}: Speak, good friend" for letter in "ABCDEFGHIJ")

    def click():
        explorer.layer.value = next(layers)

    def ask():
        explorer.prompt.value = next(prompts)

    return [row("widget", "redraw", mean_calls(click, 10)), row("widget", "new prompt", mean_calls(ask, 10))]


def bench_checkpoint() -> list[dict]:
    """Saving and loading the full model with its optimizer state."""
    preset = PRESETS["char-gpu"]
    trainer = Trainer(GPT(preset.model), preset.train, batched_optimizer)
    for p in trainer.model.parameters():
        p.grad = torch.zeros_like(p)
    trainer.optimizer.step()
    tokenizer = CharTokenizer.from_text(load_corpus().text)
    checkpoint = Checkpoint(trainer.state(1, 4.0, 1), preset.model, preset.train, tokenizer)
    with tempfile.TemporaryDirectory() as place:
        folders = (Path(place) / str(number) for number in itertools.count())
        saving = single_calls(lambda: save_checkpoint(next(folders), checkpoint), 5)
        loading = single_calls(lambda: load_checkpoint(Path(place) / "0"), 5)
    return [row("checkpoint", "save", saving), row("checkpoint", "load, verified", loading)]


PARTS = {
    "steps": bench_steps,
    "kernels": bench_kernels,
    "generation": bench_generation,
    "tokenizer": bench_tokenizer,
    "widget": bench_widget,
    "checkpoint": bench_checkpoint,
}


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [f"{'part':11} {'what':38} {'median':>10}   {'± at most':>9} unit"]
    for r in rows:
        line = f"{r['part']:11} {r['name'][:38]:38} {r['median']:10.4g}   {r['spread']:9.2g} {r['unit']}"
        if "utilisation" in r:
            line += f", {r['tokens_per_second']:,.0f} tokens/s, {100 * r['utilisation']:.1f} % of the ceiling"
        lines.append(line)
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {os.cpu_count()} cores"
    return {"device": device, "torch": torch.__version__, "corpus": load_corpus().name}


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"), help="where the JSON goes")
    args = parser.parse_args()
    if unknown := set(args.parts) - PARTS.keys():
        parser.error(f"unknown part {min(unknown)!r}: choose from {', '.join(PARTS)}")
    measured_on = machine()
    rows = []
    for name in args.parts or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += PARTS[name]()
        write_json(args.out, {**measured_on, "rows": rows})  # so far
    print(f"{measured_on['device']}, PyTorch {measured_on['torch']}\n{table(rows)}")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
