"""The loss beyond a full window, for four ways to go on: `python -m tools.measure.window`, some minutes.

Writes data/runs/window.json, which chapter 12 shows: the shipped model, 16 stretches of the validation text,
in each 128 characters beyond a window of 256.
"""

import json

import torch

from gptlib.data import load_corpus, split
from gptlib.files import write_text
from gptlib.generation import KVCache
from gptlib.widgets.shipped_model import trained_model
from tools.measure import DATA

OUT = DATA / "runs" / "window.json"
STRETCHES, BEYOND, ROOM = 16, 128, 256


def slide(cache: KVCache, sinks: int) -> None:
    """Drop the oldest entry behind the first `sinks` of a full cache."""
    for layer in cache.layers:
        for kept in (layer.k, layer.v):
            kept[:, :, sinks:-1] = kept[:, :, sinks + 1 :].clone()
        layer.length -= 1


@torch.no_grad()
def losses(model, rows: torch.Tensor, way: str) -> torch.Tensor:
    """-ln p of each character beyond the window: [stretches, BEYOND]."""
    n_layer = model.config.n_layer
    cache, found = KVCache(n_layer, ROOM), []
    model(rows[:, :ROOM], cache)
    for t in range(ROOM, ROOM + BEYOND):  # character t arrives, t + 1 is predicted
        new = rows[:, t : t + 1]
        if way == "recompute":
            cache, new = KVCache(n_layer, ROOM), rows[:, t - ROOM + 1 : t + 1]
        elif cache.length == ROOM and way == "crop and refill":
            cache, new = KVCache(n_layer, ROOM), rows[:, t - ROOM // 2 + 1 : t + 1]
        elif cache.length == ROOM:
            slide(cache, sinks=4 if way == "attention sinks" else 0)
        log_p = model(new, cache)[:, -1].log_softmax(dim=-1)
        found.append(-log_p.gather(-1, rows[:, t + 1, None]))
    return torch.cat(found, dim=1)


def main() -> None:
    """Measure and write the file."""
    trained = trained_model()
    model, ids = trained.model, torch.tensor(trained.tokenizer.encode(split(load_corpus().text)[1]))
    starts = torch.arange(STRETCHES) * (len(ids) - ROOM - BEYOND - 1) // STRETCHES
    rows = torch.stack([ids[start : start + ROOM + BEYOND + 1] for start in starts.tolist()])
    ways, right = {}, None
    for way in ("recompute", "slide the cache", "attention sinks", "crop and refill"):
        loss = losses(model, rows, way)
        right = loss if right is None else right
        per_stretch = (loss - right).mean(dim=1)
        ways[way] = {
            "loss": round(loss.mean().item(), 4),
            "difference": round(per_stretch.mean().item(), 4),
            "error": round(per_stretch.std().item() / STRETCHES**0.5, 4),
        }
        print(way, ways[way], flush=True)
    record = {
        "model": "char-gpu-best",
        "characters": STRETCHES * BEYOND,
        "torch": torch.__version__,
        "ways": ways,
    }
    write_text(OUT, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
