"""Parts `python` and `gpt2` of `tools.measure.law`: models that write Python, and how much of it parses."""

import copy
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gptlib.batched import batched_optimizer
from gptlib.checkpoint import Checkpoint, save_checkpoint
from gptlib.commands.model import model_named
from gptlib.decoder import CapturedDecoder
from gptlib.generation import generate
from gptlib.gpt import GPT
from gptlib.ngram import NGram, best_ngram, look_up
from gptlib.programs import PYTHON_PRESETS, compiles, interval, statements, whole_statements
from gptlib.runs import MetricsLog, device_name
from gptlib.shards import TokenShards
from gptlib.speed import CapturedStep, fused_step
from gptlib.tokenizer import Tokenizer, load_tokenizer
from gptlib.training import train
from tools.files import write_json
from tools.measure import DEVICE
from tools.measure.run import for_reading

NAME = "python-gpu"
LENGTH = 255  # tokens of a sample, of every model
GPT2 = "--train.max-steps 600 --train.warmup-steps 60 --train.eval-interval 100 --train.sample-interval 200"
GPT2_TINY = "--device cpu --model.n-layer 1 --model.n-head 2 --model.n-embd 32 --model.block-size 256"
GPT2_TINY += " --train.max-steps 4 --train.batch-size 4 --train.micro-batch-size 2 --train.warmup-steps 1"
TINY = {"max_steps": 20, "batch_size": 4, "warmup_steps": 2, "eval_interval": 10}


def measure_python(corpus: Path, out: Path, tiny: bool) -> None:
    """Train on the standard library and count; what is there already stays."""
    if (out / "parses.json").exists():
        return
    tokenizer = load_tokenizer(corpus / "tokenizer.json")
    train_tokens, val_tokens = (TokenShards(corpus / "stdlib" / part)[:] for part in ("train", "val"))
    began = time.perf_counter()
    model = trained(tokenizer, train_tokens, val_tokens, corpus, out, tiny)
    count = 20 if tiny else 1000
    sources = {"real files, cut alike": real(train_tokens, tokenizer, count)}
    for temperature in (1.0, 0.8):
        sources[f"{NAME}, temperature {temperature}"] = written(model, tokenizer, count, temperature)
    print(f"{time.perf_counter() - began:.0f} s: trained and sampled", flush=True)
    tables = {"pairs": NGram(2), "triples": NGram(3)}
    tables = {name: table.fit(train_tokens.numpy(), tokenizer.vocab_size) for name, table in tables.items()}
    tables["the best table"] = best_ngram(train_tokens.numpy(), tokenizer.vocab_size)
    losses = {name: table.loss(val_tokens.numpy()) for name, table in tables.items()}
    for name, table in tables.items():
        sources[name] = by_table(table, tokenizer, count // 2)
    rows = {name: counted(texts) for name, texts in sources.items()}
    print(f"{time.perf_counter() - began:.0f} s: {json.dumps(rows)}", flush=True)
    best = tables["the best table"]
    about = {"order": best.order, "caution": best.caution, "losses": losses}
    write_json(
        out / "parses.json",
        {**about, "python": platform.python_version(), "val_tokens": len(val_tokens), "rows": rows},
    )
    kept = {name: texts[:8] for name, texts in sources.items()}
    write_json(out / "samples.json", kept)


def trained(tokenizer: Tokenizer, train_tokens, val_tokens, corpus: Path, out: Path, tiny: bool) -> GPT:
    """Train the preset, and keep its run and the checkpoint of its lowest validation loss."""
    run = PYTHON_PRESETS[NAME]
    how = dataclasses.replace(run.train, **TINY) if tiny else run.train
    model, best = GPT(run.model, torch.Generator().manual_seed(how.seed)).to(DEVICE), {}
    result = train(
        model,
        *(tokens.to(DEVICE) for tokens in (train_tokens, val_tokens)),
        how,
        step_fn=CapturedStep(compiled=False) if DEVICE.type == "cuda" else fused_step,
        optimizer_fn=batched_optimizer,
        logger=MetricsLog(out),
        checkpointer=lambda state, _: best.update(state=copy.deepcopy(state)),
    )
    settings = {
        "preset": NAME,
        "corpus": "the standard library of Python",
        "manifest": json.loads((corpus.parent / "manifest.json").read_text(encoding="utf-8"))["stdlib"],
        "device": device_name(DEVICE),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_tokens": len(train_tokens),
        "val_tokens": len(val_tokens),
        "best_val_loss": result.best_val_loss,
        "best_step": result.best_step,
        "seconds": result.seconds,
        "model": dataclasses.asdict(run.model),
        "train": dataclasses.asdict(how),
    }
    write_json(out / "config.json", settings)
    print(f"{NAME}: {result.best_val_loss:.4f} at step {result.best_step}", flush=True)
    kept = for_reading(Checkpoint(best["state"], run.model, how, tokenizer))
    save_checkpoint(out / "checkpoint", kept)
    return kept.build_model().to(DEVICE)  # in half precision, as it is shipped


def measure_gpt2(corpus: Path, out: Path, tiny: bool) -> None:
    """Train `gpt2-124m` on the whole corpus by the command that readers type, on all GPUs; then count."""
    if (out / "parses.json").exists():
        return
    options = GPT2_TINY if tiny else GPT2
    processes = torch.cuda.device_count() or 2
    words = f"-m torch.distributed.run --standalone --nproc_per_node {processes}"
    words += f" -m gptlib train --preset gpt2-124m {options}"
    shutil.copy(corpus / "tokenizer.json", corpus / "installed")  # a set of its own
    paths = ["--shards", str(corpus / "installed"), "--out", str(out)]
    began = time.perf_counter()
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    subprocess.run([sys.executable, *words.split(), *paths], check=True, env=quiet)
    print(f"{time.perf_counter() - began:.0f} s: trained", flush=True)
    _, checkpoint = model_named(str(out))
    model, tokenizer, count = checkpoint.build_model().to(DEVICE), checkpoint.tokenizer, 20 if tiny else 1000
    rows = {}
    for temperature in (1.0, 0.8):
        rows[f"gpt2-124m, temperature {temperature}"] = counted(written(model, tokenizer, count, temperature))
    write_json(out / "parses.json", {"python": platform.python_version(), "rows": rows})
    print(f"{time.perf_counter() - began:.0f} s: {json.dumps(rows)}", flush=True)


# --- where samples come from


def cut(ids: list[int], tokenizer: Tokenizer) -> str:
    """The text up to `<|endoftext|>`; without it, the text up to its last whole statement."""
    end = tokenizer.vocab_size - 1
    if end in ids:
        return tokenizer.decode(ids[: ids.index(end)])
    return whole_statements(tokenizer.decode(ids))


def written(model: GPT, tokenizer: Tokenizer, count: int, temperature: float) -> list[str]:
    """Texts that the model begins."""
    writer = CapturedDecoder(model) if DEVICE.type == "cuda" else model
    generator, found = torch.Generator(DEVICE).manual_seed(1), []
    while len(found) < count:
        start = torch.full((min(500, count), 1), tokenizer.vocab_size - 1, device=DEVICE)
        ids = generate(writer, start, LENGTH, temperature=temperature, generator=generator)
        found += [cut(row, tokenizer) for row in ids[:, 1:].tolist()]
    return found[:count]


def real(tokens: torch.Tensor, tokenizer: Tokenizer, count: int) -> list[str]:
    """The beginnings of files, as long as the samples."""
    starts = (tokens == tokenizer.vocab_size - 1).nonzero()[:count, 0].tolist()
    return [cut(tokens[start + 1 : start + 1 + LENGTH].tolist(), tokenizer) for start in starts]


def by_table(table: NGram, tokenizer: Tokenizer, count: int) -> list[str]:
    """Texts that a table writes, each of at most LENGTH tokens."""
    rng, end, found = np.random.default_rng(1), tokenizer.vocab_size - 1, []
    for _ in range(count):
        ids = [end]
        while len(ids) <= LENGTH and (len(ids) == 1 or ids[-1] != end):
            ids.append(drawn(table, ids, rng))
        found.append(cut(ids[1:], tokenizer))
    return found


def drawn(table: NGram, context: list[int], rng) -> int:
    """A token from the table's distribution after `context`, without computing all of it.

    The mixture is drawn from as it is written: the longest history's counts with probability
    total / (total + w), else the same with a history shorter by one token.
    """
    V = table.vocab_size
    for k in range(min(table.order, len(context) + 1), 0, -1):
        history = 0
        for token in context[len(context) - k + 1 :]:
            history = history * V + token
        grams, counts, contexts, totals, distinct = table.tables[k - 1]
        (total,), (kinds,) = (look_up(contexts, values, np.array([history])) for values in (totals, distinct))
        if rng.random() * (total + table.caution * kinds) < total:
            first = int(np.searchsorted(grams, history * V))
            place = np.searchsorted(counts[first : first + kinds].cumsum(), rng.integers(total), side="right")
            return int(grams[first + place] % V)
    return int(rng.integers(V))


def counted(texts: list[str]) -> dict:
    """How many texts parse and compile, with their intervals, and how many statements they have."""
    bodies = [statements(text) for text in texts]
    n, good, run = len(texts), sum(map(bool, bodies)), sum(map(compiles, texts))
    with_def = [body for text, body in zip(texts, bodies, strict=True) if "def " in text]
    return {
        "samples": n,
        "parse": good,
        "parse_interval": interval(good, n),
        "compile": run,
        "compile_interval": interval(run, n),
        "with def": len(with_def),
        "with def, parse": sum(map(bool, with_def)),
        "characters": round(sum(map(len, texts)) / n, 1),
        "statements": round(sum(map(len, bodies)) / max(1, good), 2),
    }
