"""Which model a name means."""

from pathlib import Path

from gptlib import mine
from gptlib.checkpoint import Checkpoint, best_checkpoint, checkpoints_in, load_checkpoint, verify
from gptlib.files import DATA
from gptlib.modern import build_model
from gptlib.modern_config import config_from

SHIPPED = "char-gpu-best"
FAMILY = config_from, build_model  # GPT and the models of chapter 16, by their settings


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


def model_named(name: str | None) -> tuple[Path, Checkpoint]:
    """The checkpoint that a name means, and its folder; ValueError where it is another's module that it needs."""
    folder = checkpoint_named(name)
    checkpoint = load_checkpoint(folder, family=FAMILY)
    must_be_in_use(checkpoint.modules, folder)
    return folder, checkpoint


def must_be_in_use(modules: dict[str, str], folder: Path) -> None:
    """ValueError unless the reader's modules that a model was trained with are in use, as they were then."""
    used = mine.hashes()
    for name, before in modules.items():
        if name not in used:
            raise ValueError(
                f"{folder} was trained with your {name}.py: say --mine, too, with the folder that has it"
            )
        if used[name] != before:
            raise ValueError(
                f"your {name}.py is another one than {folder} was trained with: bring that one back"
            )
