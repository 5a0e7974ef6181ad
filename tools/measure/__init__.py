"""What writes the measurements in data/runs; each command is a module, `python -m tools.measure.NAME`."""

import argparse

import torch

from gptlib.data import Corpus, load_corpus, split
from gptlib.tokenizer import CharTokenizer
from tools.chapters import ROOT

DATA = ROOT / "data"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def command_line(description: str) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def need_cuda(parser: argparse.ArgumentParser, why: str) -> None:
    """Exit with one line where there is no CUDA GPU."""
    if DEVICE.type != "cuda":
        parser.error(f"this machine has no CUDA GPU: {why}")


def characters() -> tuple[Corpus, CharTokenizer, tuple[torch.Tensor, torch.Tensor]]:
    """The corpus, its tokenizer of characters, and the tokens of its two parts."""
    corpus = load_corpus()
    tokenizer = CharTokenizer.from_text(corpus.text)
    return corpus, tokenizer, split(torch.tensor(tokenizer.encode(corpus.text)))
