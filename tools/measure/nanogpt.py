"""Run nanoGPT's own train.py in its folder and note when what happened: a process that `compare` starts.

    python tools/measure/nanogpt.py OUT.json config/train_shakespeare_char.py --max_iters=3000

Its lines are kept with the times at which it prints them. The checkpoint that it saves at its lowest estimate
stays in memory; in the end its exact loss on the whole validation split is measured, with its own model.
"""

import builtins
import copy
import json
import runpy
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gptlib.files import write_text
from gptlib.loss import evaluate


def main() -> None:
    out, *arguments = sys.argv[1:]
    lines, kept, say = [], {}, builtins.print

    def noted_print(*words, **how):
        lines.append([time.monotonic(), " ".join(map(str, words))])
        say(*words, **how)

    def keep(checkpoint, path):
        kept.update(copy.deepcopy({name: checkpoint[name] for name in ("model", "iter_num")}))

    builtins.print, torch.save = noted_print, keep
    sys.argv = ["train.py", *arguments]
    sys.path.insert(0, "")
    names = runpy.run_path("train.py")
    model, context = names["raw_model"], names["ctx"]
    model.load_state_dict(kept["model"])
    model.eval()
    tokens = torch.from_numpy(np.fromfile("data/shakespeare_char/val.bin", dtype=np.uint16).astype(np.int64))

    def logits(idx):
        with context:
            return model(idx, idx)[0]  # with targets it gives the logits of all positions

    exact = evaluate(logits, tokens.to(names["device"]), names["block_size"])
    write_text(Path(out), json.dumps({"lines": lines, "exact": exact, "exact_step": kept["iter_num"]}))


if __name__ == "__main__":
    main()
