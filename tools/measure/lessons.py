"""Small runs with and without a mistake, for chapter 10: `python -m tools.measure.lessons`, a few minutes.

Writes data/runs/lessons.json: under "runs" the settings of each run and the losses along the way, under
"seeds" the last validation losses of the seeds 1 to 5. With the word `seeds` it measures only the latter.
"""

import dataclasses
import json
import sys

import torch

from gptlib.batched import batched_optimizer
from gptlib.config import TrainConfig
from gptlib.files import write_text
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import evaluate
from gptlib.training import TrainingError, train
from tools.measure import DATA, characters

OUT = DATA / "runs" / "lessons.json"
MODEL = GPTConfig(65, block_size=64, n_layer=2, n_head=4, n_embd=64)
SOUND = TrainConfig(
    400,
    learning_rate=5e-3,
    min_learning_rate=5e-4,
    warmup_steps=40,
    eval_interval=50,
    log_interval=5,
    precision="fp32",
)
RUNS = {
    **{f"sound, seed {seed}": (MODEL, dataclasses.replace(SOUND, seed=seed)) for seed in range(1, 6)},
    "learning rate × 30": (MODEL, dataclasses.replace(SOUND, learning_rate=0.15, min_learning_rate=0.015)),
    "learning rate ÷ 30": (
        MODEL,
        dataclasses.replace(SOUND, learning_rate=SOUND.learning_rate / 30, min_learning_rate=1.7e-5),
    ),
    "learning rate × 6, warm-up": (MODEL, dataclasses.replace(SOUND, learning_rate=0.03)),
    "learning rate × 6, no warm-up": (
        MODEL,
        dataclasses.replace(SOUND, learning_rate=0.03, warmup_steps=0),
    ),
    "a tenth of a per cent of the text": (MODEL, SOUND),
    "dropout 0.3": (dataclasses.replace(MODEL, dropout=0.3), SOUND),
}

OF_SEEDS = {
    "good rate, warm-up": {},
    "good rate, no warm-up": {"warmup_steps": 0},
    "rate × 6, warm-up": {"learning_rate": 0.03},
    "rate × 6, no warm-up": {"learning_rate": 0.03, "warmup_steps": 0},
    "good rate, warm-up, no fall": {"min_learning_rate": SOUND.learning_rate},
}


def last_losses(changes: dict, train_tokens, val_tokens) -> list[float]:
    """The validation loss after the last step, for the seeds 1 to 5."""
    ends = []
    for seed in range(1, 6):
        config = dataclasses.replace(SOUND, eval_interval=0, seed=seed, **changes)
        model = GPT(MODEL, torch.Generator().manual_seed(seed))
        result = train(model, train_tokens, val_tokens, config, optimizer_fn=batched_optimizer)
        ends.append(round(result.val_loss, 4))
    return ends


def main() -> None:
    torch.set_num_threads(1)
    corpus, _, (train_tokens, val_tokens) = characters()
    lessons = {"corpus": corpus.name, "torch": torch.__version__, "runs": {}}
    if sys.argv[1:] == ["seeds"]:
        lessons = json.loads(OUT.read_text(encoding="utf-8"))
    for name, (model_config, config) in ({} if lessons["runs"] else RUNS).items():
        model = GPT(model_config, torch.Generator().manual_seed(config.seed))
        text = train_tokens[:1000] if name.startswith("a tenth") else train_tokens
        records = []
        try:
            train(model, text, val_tokens, config, optimizer_fn=batched_optimizer, logger=records.append)
        except TrainingError as error:
            records.append({"error": str(error)})
        run = {
            "model": dataclasses.asdict(model_config),
            "train": dataclasses.asdict(config),
            "train_loss": [[r["step"], round(r["train_loss"], 4)] for r in records if "train_loss" in r],
            "val_loss": [[r["step"], round(r["val_loss"], 4)] for r in records if "val_loss" in r],
        }
        if model_config.dropout:  # the mistake: a model that is not put into eval mode
            model.train()
            torch.manual_seed(0)
            left_on = [evaluate(lambda idx, model=model: model(idx), val_tokens, 64) for _ in range(3)]
            run["dropout_left_on"] = [round(loss, 4) for loss in left_on]
        lessons["runs"][name] = run
        print(f"{name:34} {run['val_loss'][-1:]} {run.get('dropout_left_on', '')}", flush=True)
    texts = train_tokens, val_tokens
    lessons["seeds"] = {name: last_losses(changes, *texts) for name, changes in OF_SEEDS.items()}
    text = json.dumps(lessons)
    write_text(OUT, text.replace('"model"', '\n"model"').replace('"train"', '\n"train"') + "\n")


if __name__ == "__main__":
    main()
