"""The training loop: records, hooks, exact evaluation, and resuming bit for bit."""

import copy
import dataclasses
import json
import logging
import math

import pytest
import torch
from tiny_model import TINY, corpus, losses, model

from gptlib.config import TrainConfig
from gptlib.data import Batches
from gptlib.gpt import GPT
from gptlib.loss import evaluate
from gptlib.trainer import StepResult, Trainer, eager_step
from gptlib.training import TrainingError, plain_train, scheduled_rate, train

CONFIG = TrainConfig(
    max_steps=12, batch_size=4, warmup_steps=3, eval_interval=4, log_interval=1, learning_rate=1e-2
)


# --- a whole run


@pytest.mark.parametrize(("optimizer", "clip", "decay"), [("adamw", 0.5, "cosine"), ("muon", 0.0, "linear")])
def test_the_plain_loop_and_train_are_one(optimizer, clip, decay):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, grad_clip=clip, decay=decay)
    plain_model, whole_model = (model(dropout=0.2).double() for _ in range(2))
    torch.manual_seed(config.seed)
    plain = plain_train(plain_model, corpus(), corpus(200, 1), config)
    records = train(whole_model, corpus(), corpus(200, 1), config).records
    assert [row["step"] for row in plain] == [row["step"] for row in records]
    for row, other in zip(plain, records, strict=True):
        assert {name: other[name] for name in row} == pytest.approx(row, rel=1e-6)
    for p, q in zip(plain_model.parameters(), whole_model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_schedule_follows_the_decay_of_the_settings():
    config = TrainConfig(4, learning_rate=1.0, min_learning_rate=0.1, warmup_steps=0, decay="linear")
    assert [scheduled_rate(config, step) for step in range(4)] == pytest.approx([1.0, 0.7, 0.4, 0.1])
    config = dataclasses.replace(config, decay="cosine")
    assert [scheduled_rate(config, step) for step in range(4)] == pytest.approx([1.0, 0.775, 0.325, 0.1])


def test_another_optimizer_plugs_in():
    made = []

    def sgd(gpt, config):
        made.append((gpt, config, torch.optim.SGD(gpt.parameters(), lr=config.learning_rate)))
        return made[-1][2]

    gpt, states = model(), []
    config = dataclasses.replace(CONFIG, checkpoint_interval=6)
    train(
        gpt,
        corpus(),
        corpus(),
        config,
        optimizer_fn=sgd,
        checkpointer=lambda s, _: states.append(copy.deepcopy(s)),
    )
    assert [(g is gpt, c) for g, c, _ in made] == [(True, config)]
    assert made[0][2].param_groups[0]["lr"] == pytest.approx(
        config.min_learning_rate
    )  # the schedule moves it
    resumed = train(
        model(), corpus(), corpus(), config, optimizer_fn=sgd, start=next(s for s in states if s.step == 6)
    )
    assert resumed.step == 12 and len(made) == 2


def test_a_batch_is_learned_by_heart():
    config = dataclasses.replace(CONFIG, max_steps=150, warmup_steps=5, eval_interval=0)
    batch = Batches(corpus(), 4, 8).at(0)
    result = train(
        model(), corpus(), corpus(), config, step_fn=lambda trainer, x, y: eager_step(trainer, *batch)
    )
    assert losses(result)[0] == pytest.approx(math.log(11), abs=0.2) and losses(result)[-1] < 0.2


def test_records():
    result = train(model(), corpus(), corpus(200, 1), CONFIG)
    assert result.step == 12 and result.seconds > 0
    training = [r for r in result.records if "train_loss" in r]
    assert [r["step"] for r in training] == list(range(1, 13))
    assert all({"seconds", "learning_rate", "grad_norm"} <= r.keys() for r in training)
    assert all("tokens_per_second" in r for r in training[1:])
    assert [r["learning_rate"] for r in training[:3]] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    validation = {r["step"]: r["val_loss"] for r in result.records if "val_loss" in r}
    assert list(validation) == [4, 8, 12]
    assert result.val_loss == validation[12]
    assert result.best_val_loss == min(validation.values()) == validation[result.best_step]
    json.dumps(result.records)  # rows of metrics.jsonl


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (4, 0), (4, 2), (50, 10)])
def test_the_last_step_has_the_lowest_rate_and_none_is_higher_than_the_highest(steps, warmup):
    rates = dict(learning_rate=1e-2, min_learning_rate=1e-3, warmup_steps=warmup)
    config = dataclasses.replace(CONFIG, max_steps=steps, log_interval=1, eval_interval=0, **rates)
    result = train(model(), corpus(), corpus(), config)
    found = [r["learning_rate"] for r in result.records if "learning_rate" in r]
    assert len(found) == steps and found[-1] == pytest.approx(1e-3)
    assert steps == 1 or found[warmup] == max(found) == pytest.approx(1e-2)


def test_what_is_due_is_due_after_the_last_step_too():
    config = dataclasses.replace(CONFIG, max_steps=7, log_interval=5, eval_interval=3, sample_interval=4)
    result = train(model(), corpus(), corpus(), config, sample_fn=lambda model: "text")
    assert [r["step"] for r in result.records if "train_loss" in r] == [1, 5, 7]
    assert [r["step"] for r in result.records if "val_loss" in r] == [3, 6, 7]
    assert [r["step"] for r in result.records if "sample" in r] == [4, 7]


def test_evaluation_is_exact_and_leaves_no_trace():
    evaluated = []

    def keep(state, val_loss):
        if val_loss is not None:
            twin = model(dropout=0.2)
            twin.load_state_dict(state.model)
            evaluated.append((val_loss, evaluate(twin.eval(), corpus(203, 1), 8, batch_size=5)))

    config = dataclasses.replace(CONFIG, eval_interval=2)
    train(model(dropout=0.2), corpus(), corpus(203, 1), config, checkpointer=keep)
    often = train(model(dropout=0.2), corpus(), corpus(203, 1), config)
    assert evaluated and all(found == pytest.approx(exact, abs=1e-6) for found, exact in evaluated)
    never = train(model(dropout=0.2), corpus(), corpus(203, 1), dataclasses.replace(CONFIG, eval_interval=0))
    assert losses(often) == losses(never)


def test_the_model_is_trained_in_place_with_dropout_on():
    modes = []

    def step_fn(trainer, x, y):
        modes.append(trainer.model.training)
        return eager_step(trainer, x, y)

    gpt = model().eval()
    before = gpt.wte.weight.detach().clone()
    train(gpt, corpus(), corpus(), CONFIG, step_fn=step_fn, sample_fn=lambda m: m.eval() and "text")
    assert all(modes) and not torch.equal(before, gpt.wte.weight)


def test_same_seed_same_run_and_another_seed_another():
    runs = [
        losses(train(model(dropout=0.2), corpus(), corpus(), dataclasses.replace(CONFIG, seed=s)))
        for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_hooks_get_what_they_are_promised():
    steps, records, states = [], [], []
    gpt = model()

    def step_fn(trainer, x, y):
        assert trainer.model is gpt and x.shape == y.shape == (4, 8)
        steps.append(x)
        return StepResult(torch.tensor(2.0), torch.tensor(1.0))

    config = dataclasses.replace(CONFIG, sample_interval=6, checkpoint_interval=5)
    result = train(
        gpt,
        corpus().tolist(),
        corpus().tolist(),
        config,
        step_fn=step_fn,
        sample_fn=lambda m: "a text" if m is gpt else "",
        checkpointer=lambda state, val_loss: states.append((state.step, val_loss)),
        logger=records.append,
    )
    batches = Batches(corpus(), 4, 8, seed=config.seed)
    assert all(torch.equal(x, batches.at(i)[0]) for i, x in enumerate(steps)) and len(steps) == 12
    assert records == result.records
    assert [r["sample"] for r in records if "sample" in r] == ["a text"] * 2
    first = next(r["val_loss"] for r in records if "val_loss" in r)
    assert states == [(4, first), (5, None), (10, None), (12, None)]  # the loss never improved again
    assert all(r["train_loss"] == 2.0 and r["grad_norm"] == 1.0 for r in records if "train_loss" in r)


class Spoilt(GPT):
    """A model whose logits are not finite at the given calls in training."""

    def __init__(self, at, value=math.nan):
        super().__init__(TINY, torch.Generator().manual_seed(0))
        self.at, self.value, self.calls = at, value, 0

    def forward(self, idx, cache=None):
        logits = super().forward(idx, cache)
        if self.training:
            self.calls += 1
            if self.calls in self.at:
                return logits * self.value
        return logits


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_without_finite_numbers_changes_nothing_and_is_named(value):
    spoilt, weights = Spoilt(at={3, 4, 9}, value=value), []
    keep = lambda record: weights.append([p.detach().clone() for p in spoilt.parameters()])  # noqa: E731
    result = train(spoilt, corpus(), corpus(), dataclasses.replace(CONFIG, eval_interval=0), logger=keep)
    skipped = [r for r in result.records if "skipped" in r]
    assert [r["step"] for r in skipped] == [3, 4, 9] and "step 3 is" in skipped[0]["skipped"]
    steps = [r["step"] for r in result.records if "val_loss" not in r]
    for before, after in ((2, 3), (3, 4), (8, 9)):
        pairs = zip(weights[steps.index(before)], weights[steps.index(after)], strict=True)
        assert all(torch.equal(p, q) for p, q in pairs)
    assert not all(
        torch.equal(p, q) for p, q in zip(weights[steps.index(4)], weights[steps.index(5)], strict=True)
    )
    assert math.isfinite(result.val_loss)


def test_too_many_such_steps_in_a_row_end_the_run():
    saved = []
    spoilt = Spoilt(at=set(range(5, 99)))
    message = "step 14 is nan, the gradient norm nan, 10 steps in a row: lower learning_rate.*batch 13"
    with pytest.raises(TrainingError, match=message):
        train(
            spoilt,
            corpus(),
            corpus(),
            dataclasses.replace(CONFIG, max_steps=30),
            checkpointer=lambda state, val_loss: saved.append(copy.deepcopy(state)),
        )
    assert [state.step for state in saved] == [4]
    assert all(p.isfinite().all() for p in saved[0].model.values())
    nine = train(Spoilt(at=set(range(5, 14))), corpus(), corpus(), dataclasses.replace(CONFIG, max_steps=30))
    assert sum("skipped" in r for r in nine.records) == 9 and nine.step == 30


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(value):
    saved = []

    def step_fn(trainer, x, y):
        return StepResult(torch.tensor(value if len(seen) == 5 else 2.0), torch.tensor(1.0))

    seen = []
    with pytest.raises(TrainingError, match=f"step 6 is {value}, the gradient norm 1: lower learning_rate"):
        train(
            model(),
            corpus(),
            corpus(),
            CONFIG,
            step_fn=step_fn,
            logger=lambda record: seen.append(record) if "train_loss" in record else None,
            checkpointer=lambda state, val_loss: saved.append(state.step),
        )
    assert saved == [4]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("at", [4, 5, 8])
def test_resuming_equals_the_uninterrupted_run_bit_for_bit(optimizer, at):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, checkpoint_interval=1)
    states = {}

    def keep(state, val_loss):
        states[state.step] = copy.deepcopy(state)

    whole_model = model(dropout=0.3)
    whole = train(whole_model, corpus(), corpus(100, 1), config, checkpointer=keep)
    torch.manual_seed(99)  # whatever the process did before
    resumed_model = model(dropout=0.3, seed=5)
    resumed = train(resumed_model, corpus(), corpus(100, 1), config, start=states[at])
    assert losses(resumed) == losses(whole)[at:]
    assert (resumed.val_loss, resumed.best_val_loss, resumed.best_step) == (
        whole.val_loss,
        whole.best_val_loss,
        whole.best_step,
    )
    for p, q in zip(whole_model.parameters(), resumed_model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_resuming_without_the_scalers_state_is_noticed(monkeypatch, caplog):
    monkeypatch.setattr("gptlib.trainer.choose_precision", lambda wanted, device: torch.float16)  # on a CPU
    states, config = [], dataclasses.replace(CONFIG, checkpoint_interval=1)
    train(
        model(), corpus(), corpus(), config, checkpointer=lambda state, _: states.append(copy.deepcopy(state))
    )
    assert states[0].scaler["scale"] > 0
    for scaler, said in ((states[0].scaler, ""), ({}, "the loss scale begins anew")):
        caplog.clear()
        config = dataclasses.replace(config, max_steps=2)
        train(model(), corpus(), corpus(), config, start=dataclasses.replace(states[0], scaler=scaler))
        assert said in caplog.text and bool(said) == bool(caplog.records)


@pytest.mark.parametrize("lost", ["rng", "optimizer", "step"])
def test_resuming_without_one_part_is_noticed(lost):
    states = {}
    config = dataclasses.replace(CONFIG, checkpoint_interval=1)
    whole = train(
        model(dropout=0.3),
        corpus(),
        corpus(),
        config,
        checkpointer=lambda state, _: states.update({state.step: copy.deepcopy(state)}),
    )
    fresh = Trainer(model(), config)
    other = {
        "rng": {"cpu": torch.Generator().get_state()},
        "optimizer": fresh.optimizer.state_dict(),
        "step": 4,
    }
    start = dataclasses.replace(states[5], **{lost: other[lost]})
    assert (
        losses(train(model(dropout=0.3), corpus(), corpus(), config, start=start))[-6:] != losses(whole)[-6:]
    )


def test_resuming_from_a_state_for_reading_is_an_error():
    states = []
    train(model(), corpus(), corpus(), CONFIG, checkpointer=lambda state, _: states.append(state))
    with pytest.raises(ValueError, match="no optimizer state"):
        train(model(), corpus(), corpus(), CONFIG, start=dataclasses.replace(states[0], optimizer=None))


@pytest.mark.parametrize(
    ("which", "length"), [("train", 0), ("train", 8), ("validation", 0), ("validation", 1)]
)
def test_too_short_a_text_is_an_error_before_the_first_step(which, length):
    short, steps = corpus()[:length], []
    texts = (short, corpus()) if which == "train" else (corpus(), short)
    with pytest.raises(ValueError, match=f"{length} .*tokens"):
        train(
            model(),
            *texts,
            CONFIG,
            step_fn=lambda *_: steps.append(1) or StepResult(torch.tensor(1.0), torch.tensor(1.0)),
        )
    assert not steps


def test_the_library_prints_nothing(capsys, caplog):
    with caplog.at_level(logging.INFO):
        train(model(), corpus(), corpus(), CONFIG)
    assert capsys.readouterr().out == ""


def test_a_run_that_is_asked_to_stop_keeps_its_state():
    saved = []

    class Stopped(Exception):
        pass

    with pytest.raises(Stopped):
        train(
            model(),
            corpus(),
            corpus(),
            dataclasses.replace(CONFIG, max_steps=50, eval_interval=0),
            checkpointer=lambda state, _: saved.append(state.step),
            stop=lambda step: Stopped() if step == 6 else None,
        )
    assert saved == [6]
