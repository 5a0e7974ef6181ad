"""`resume`: a run goes on from its newest intact checkpoint."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

from gptlib import mine
from gptlib.checkpoint import Checkpoint, checkpoints_in, latest_checkpoint, load_checkpoint
from gptlib.commands.model import FAMILY, must_be_in_use
from gptlib.commands.job import Job, carry_out
from gptlib.commands.ladder import keep_ladder
from gptlib.commands.options import PRESETS, Device, Step
from gptlib.commands.shards import shards_of
from gptlib.commands.text import text_of, tokenizer_named
from gptlib.commands.together import joined
from gptlib.config import TrainConfig
from gptlib.data import split
from gptlib.modern_config import config_from
from gptlib.parallel import DataParallel
from gptlib.runs import device_name, read_settings
from gptlib.trainer import choose_device

MAY_CHANGE = {"max_steps", "micro_batch_size", "precision"}
MAY_CHANGE |= {"eval_interval", "log_interval", "sample_interval", "checkpoint_interval"}


@dataclass(frozen=True)
class Resume:
    """Go on with a run from its newest intact checkpoint, with the settings it has."""

    run: tyro.conf.Positional[Path]
    train: TrainConfig
    mirror: Path | None = None  # where copies of the checkpoints are
    device: Device = "auto"
    step: Step = "auto"
    fsdp: bool = False  # under torchrun: each process keeps a slice of the weights
    timeout: float = 600.0  # under torchrun: seconds after which a process that hangs is named


def run_resume(args: Resume) -> None:
    """Go on with a run; nothing has to be said again, and what may change is taken and said."""
    go_on(args, joined(args.device, args.fsdp, args.timeout))


def go_on(args: Resume, parallel: DataParallel | None) -> None:
    """Go on, with the other processes if there are any: as many as before, or another number."""
    settings = read_settings(
        args.run if (args.run / "config.json").exists() else args.mirror or args.run, config_from
    )
    device = parallel.ranks.device if parallel else choose_device(args.device)
    saved = find_state(args.run, args.mirror)
    if saved is None:  # it ended before its first checkpoint: from the beginning
        model, before = config_from(**settings["model"]), TrainConfig(**settings["train"])
    else:
        model, before = saved.model_config, saved.train_config
    say_changes(before, args.train, settings["device"], device_name(device))
    n_before, n = settings.get("processes", 1), parallel.ranks.world_size if parallel else 1
    if n != n_before:
        print(
            f"{n} processes from here on, it was {n_before}: other last digits, and other numbers for dropout"
        )
    corpus, of_shards, shards = text_of(settings), None, None
    if settings.get("shards"):
        _, of_shards, shards = shards_of(Path(settings["text"]["source"]))
    if saved and saved.state.step >= args.train.max_steps:
        if (
            not shards and not (args.run / "ladder.json").exists()
        ):  # it was killed while the ladder was fitted
            keep_ladder(args.run, split(corpus.text))
        more = f"--train.max-steps {2 * saved.state.step}"
        raise ValueError(f"{args.run} is at its last step, {saved.state.step}: extend it with {more}, say")
    tokenizer = (
        saved.tokenizer if saved else of_shards or tokenizer_named(settings.get("tokenizer", "char"), corpus)
    )
    preset = settings["preset"]
    places = args.run, args.mirror
    job = Job(preset, model, args.train, corpus, tokenizer, *places, device, args.step, parallel, shards)
    carry_out(job, saved.state if saved else None)


def settings_before(argv: list[str]) -> TrainConfig:
    """The training settings of the run that `resume` names, for its other options to change."""
    for word in argv:
        if (Path(word) / "config.json").exists():
            return TrainConfig(**read_settings(Path(word), config_from)["train"])
    return PRESETS["char-cpu"].train


def say_changes(before: TrainConfig, after: TrainConfig, device_before: str, device: str) -> None:
    """Print what is different from here on; ValueError for a setting that may not change within a run."""
    changed = {n: v for n, v in vars(after).items() if v != getattr(before, n)}
    for name in sorted(changed.keys() - MAY_CHANGE):
        raise ValueError(f"{name} is {getattr(before, name)} in this run and cannot become {changed[name]}")
    for name, value in changed.items():
        print(f"{name} is {value} from here on, it was {getattr(before, name)}")
    if device != device_before:
        print(f"this run was on {device_before}, here it is {device}: other last digits from here on")


def find_state(folder: Path, mirror: Path | None) -> Checkpoint | None:
    """The newest intact checkpoint of a run or of its mirror; None where no checkpoint was ever finished."""
    places = [folder, *filter(None, [mirror])]
    if not any(checkpoints_in(place) for place in places):
        return None
    newest = latest_checkpoint(*places)
    saved = load_checkpoint(newest, family=FAMILY)
    if saved.state.optimizer is None:
        raise ValueError(f"{newest} has no optimizer state: it was saved for reading, not for resuming")
    must_be_in_use(saved.modules, newest)
    if more := mine.hashes().keys() - saved.modules.keys():
        raise ValueError(
            f"{folder} was trained with the book's {min(more)}.py, not with yours: leave --mine out"
        )
    run = newest.parent.parent
    for name in ("metrics.jsonl", "samples.txt"):  # the machine that wrote them is gone
        if run != folder and (run / name).exists() and not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, folder / name)
    return saved
