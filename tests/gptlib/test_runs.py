"""What a run leaves and needs: the log, signals, advice."""

import dataclasses
import errno
import io
import json
import re
import signal
import threading

import pytest
import torch
from small_run import CONFIG, trained

from gptlib.runs import (
    MetricsLog,
    StopSignals,
    read_records,
    read_samples,
    with_memory_advice,
)
from gptlib.trainer import eager_step
from gptlib.training import TrainingError

# --- the log


def test_metrics_log(tmp_path):
    log = MetricsLog(tmp_path / "deep" / "run")
    log({"step": 1, "seconds": 0.5, "train_loss": 2.5})
    log({"step": 2, "seconds": 0.7, "sample": "ROMEO:\nAy me"})
    log({"step": 2, "seconds": 0.8, "val_loss": 2.25})
    rows = [
        json.loads(line)
        for line in (tmp_path / "deep" / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert rows == [
        {"step": 1, "seconds": 0.5, "train_loss": 2.5},
        {"step": 2, "seconds": 0.8, "val_loss": 2.25},
    ]
    samples = (tmp_path / "deep" / "run" / "samples.txt").read_text(encoding="utf-8")
    assert "step 2" in samples and "ROMEO:\nAy me" in samples


def test_a_run_that_goes_on_takes_out_what_comes_again(tmp_path):
    """Records and samples of later steps, and a line that was cut off; the seconds go on."""
    log = MetricsLog(tmp_path)
    for step in (1, 2, 3):
        log({"step": step, "seconds": 0.5 * step, "train_loss": 4.0 - step})
        log({"step": step, "seconds": 0.5 * step, "sample": f"text {step}"})
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 4, "secon')
    again = MetricsLog(tmp_path, start=2)
    assert [record["step"] for record in read_records(tmp_path)] == [1, 2]
    assert read_samples(tmp_path) == [(1, "text 1\n\n"), (2, "text 2\n\n")]
    again({"step": 3, "seconds": 0.25, "train_loss": 1.0})
    assert read_records(tmp_path)[-1] == {"step": 3, "seconds": 1.25, "train_loss": 1.0}


def test_a_log_that_cannot_be_written_does_not_end_a_run(tmp_path, caplog, monkeypatch):
    log = MetricsLog(tmp_path)
    log({"step": 1, "train_loss": 4.0})

    class FullDisk(io.FileIO):
        def write(self, content):
            super().write(content[:5])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(
            "builtins.open", lambda path, *_, **__: io.TextIOWrapper(FullDisk(path, "a"), write_through=True)
        )
        log({"step": 2, "train_loss": 3.0})
    (record,) = caplog.records
    message = record.getMessage()
    assert re.search(
        r"47 characters for .*metrics.jsonl are lost, training goes on: .*No space left", message
    )
    log({"step": 3, "train_loss": 2.0})
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert steps == [1, 3]  # and no half line between them


# --- memory


@pytest.mark.parametrize(
    "batch, micro, advice",
    [
        (64, None, "with 64 windows of 8 tokens at once: set micro_batch_size=32: 2 of them"),
        (64, 16, "with 16 windows of 8 tokens at once: set micro_batch_size=8: 8 of them"),
        (15, None, "with 15 windows of 8 tokens at once: set micro_batch_size=5: 3 of them"),
        (7, None, "set micro_batch_size=1: 7 of them make the same batch of 7"),
        (4, 1, "with 1 windows of 8 tokens at once: lower block_size=8 or n_layer=2"),
    ],
)
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not enough memory: you tried")]
)
def test_out_of_memory_proposes_what_fits(batch, micro, advice, error):
    def step_fn(trainer, x, y):
        raise error

    config = dataclasses.replace(CONFIG, batch_size=batch, micro_batch_size=micro)
    with pytest.raises(TrainingError, match=f"^out of memory .*{advice}"):
        trained(config, step_fn=with_memory_advice(step_fn))


def test_other_errors_stay_what_they_are():
    def step_fn(trainer, x, y):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="^shapes differ$"):
        trained(step_fn=with_memory_advice(step_fn))


# --- signals


@pytest.mark.parametrize("number, error", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_asked_to_stop_it_ends_the_step_and_saves(number, error):
    saved, calls, before = [], [], signal.getsignal(number)

    def step_fn(trainer, x, y):
        calls.append(trainer)
        if len(calls) == 3:
            signal.raise_signal(number)
        return eager_step(trainer, x, y)

    with StopSignals() as stop, pytest.raises(error) as raised:
        trained(checkpointer=lambda state, _: saved.append(state.step), step_fn=step_fn, stop=stop)
    assert saved == [3] and signal.getsignal(number) is before
    assert raised.value.args == ((143,) if error is SystemExit else ("stopped after step 3",))


def test_a_second_signal_acts_at_once():
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a process in the background may ignore it
    try:
        with pytest.raises(KeyboardInterrupt), StopSignals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_no_signal_is_noted():
    results = []

    def work():
        with StopSignals() as stop:
            results.append(trained(stop=stop)[0].step)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [CONFIG.max_steps]
