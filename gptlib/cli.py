"""The command line, which puts the chapters' parts together: `python -m gptlib train | resume | sample | …`."""

import contextlib
import io
import logging
import os
import re
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import tyro

import gptlib
from gptlib.checkpoint import CheckpointError
from gptlib.commands.evaluate import Evaluate, run_evaluate
from gptlib.commands.export import Export, run_export
from gptlib.commands.options import PRESETS
from gptlib.commands.mine import Mine, run_mine
from gptlib.commands.plot import Plot, run_plot
from gptlib.commands.presets import Presets, run_presets
from gptlib.commands.resume import Resume, run_resume, settings_before
from gptlib.commands.sample import Sample, run_sample
from gptlib.commands.shards import Shards, run_shards
from gptlib.commands.together import JOINED, say_error
from gptlib.commands.train import Train, run_train
from gptlib.training import TrainingError

PROGRAM = "python\u00a0-m\u00a0gptlib"  # no-break spaces: tyro's hints keep only the first word
COMMANDS = {
    Train: run_train,
    Resume: run_resume,
    Sample: run_sample,
    Evaluate: run_evaluate,
    Plot: run_plot,
    Presets: run_presets,
    Shards: run_shards,
    Export: run_export,
    Mine: run_mine,
}


def parse(argv: list[str]):
    """Two passes for train and resume: what gives the defaults first, the preset or the run, then everything."""

    @dataclass(frozen=True)
    class Choice:
        preset: Literal[tuple(PRESETS)] = "char-cpu"

    preset, before = "char-cpu", PRESETS["char-cpu"].train
    if argv[:1] == ["train"]:
        first = dict(prog=f"{PROGRAM} train", return_unknown_args=True, add_help=False)
        preset = tyro.cli(Choice, args=argv[1:], **first)[0].preset
    if argv[:1] == ["resume"]:
        before = settings_before(argv[1:])
    defaults = {
        Train: Train(PRESETS[preset].model, PRESETS[preset].train, preset),
        Resume: Resume(tyro.MISSING, before),
    }
    commands = []
    for kind in COMMANDS:
        default = {"default": defaults[kind]} if kind in defaults else {}
        commands.append(Annotated[kind, tyro.conf.subcommand(kind.__name__.lower(), **default)])
    union = commands[0]
    for command in commands[1:]:
        union = union | command
    return tyro.cli(tyro.conf.OmitSubcommandPrefixes[union], args=argv, prog=PROGRAM)


def complaint(text: str) -> str:
    """What tyro says about a command: a setting that makes no sense in one line, anything else as it is."""
    words = " ".join(re.sub(r"[─│╭╮╰╯]|-{3,}|\|", " ", text).split())  # without the frame
    value = re.search(r"Error parsing __\S+: (.+?) For full helptext", words)
    return f"error: {value[1]}\n" if value else text


def main(argv: list[str] | None = None) -> int:
    """Run a command; every expected error is one line and exit code 2. Ctrl-C: 130, SIGTERM: 143."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(errors="replace")  # a terminal that knows fewer characters than the text
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--version"]:
        print(f"gptlib {gptlib.__version__}, PyTorch {torch.__version__}")
        return 0
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parse(argv)
    except SystemExit as stop:  # after --help, and after a complaint
        print(complaint(said.getvalue()), end="", file=sys.stderr)
        return stop.code
    except ValueError as error:  # the settings of a run that is to go on
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        COMMANDS[type(args)](args)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code
    except BrokenPipeError:  # whoever reads the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (CheckpointError, TrainingError, ValueError, OSError) as error:
        say_error(error)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            sys.stderr = sys.__stderr__  # also of a process that is silent otherwise
            raise
        say_error("out of memory: take a smaller model or a shorter text")
        return 2
    return 0


def leave(code: int) -> None:
    """End this process. Among several, at once: the backends' own way out waits for CUDA graphs and lost processes."""
    if not JOINED:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
