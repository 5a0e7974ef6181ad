"""Which model a name means."""

from pathlib import Path

from gptlib.checkpoint import best_checkpoint, checkpoints_in, verify
from gptlib.files import DATA

SHIPPED = "char-gpu-best"


def checkpoint_named(name: str | None) -> Path:
    """A checkpoint's folder: named itself, by its run (the best one), as a shipped model, or the newest run's."""
    shipped = DATA / "checkpoints"
    if name is None:
        runs = [run for run in Path("runs").glob("*") if checkpoints_in(run)]
        newest = max(runs, key=lambda run: checkpoints_in(run)[-1].stat().st_mtime, default=None)
        return best_checkpoint(newest) if newest else shipped / SHIPPED
    folder = Path(name)
    if checkpoints_in(folder):
        return best_checkpoint(folder)
    if (folder / "config.json").exists() and (folder / "checkpoints").exists():
        raise ValueError(f"{name} holds no checkpoint yet")
    if folder.exists() or not (shipped / name).is_dir():
        verify(folder)
        return folder
    return shipped / name
