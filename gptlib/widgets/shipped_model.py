"""The trained models that come with the book."""

import json
from dataclasses import dataclass

from gptlib.files import DATA

CHECKPOINTS = DATA / "checkpoints"
GROWTH = CHECKPOINTS / "char-growth.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """A GPT in eval mode on the CPU, and its tokenizer."""

    model: object
    tokenizer: object


def trained_model(name: str = "char-gpu-best") -> TrainedModel:
    """The model in data/checkpoints/`name`, by default that of chapter 17's run on a GPU.

    FileNotFoundError when there is no such folder; CheckpointError when its files are damaged.
    """
    # not at the top: chapter 11 imports this file and builds gptlib.checkpoint
    from gptlib.checkpoint import load_checkpoint

    folder = CHECKPOINTS / name
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in CHECKPOINTS.glob("*") if path.is_dir())) or "nothing"
        raise FileNotFoundError(
            f"there is no trained model data/checkpoints/{name}; the folder holds: {there}"
        )
    checkpoint = load_checkpoint(folder)
    return TrainedModel(checkpoint.build_model(), checkpoint.tokenizer)


def growing_model() -> dict[tuple[int, int], TrainedModel]:
    """(seed, step) -> a small model as it was then: log-spaced steps of the first seed, the ends of four others.

    They were trained by tools/measure/inspection.py; one file holds each parameter of all of them as one tensor.
    """
    from safetensors import safe_open

    from gptlib.gpt import GPT, GPTConfig
    from gptlib.tokenizer import CharTokenizer

    with safe_open(GROWTH, "pt") as file:
        about = {name: json.loads(text) for name, text in file.metadata().items()}
        stacked = {name: file.get_tensor(name).float() for name in file.keys()}
    tokenizer, models = CharTokenizer(about["characters"]), {}
    for place, (seed, step) in enumerate(about["runs"]):
        model = GPT(GPTConfig(**about["model"]))
        model.load_state_dict({name: rows[place] for name, rows in stacked.items()}, strict=False)
        models[seed, step] = TrainedModel(model.eval(), tokenizer)
    return models
