"""How far a run is: what is due, which rows are written, which state is kept."""

import dataclasses
import math

import pytest
import torch
from tiny_model import corpus, model

from gptlib.config import TrainConfig
from gptlib.progress import BAD_STEPS, Progress, TrainingError
from gptlib.trainer import StepResult, Trainer

CONFIG = TrainConfig(max_steps=7, batch_size=4, log_interval=5, warmup_steps=0)


def progress(config=CONFIG, **hooks) -> Progress:
    return Progress(Trainer(model(), config), None, **hooks)


def at_each_step(run: Progress, config=CONFIG):
    """The steps of a run, one after the other."""
    for step in range(config.max_steps):
        run.done = step + 1
        yield run.done


def test_what_has_an_interval_is_due_then_and_at_the_end():
    run = progress()
    assert [step for step in at_each_step(run) if run.due(3)] == [3, 6, 7]
    assert [step for step in at_each_step(run) if run.due(0)] == [7]


def test_a_row_is_written_for_the_first_step_at_intervals_and_for_the_last():
    rows = []
    run = progress(logger=rows.append)
    new = [
        step for step in at_each_step(run) if run.log(StepResult(torch.tensor(2.0), torch.tensor(1.0)), 0.5)
    ]
    assert new == [1, 5, 7] == [row["step"] for row in rows] and rows == run.records
    assert all(row["train_loss"] == 2.0 and row["learning_rate"] == 0.5 for row in rows)


def test_bad_steps_count_only_in_a_row():
    bad, good = (StepResult(torch.tensor(loss), torch.tensor(1.0), loss == 2.0) for loss in (math.nan, 2.0))
    run = progress(dataclasses.replace(CONFIG, max_steps=99))
    for _ in range(3):
        for _ in range(BAD_STEPS - 1):
            run.done += 1
            assert not run.log(bad, 0.5)
        run.done += 1
        run.log(good, 0.5)
    with pytest.raises(TrainingError, match=f"{BAD_STEPS} steps in a row"):
        for _ in range(BAD_STEPS):
            run.log(bad, 0.5)


def test_only_a_lower_loss_is_kept(monkeypatch):
    kept = []
    run = progress(checkpointer=lambda state, val_loss: kept.append((state.step, val_loss)))
    losses = iter([3.0, 2.0, 2.5, 1.5, 1.5, 9.0, math.nan])
    monkeypatch.setattr("gptlib.progress.evaluate", lambda *_: next(losses))
    for step in at_each_step(run):
        if step == 7:
            with pytest.raises(TrainingError, match="validation loss at step 7 is nan"):
                run.evaluate(corpus(50))
        else:
            run.evaluate(corpus(50))
    assert kept == [(1, 3.0), (2, 2.0), (4, 1.5)]
    assert (run.best_val_loss, run.best_step, run.val_loss) == (1.5, 4, pytest.approx(math.nan, nan_ok=True))
