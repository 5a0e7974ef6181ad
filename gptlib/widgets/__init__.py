"""What the notebooks show things with: the book's figure style, the shipped trained model, and the widgets.

The widgets themselves take plain callables and arrays, so a chapter can show one before the reader has built
the modules behind it: see `attention_explorer`, `playground` and `run_plot`.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from cycler import cycler

CHECKPOINTS = Path(__file__).resolve().parents[2] / "data" / "checkpoints"

# Okabe and Ito's palette (2008), made for all common kinds of colour vision; in grey the line styles differ
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))


def book_style() -> None:
    """Set matplotlib's defaults for the book: legible fonts, lines that differ in grey too, small PNGs."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure is the same on every machine
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "figure.titlesize": 13,
            "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=LINE_STYLES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "legend.frameon": False,
            "grid.color": "#cccccc",
            "grid.linewidth": 0.6,
            "image.cmap": "cividis",
            "image.interpolation": "nearest",
        }
    )


@dataclass(frozen=True)
class TrainedModel:
    """A model that the book trained: a GPT in eval mode on the CPU, its tokenizer, its checkpoint's name."""

    model: object
    tokenizer: object
    name: str


def trained_model(name: str = "char-gpu-best") -> TrainedModel:
    """The model in data/checkpoints/`name`, by default the one trained in chapter 17's run on a GPU.

    FileNotFoundError when there is no such folder; CheckpointError when its files are damaged.
    """
    # imported only here: most chapters come before the checkpoint module
    from gptlib.checkpoint import load_checkpoint

    folder = CHECKPOINTS / name
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in CHECKPOINTS.glob("*") if path.is_dir())) or "nothing"
        raise FileNotFoundError(
            f"there is no trained model data/checkpoints/{name}; the folder holds: {there}"
        )
    checkpoint = load_checkpoint(folder)
    return TrainedModel(checkpoint.build_model(), checkpoint.tokenizer, name)
