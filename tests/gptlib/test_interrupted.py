"""A run that is killed again and again reads afterwards as if it had never stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import STRESS, folders_in

from gptlib.checkpoint import latest_checkpoint, load_checkpoint
from gptlib.runs import read_records, read_samples

needs_sigkill = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has neither fork nor SIGKILL"
)

# Trains a small run in forked processes. `kills` of them are killed at a random moment; then one ends it.
KILLED_AND_RESUMED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from gptlib import cli
from gptlib.commands import job, ladder, sample

text, folder, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
small = "--model.n-layer 1 --model.n-embd 16 --model.n-head 2 --model.block-size 16 --model.dropout 0.1"
every = "--train.max-steps 200 --train.batch-size 4 --train.warmup-steps 5 --train.log-interval 3"
often = "--train.eval-interval 20 --train.sample-interval 15 --train.checkpoint-interval 4"
begin = ["train", "--text", text, "--out", str(folder), *f"{small} {every} {often}".split()]
on = ["resume", str(folder)]
ladder.own_ladder = lambda *texts: {}  # takes longer than the run, and so do samples of hundreds of tokens
job.sample_text = lambda model, tokenizer, length, seed: sample.sample_text(model, tokenizer, 20, seed)

def work(command, output):
    sys.stdout = sys.stderr = open(output, "w", encoding="utf-8")
    code = cli.main(command)
    sys.stdout.flush()
    os._exit(code)

dice, killed = random.Random(sys.argv[4]), 0
for number in range(kills + 1):
    command = on if (folder / "config.json").exists() else begin
    output = f"{folder}.{number}.txt"
    child = os.fork()
    if child == 0:
        work(command, output)
    if number < kills:
        time.sleep(dice.uniform(0.05, 0.25))
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = open(output, encoding="utf-8").read()
    assert status in (0, 2, -9), (status, said)
    assert status != 2 or "is at its last step" in said, said
    killed += status == -signal.SIGKILL
    if status == 2:
        break
print(killed)
"""


def run(tmp_path, name: str, kills: int) -> tuple[Path, int]:
    """The folder of a run, and how many of its processes were killed."""
    folder = tmp_path / name
    (tmp_path / "text.txt").write_text(
        "Peter Piper picked a peck of pickled peppers.\n" * 60, encoding="utf-8"
    )
    command = [sys.executable, "-c", KILLED_AND_RESUMED, tmp_path / "text.txt", folder, str(kills), name]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "GPTLIB_CHECK_SHAPES": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, int(done.stdout)


def without_clock(records: list[dict]) -> list[dict]:
    return [{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in records]


@pytest.mark.slow
@needs_sigkill
@pytest.mark.stress
def test_a_run_that_was_killed_reads_as_if_it_had_never_stopped(tmp_path):
    (whole, _), number, total = run(tmp_path, "whole", 0), 0, 0
    while total < (200 if STRESS else 12):
        number += 1
        killed, kills = run(tmp_path, f"killed-{number}", 40 if STRESS else 15)
        total += kills
        assert_same_run(killed, whole)
    print(total, "kills in", number, "runs")


def assert_same_run(killed: Path, whole: Path) -> None:
    assert without_clock(read_records(killed)) == without_clock(read_records(whole))
    assert read_samples(killed) == read_samples(whole) and len(read_samples(whole)) >= 13
    seconds = [record["seconds"] for record in read_records(killed)]
    assert seconds == sorted(seconds)
    a, b = (load_checkpoint(latest_checkpoint(folder)).state for folder in (whole, killed))
    assert a.step == b.step == 200 and (a.best_step, a.best_val_loss) == (b.best_step, b.best_val_loss)
    for name, tensor in a.model.items():
        assert tensor.equal(b.model[name]), name
    names = {"checkpoints", "config.json", "ladder.json", "metrics.jsonl", "samples.txt"}
    assert {path.name for path in killed.iterdir()} == names
    assert folders_in(killed) == folders_in(whole)
    settings = [json.loads((f / "config.json").read_text(encoding="utf-8")) for f in (killed, whole)]
    assert settings[0] == settings[1]
