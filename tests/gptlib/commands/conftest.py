"""A world of its own for each test, and finished runs to be read only."""

import pytest
import torch
from tiny_commands import CHARACTERS, RESUMABLE, TEXT, TINY, run, use_text

from gptlib.commands.sample import sample_text


def twenty_tokens(model, tokenizer, length: int, seed: int) -> str:
    """What a run writes of itself: the hundreds that are asked for take longer than its training."""
    return sample_text(model, tokenizer, 20, seed)


def be_small(patch) -> None:
    """A CPU, a short corpus, no bars, short samples."""
    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    patch.setenv("TQDM_DISABLE", "1")
    use_text(patch, TEXT)
    patch.setattr("gptlib.commands.job.sample_text", twenty_tokens)


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """A small world in a working directory of its own."""
    be_small(monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run, to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        be_small(patch)
        assert run("train", "--device", "cpu", "--out", folder, *TINY) == 0
    return folder


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The run that others are compared with, to be read only."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        be_small(patch)
        assert run("train", "--out", folder, *RESUMABLE) == 0
    return folder


@pytest.fixture(scope="session")
def trained_bpe(tmp_path_factory):
    """A tiny model with a tokenizer of byte pairs, biases off."""
    folder = tmp_path_factory.mktemp("bpe")
    (folder / "text.txt").write_text(CHARACTERS[:20_000] + "Äé🙂", encoding="utf-8")
    words = ["--tokenizer", "bpe:400", "--out", folder / "run", "--device", "cpu", "--model.no-bias"]
    with pytest.MonkeyPatch.context() as patch:
        be_small(patch)
        assert run("train", "--text", folder / "text.txt", *words, *TINY) == 0
    return folder / "run"
