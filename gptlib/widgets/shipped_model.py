"""The trained models that come with the book."""

from dataclasses import dataclass

from gptlib.files import DATA

CHECKPOINTS = DATA / "checkpoints"


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
