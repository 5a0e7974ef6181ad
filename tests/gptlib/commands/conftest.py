"""A world of its own for each test, and finished runs to be read only."""

import pytest
import torch
from tiny_commands import CHARACTERS, RESUMABLE, TEXT, TINY, run, use_text


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """A CPU, a short corpus, a working directory of our own, nothing piped in."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    use_text(monkeypatch, TEXT)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run, to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("TQDM_DISABLE", "1")
        use_text(patch, TEXT)
        assert run("train", "--device", "cpu", "--out", folder, *TINY) == 0
    return folder


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The run that others are compared with, to be read only."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("TQDM_DISABLE", "1")
        use_text(patch, TEXT)
        assert run("train", "--out", folder, *RESUMABLE) == 0
    return folder


@pytest.fixture(scope="session")
def trained_bpe(tmp_path_factory):
    """A tiny model with a tokenizer of byte pairs, biases off."""
    folder = tmp_path_factory.mktemp("bpe")
    (folder / "text.txt").write_text(CHARACTERS[:20_000] + "Äé🙂", encoding="utf-8")
    words = ["--tokenizer", "bpe:400", "--out", folder / "run", "--device", "cpu", "--model.no-bias"]
    assert run("train", "--text", folder / "text.txt", *words, *TINY) == 0
    return folder / "run"
