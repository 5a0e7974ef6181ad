"""Several processes as one run: what torchrun starts, joins, says and starts again."""

import contextlib
import os
import sys
from pathlib import Path

from gptlib.parallel import FSDP, DataParallel
from gptlib.ranks import Ranks, complain, launched
from gptlib.runs import read_settings
from gptlib.training import TrainingError

JOINED: list[Ranks] = []  # this process among those of the run, once it has joined them


def joined(device: str, fsdp: bool, timeout: float) -> DataParallel | None:
    """What plugs into `train` where torchrun started several processes; None for a process alone."""
    if not launched():
        if fsdp:
            raise ValueError("--fsdp needs several processes: torchrun --nproc_per_node N -m gptlib train …")
        return None
    if timeout <= 0:
        raise ValueError(f"timeout={timeout} must be a number of seconds above 0")
    JOINED.append(Ranks(device, timeout))
    return (FSDP if fsdp else DataParallel)(JOINED[-1])


def say_error(error) -> None:
    """Print an expected error as one line; among several processes one of them does."""
    if JOINED:
        complain(JOINED[-1].store, JOINED[-1].rank, str(error))
    elif not rank():
        print(f"error: {error}", file=sys.stderr)


@contextlib.contextmanager
def missing_named(parallel: DataParallel | None):
    """Inside, an error of the backend becomes a line that names the missing process, and exit code 2."""
    try:
        yield
    except RuntimeError as error:
        if not parallel or isinstance(error, TrainingError):
            raise
        explained = parallel.ranks.explained(error)
        if explained is error:
            raise
        say_error(explained)
        raise SystemExit(2) from None


def rank() -> int:
    """The number that torchrun gave this process, 0 for a process alone."""
    return int(os.environ.get("RANK", 0))


def run_id() -> str | None:
    """The name that torchrun gave this start of processes; it keeps it when it starts them again."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if name in (None, "", "none") else name


def began_before(out: Path | None) -> Path | None:
    """The run folder that these processes wrote before torchrun started them again; None at the first start."""
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) == 0:
        return None
    if out:
        return out if (out / "config.json").exists() else None
    for folder in sorted(Path("runs").glob("*/config.json")):
        if run_id() and read_settings(folder.parent).get("run_id") == run_id():
            return folder.parent
    return None
