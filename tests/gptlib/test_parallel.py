"""Several processes train the model of one: on gloo, started as torchrun starts them.

Two processes; four, and forty kills, under `make stress`, which `make full` runs.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from small_run import STRESS

from gptlib.checkpoint import checkpoints_in
from gptlib.exercises.processes import run_processes, write_program
from gptlib.files import DATA
from gptlib.ranks import launched
from gptlib.scale import owners

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and torchrun's store are not on Windows"),
]

PROOF = '''
import copy, dataclasses, json, sys
import torch
from gptlib.batched import batched_optimizer
from gptlib.config import TrainConfig
from gptlib.gpt import GPT, GPTConfig
from gptlib.kernels import fused_kernels
from gptlib.loss import evaluate
from gptlib.parallel import FSDP, DataParallel
from gptlib.ranks import Ranks
from gptlib.speed import whole_step
from gptlib.training import train

ranks = Ranks("cpu", 60)
SHAPE = GPTConfig(11, 8, 2, 2, 16)
TOKENS, VAL = (torch.randint(0, 11, (n,), generator=torch.Generator().manual_seed(n)) for n in (400, 137))
HOW = TrainConfig(50, 16, 2, warmup_steps=3, grad_clip=0.3, eval_interval=10, log_interval=1)
HOW = dataclasses.replace(HOW, precision="fp32")


def trained(kind, dtype=torch.float64, start=None, step_fn=None, **changes):
    """Weights, records and checkpoints, alone or together; each on a fresh model."""
    torch.set_default_dtype(dtype)
    config, kept = dataclasses.replace(HOW, **changes), []
    dropout = changes and config.seed == 9
    shape = dataclasses.replace(SHAPE, dropout=0.2 if dropout else 0.0)
    model = GPT(shape, torch.Generator().manual_seed(0)).to(dtype)
    plugs = dict(optimizer_fn=batched_optimizer, checkpointer=lambda s, loss: kept.append(copy.deepcopy(s)))
    parallel = {"one": None, "dp": DataParallel, "fsdp": FSDP}[kind]
    if parallel:
        parallel = parallel(ranks)
        model = parallel.prepare(model, config)
        plugs = parallel.plugs(**plugs)
        start = start and parallel.part(start, config.seed)
    if kind == "fsdp":
        step_fn = parallel.step
    result = train(model, TOKENS, VAL, config, **plugs | dict(start=start, step_fn=step_fn))
    weights = [(p.full_tensor() if hasattr(p, "full_tensor") else p).detach() for p in model.parameters()]
    return weights, result.records, kept


def apart(one, other):
    return max((a - b).abs().max().item() for a, b in zip(one[0], other[0], strict=True))


def losses_apart(one, other):
    keys = ("train_loss", "val_loss", "grad_norm")
    return max(abs(a[k] - b[k]) for a, b in zip(one[1], other[1]) for k in keys if k in a)


def with_kernels(trainer, x, y):
    with fused_kernels(trainer.model, trainer.optimizer):
        return whole_step(trainer, x, y)


def from_first(states):
    """Process 0's checkpoints, for all."""
    return ranks.objects(states)[0]


found = {}
one = trained("one")
for kind in ("dp", "fsdp"):
    together = trained(kind)
    found[kind] = [apart(one, together), losses_apart(one, together)]
    state = next(s for s in from_first(together[2]) if s.step < 50)
    for then in ("one", "dp", "fsdp"):  # a checkpoint of n processes goes on on 1, or on n, either way
        found[f"{kind} then {then}"] = [apart(one, trained(then, start=copy.deepcopy(state))), 0]
state = next(s for s in one[2] if s.step < 50)
found["one then dp"] = [apart(one, trained("dp", start=copy.deepcopy(state))), 0]
plain = dict(grad_clip=0, micro_batch_size=None)
bits = [trained("fsdp", torch.float32, **plain), trained("dp", torch.float32, step_fn=with_kernels, **plain)]
found["bitwise"] = apart(*bits)
noisy = trained("dp", seed=9)
state = next(s for s in from_first(noisy[2]) if s.step < 50)
found["dropout"] = apart(noisy, trained("dp", start=state, seed=9))
if ranks.rank == 0:
    print(json.dumps(found))
ranks.close()
'''


@pytest.mark.stress
@pytest.mark.parametrize("n", [2, 4, 8] if STRESS else [2])
def test_n_processes_train_the_model_of_one(tmp_path, monkeypatch, n):
    """Float64, 50 steps, accumulation, clipping; FSDP2; checkpoints of n processes on m; dropout resumes."""
    monkeypatch.setattr("gptlib.exercises.processes.LONGEST", 900)  # eight share the cores there are
    found = json.loads(run_processes(write_program(tmp_path, "proof", [], PROOF), n)[0])
    for name, (weights, losses) in ((k, v) for k, v in found.items() if isinstance(v, list)):
        assert weights < 1e-12 and losses < 1e-12, name
    assert found["dropout"] == 0
    assert found["bitwise"] == 0 or n > 2


SILENT = """
import sys
import torch
from gptlib.data import Batches
from gptlib.config import TrainConfig
from gptlib.gpt import GPT, GPTConfig
from gptlib.parallel import DataParallel
from gptlib.ranks import RankError, Ranks
from gptlib.trainer import StepResult, eager_step
from gptlib.training import train

ranks = Ranks("cpu", 60)


def forgetful(trainer, x, y):
    trainer.average = lambda loss: loss
    return eager_step(trainer, x, y)


parallel = DataParallel(ranks)
tokens = torch.randint(0, 11, (400,), generator=torch.Generator().manual_seed(0))
model = parallel.prepare(GPT(GPTConfig(11, 8, 1, 1, 8), torch.Generator().manual_seed(0)), None)
try:
    train(model, tokens, tokens, TrainConfig(4, 4, precision="fp32"), step_fn=forgetful, parallel=parallel)
    print("nothing")
except RankError as error:
    print(error)
ranks.close()
"""


def test_a_step_that_does_not_average_is_noticed(tmp_path):
    for said in run_processes(write_program(tmp_path, "silent", [], SILENT), 2):
        assert "different weights: a step of your own has to call trainer.average" in said


def test_owners_are_balanced():
    params = [torch.zeros(n) for n in (6, 5, 3, 2)]
    assert owners(params, 2) == [0, 1, 1, 0] and owners(params, 1) == [0] * 4
    many = [torch.zeros(n % 17 + 1) for n in range(100)]
    loads = [sum(p.numel() for p, o in zip(many, owners(many, 4), strict=True) if o == r) for r in range(4)]
    assert max(loads) - min(loads) <= 17


def test_a_process_alone_is_not_launched(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not launched()


# --- the command under torchrun

SMALL = ["--preset", "char-cpu", "--device", "cpu", "--model.n-layer", "1", "--model.n-embd", "32"]
SMALL += [
    "--model.block-size",
    "32",
    "--train.log-interval",
    "10",
    "--text",
    str(DATA / "plays" / "input.txt"),
]
SMALL += ["--train.eval-interval", "40", "--train.checkpoint-interval", "10", "--train.precision", "fp32"]
CLEAN = {k: v for k, v in os.environ.items() if k not in ("GPTLIB_CHECK_SHAPES", "GPTLIB_MINE")}
CLEAN |= {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def torchrun(n, *words, restarts=0):
    """The command line that starts n processes."""
    how = ["--standalone", "--nproc_per_node", str(n), "--max-restarts", str(restarts)]
    return [sys.executable, "-m", "torch.distributed.run", *how, "-m", "gptlib", *words]


def said_by(command, folder):
    done = subprocess.run(command, cwd=folder, env=CLEAN, capture_output=True, text=True, timeout=180)
    return done.returncode, [
        line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error:")
    ]


BAD = [
    (3, [], "batch_size=16 cannot be shared out among 3 processes: take --train.batch-size 18"),
    (2, ["--shards", "missing"], "--text and --shards are two texts"),
    (2, ["--fsdp"], "optimizer='muon' needs whole matrices"),
    (2, ["--timeout", "0"], "timeout=0.0 must be a number of seconds above 0"),
]


@pytest.mark.stress
@pytest.mark.parametrize(("n", "words", "complaint"), BAD if STRESS else BAD[:1])
def test_bad_input_is_one_line_of_one_process(tmp_path, n, words, complaint):
    code, lines = said_by(torchrun(n, "train", *SMALL, *words, "--out", "run"), tmp_path)
    assert code and len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()


def test_fsdp_alone_is_refused(tmp_path):
    code, lines = said_by([sys.executable, "-m", "gptlib", "train", *SMALL, "--fsdp"], tmp_path)
    assert code == 2 and lines == [
        "error: --fsdp needs several processes: torchrun --nproc_per_node N -m gptlib train …"
    ]


def test_more_processes_than_gpus_and_no_nccl_are_refused(monkeypatch):
    from gptlib import ranks

    monkeypatch.setattr(ranks, "choose_device", lambda wanted: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes, but this machine has 2 GPUs: --nproc_per_node 2"):
        ranks.device_of_this_process("auto")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(ranks.dist, "is_nccl_available", lambda: False)
    with pytest.raises(ValueError, match="this PyTorch has no NCCL"):
        ranks.device_of_this_process("auto")


def start(folder, n, *words, restarts=0):
    """Start a training; its output goes to a file."""
    with open(folder / "said.txt", "w", encoding="utf-8") as file:
        command = torchrun(n, "train", *SMALL, *words, "--out", "run", restarts=restarts)
        return subprocess.Popen(command, cwd=folder, env=CLEAN, stdout=file, stderr=file)


def workers(folder) -> list[int]:
    """The process ids of the training's processes, by their rank."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environ = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
            here = os.readlink(f"/proc/{entry}/cwd") == str(folder.resolve())
        except OSError:
            continue
        if here and b"RANK" in environ and b"TORCHELASTIC_RUN_ID" in environ:
            found[int(environ[b"RANK"])] = int(entry)
    return [found[rank] for rank in sorted(found)]


def until(what, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc"), reason="it looks for processes in /proc")


@needs_proc
def test_a_killed_process_is_named_and_the_run_goes_on_on_one(tmp_path):
    process = start(tmp_path, 2, "--train.max-steps", "5000")
    until(lambda: checkpoints_in(tmp_path / "run"))
    os.kill(workers(tmp_path)[1], signal.SIGKILL)
    assert process.wait(60)
    lines = [
        line
        for line in (tmp_path / "said.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("error:")
    ]
    assert len(lines) == 1 and "process 1 of 0 … 1 no longer answers" in lines[0]
    step = int(checkpoints_in(tmp_path / "run")[-1].name.removeprefix("step_"))
    words = ["resume", "run", "--device", "cpu", "--train.max-steps", str(step + 20)]
    done = subprocess.run(
        [sys.executable, "-m", "gptlib", *words], cwd=tmp_path, env=CLEAN, capture_output=True, text=True
    )
    assert done.returncode == 0 and "1 processes from here on, it was 2" in done.stdout


@needs_proc
def test_a_process_that_hangs_is_named(tmp_path):
    process = start(tmp_path, 2, "--train.max-steps", "5000", "--timeout", "4")
    until(lambda: checkpoints_in(tmp_path / "run"))
    stopped = workers(tmp_path)[1]
    os.kill(stopped, signal.SIGSTOP)
    assert process.wait(90)
    lines = [
        line
        for line in (tmp_path / "said.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("error:")
    ]
    assert len(lines) == 1 and "process 1 of 0 … 1 hangs" in lines[0]


@needs_proc
@pytest.mark.stress
@pytest.mark.parametrize("number", range(40 if STRESS else 1))
def test_torchrun_starts_a_killed_run_again(tmp_path, number):
    """A random process, at a random moment; the losses are those of a run that nobody killed."""
    choice = random.Random(number)
    process = start(tmp_path, 2, "--train.max-steps", "120", restarts=3)
    until(lambda: (tmp_path / "run" / "metrics.jsonl").exists() or len(workers(tmp_path)) == 2)
    time.sleep(choice.uniform(0, 3))
    if len(alive := workers(tmp_path)) == 2 and process.poll() is None:
        os.kill(alive[choice.randrange(2)], signal.SIGKILL)
    assert process.wait(150) == 0, (tmp_path / "said.txt").read_text(encoding="utf-8")[-2000:]
    rows = [
        json.loads(line)
        for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    steps = [row["step"] for row in rows if "train_loss" in row]
    assert steps == [1, *range(10, 121, 10)]
    assert checkpoints_in(tmp_path / "run")[-1].name == "step_000120"
