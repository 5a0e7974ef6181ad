"""`plot`: the losses of runs beside the ladder of their text."""

import os
from dataclasses import dataclass
from pathlib import Path

import tyro

from gptlib.commands.ladder import print_ladder, rungs_of
from gptlib.files import replacing
from gptlib.modern_config import config_from
from gptlib.runs import read_records, read_settings


@dataclass(frozen=True)
class Plot:
    """Draw the losses of runs beside the ladder of their text, in the terminal or as a PNG."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None  # a .png file; without it a table in the terminal


def run_plot(args: Plot) -> None:
    """Losses by step, one run beside the other."""
    if not args.runs:
        raise ValueError("no run is named: give at least one run folder")
    if args.out and args.out.suffix != ".png":
        raise ValueError(f"{args.out} does not end in .png")
    settings = [read_settings(run, config_from) for run in args.runs]
    names = [os.fsencode(run).decode("utf-8", "replace") for run in args.runs]  # also where paths are ASCII
    losses = {name: losses_of(*run) for name, *run in zip(names, args.runs, settings, strict=True)}
    texts = {(s["corpus"], s.get("text", {}).get("sha256")) for s in settings}
    if len({name for name, _ in texts}) > 1 or len({sha for _, sha in texts if sha}) > 1:
        raise ValueError("these runs have different texts: their losses cannot be compared")
    rungs = rungs_of(args.runs[0], settings[0])
    if args.out is None:
        return print_losses(losses, rungs)
    try:
        from gptlib.widgets.run_plot import plot_losses
    except ImportError as missing:
        raise ValueError(f"a PNG needs {missing.name}: pip install matplotlib, or leave --out away") from None
    with replacing(args.out) as temporary:
        plot_losses(losses, rungs).savefig(temporary, format="png", dpi=150)
    print(f"written to {args.out}")


def losses_of(run: Path, settings: dict) -> list[tuple[int, float]]:
    """Step and validation loss in nats per character, which compare across tokenizers."""
    share = settings["val_tokens"] / settings["val_characters"]
    losses = [(row["step"], row["val_loss"] * share) for row in read_records(run) if "val_loss" in row]
    if not losses:
        raise ValueError(f"{run} has no validation loss yet")
    return losses


def print_losses(losses: dict[str, list[tuple[int, float]]], rungs: dict[str, float]) -> None:
    """A bar for each validation loss, and the lowest ones among the rungs of the ladder."""
    top = max(loss for values in (rungs.items(), *losses.values()) for _, loss in values)
    for name, points in losses.items():
        print(f"{name}: validation loss in nats per character")
        for step, loss in points:
            print(f"{step:8,}  {loss:.3f}  {'█' * max(1, round(60 * loss / top))}")
    print_ladder(rungs, {name: min(loss for _, loss in points) for name, points in losses.items()})
