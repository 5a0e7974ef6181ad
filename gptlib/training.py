import contextlib
import dataclasses
import json
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gptlib.data import Batches
from gptlib.gpt import GPT, GPTConfig
from gptlib.loss import cross_entropy, evaluate
from gptlib.optimizer import AdamW, Muon, OptimizerPair, clip_grad_norm, cosine_schedule

@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. Lengths are in optimizer steps; an interval of 0 means never."""

    max_steps: int = 1000
    batch_size: int = 16  # windows per optimizer step
    micro_batch_size: int | None = None  # windows per forward pass; None: the whole batch at once
    learning_rate: float = 1e-3  # AdamW's, at the end of the warm-up
    min_learning_rate: float = 1e-4  # at the last step
    warmup_steps: int = 100
    weight_decay: float = 0.1  # on matrices only
    betas: tuple[float, float] = (0.9, 0.99)
    grad_clip: float = 1.0  # largest joint gradient norm; 0: no clipping
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_learning_rate: float = 0.02  # of the matrices inside the blocks, when optimizer is "muon"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    eval_interval: int = 200  # exact validation loss; also after the last step
    log_interval: int = 20
    sample_interval: int = 0
    checkpoint_interval: int = 0  # besides the checkpoint kept at every better validation loss
    seed: int = 1

    def __post_init__(self):
        for name in ("max_steps", "batch_size", "micro_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        for name in ("eval_interval", "log_interval", "sample_interval", "checkpoint_interval", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative; 0 means never or none")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0")
        if self.batch_size % (self.micro_batch_size or self.batch_size):
            raise ValueError(
                f"batch_size={self.batch_size} is not divisible by micro_batch_size={self.micro_batch_size}"
            )


@dataclass(frozen=True)
class RunConfig:
    """Everything that fixes a run besides the text: the tokenizer, the model, the training."""

    model: GPTConfig
    train: TrainConfig
    tokenizer: Literal["char", "bpe"] = "char"


PRESETS = {
    "char-cpu": RunConfig(
        GPTConfig(vocab_size=65, block_size=128, n_layer=4, n_head=4, n_embd=128),
        TrainConfig(max_steps=900, batch_size=16, learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=60,
                    optimizer="muon", eval_interval=300, sample_interval=300),
    ),
    "bpe-cpu": RunConfig(
        GPTConfig(vocab_size=1024, block_size=128, n_layer=4, n_head=4, n_embd=128),
        TrainConfig(max_steps=900, batch_size=16, learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=60,
                    optimizer="muon", eval_interval=300, sample_interval=300),
        tokenizer="bpe",
    ),
    "char-gpu": RunConfig(
        GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384, dropout=0.3),
        TrainConfig(max_steps=3000, batch_size=64, learning_rate=1e-3, min_learning_rate=1e-4, warmup_steps=100,
                    eval_interval=100, sample_interval=250, log_interval=10),
    ),
}

@dataclass(frozen=True)
class TrainState:
    """All that is needed to go on after `step` steps as if nothing had happened."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict | list | None
    rng: dict[str, Tensor]  # "cpu", and "cuda" on a GPU: the default generators, which dropout uses
    scaler: dict = field(default_factory=dict)
    best_val_loss: float = math.inf
    best_step: int = 0


@dataclass(frozen=True)
class TrainResult:
    """What a run came to. Losses in nats per token; `records` are the rows of metrics.jsonl."""

    step: int
    val_loss: float
    best_val_loss: float
    best_step: int
    seconds: float
    records: list[dict]


class TrainingError(RuntimeError):
    """A run that cannot go on; the message says at which step and why."""

def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of the forward pass: bf16 where the GPU truly computes in it, else fp16, and fp32 on a CPU.

    ValueError when a precision is asked for that the device cannot give.
    """
    if device.type != "cuda":
        if wanted == "fp16":
            raise ValueError("precision='fp16' needs a CUDA GPU: use 'auto' or 'fp32' on a CPU")
        return torch.bfloat16 if wanted == "bf16" else torch.float32
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bf16" and not has_bf16:
        raise ValueError(f"precision='bf16' is not supported by {torch.cuda.get_device_name()}: use 'auto' or 'fp16'")
    return {
        "auto": torch.bfloat16 if has_bf16 else torch.float16,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
        "fp32": torch.float32,
    }[wanted]


def make_optimizer(model: GPT, config: TrainConfig):
    """AdamW on all parameters, or Muon on the blocks' matrices and AdamW on the rest.

    Matrices and tables decay; biases and LayerNorm's vectors do not. Each group remembers its highest rate, `max_lr`.
    """
    named = dict(model.named_parameters())  # the tied table appears once
    inside = [p for name, p in named.items() if p.ndim == 2 and name.startswith("h.")]
    tables = [p for name, p in named.items() if p.ndim == 2 and not name.startswith("h.")]
    vectors = [p for p in named.values() if p.ndim < 2]
    muon = config.optimizer == "muon"
    lr = config.learning_rate
    adamw = AdamW(
        [
            {"params": tables if muon else tables + inside, "weight_decay": config.weight_decay, "max_lr": lr},
            {"params": vectors, "weight_decay": 0.0, "max_lr": lr},
        ],
        lr=lr,
        betas=config.betas,
    )
    if not muon:
        return adamw
    groups = [{"params": inside, "max_lr": config.muon_learning_rate}]
    return OptimizerPair(Muon(groups, lr=config.muon_learning_rate, weight_decay=config.weight_decay), adamw)


def set_learning_rate(optimizer, config: TrainConfig, step: int) -> float:
    """Give every group its rate for this step, in proportion to its own maximum; returns AdamW's."""
    rate = cosine_schedule(
        step,
        max_lr=config.learning_rate,
        min_lr=config.min_learning_rate,
        warmup_steps=config.warmup_steps,
        max_steps=config.max_steps,
    )
    for group in optimizer.param_groups:
        lr = rate / config.learning_rate * group["max_lr"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
    return rate

class Trainer:
    """The moving parts of one run: model, optimizer, precision. A step function gets it and one batch."""

    def __init__(self, model: GPT, config: TrainConfig):
        self.model, self.config = model, config
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(model, config)
        self.dtype = choose_precision(config.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def autocast(self):
        """The context in which a forward pass runs in this run's precision."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def predict(self, idx):
        """Logits for `idx`, in this run's precision."""
        with self.autocast():
            return self.model(idx)

    def state(self, step: int, best_val_loss: float, best_step: int) -> TrainState:
        """A snapshot that shares its tensors with the run: save it before the next step."""
        rng = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state(self.device)
        return TrainState(
            step, self.model.state_dict(), self.optimizer.state_dict(), rng, self.scaler.state_dict(), best_val_loss, best_step
        )

    def restore(self, state: TrainState) -> None:
        """Take up a state that an earlier run left; ValueError when it was saved for reading only."""
        if state.optimizer is None:
            raise ValueError("this checkpoint has no optimizer state: it was saved for reading, not for resuming")
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.scaler.load_state_dict(state.scaler)
        torch.set_rng_state(state.rng["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state.rng["cuda"], self.device)

def eager_step(trainer: Trainer, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """One optimizer step on x, y [B, T]: forward and backward per micro-batch, clip, update.

    Returns the mean loss and the gradient norm, both 0-d and still on the device.
    """
    config = trainer.config
    micro = config.micro_batch_size or len(x)
    parts = len(x) // micro
    total = torch.zeros((), device=x.device)
    trainer.optimizer.zero_grad()
    for part_x, part_y in zip(x.split(micro), y.split(micro), strict=True):
        loss = cross_entropy(trainer.predict(part_x), part_y) / parts  # the parts' means add up to the batch's mean
        trainer.scaler.scale(loss).backward()
        total += loss.detach()
    for optimizer in getattr(trainer.optimizer, "optimizers", [trainer.optimizer]):
        trainer.scaler.unscale_(optimizer)
    norm = clip_grad_norm(trainer.model.parameters(), config.grad_clip or math.inf)
    for optimizer in getattr(trainer.optimizer, "optimizers", [trainer.optimizer]):
        trainer.scaler.step(optimizer)
    trainer.scaler.update()
    return total, norm

def train(
    model: GPT,
    train_tokens,
    val_tokens,
    config: TrainConfig,
    *,
    step_fn=None,
    sample_fn=None,
    checkpointer=None,
    logger=None,
    start: TrainState | None = None,
) -> TrainResult:
    """Train `model` in place, on the device its parameters are on.

    step_fn(trainer, x, y) -> (loss, gradient norm): one optimizer step; `eager_step` unless another is given.
    sample_fn(model) -> str: called every sample_interval steps.
    checkpointer(state, val_loss): called when the validation loss improved (val_loss given), every
    checkpoint_interval steps and at the end (val_loss None).
    logger(record): one dict per event; see MetricsLog.
    start: a TrainState to go on from.
    """
    trainer = Trainer(model, config)
    train_tokens = torch.as_tensor(train_tokens).to(trainer.device)
    val_tokens = torch.as_tensor(val_tokens).to(trainer.device)
    if len(val_tokens) < 2:
        raise ValueError(f"{len(val_tokens)} validation tokens: at least two are needed; take a longer text")
    batches = Batches(train_tokens, config.batch_size, model.config.block_size, seed=config.seed)
    step_fn = step_fn or eager_step
    run = Recorder(logger)
    best_val_loss, best_step, first = math.inf, 0, 0
    if start is None:
        torch.manual_seed(config.seed)  # dropout's generator
    else:
        trainer.restore(start)
        best_val_loss, best_step, first = start.best_val_loss, start.best_step, start.step

    model.train()
    val_loss = math.nan
    bar = tqdm(range(first, config.max_steps), initial=first, total=config.max_steps, desc="training", unit="step")
    for step in bar:
        rate = set_learning_rate(trainer.optimizer, config, step)
        loss, norm = step_fn(trainer, *batches.at(step))
        done, last = step + 1, step + 1 == config.max_steps
        if due(done, config.log_interval, last):
            record = run.progress(done, loss, norm, rate, config.batch_size * model.config.block_size)
            if not math.isfinite(record["train_loss"]):
                raise TrainingError(f"the loss at step {done} is {record['train_loss']}: lower the learning rate or use fp32")
            bar.set_postfix(loss=f"{record['train_loss']:.3f}", val=f"{val_loss:.3f}")
        if due(done, config.eval_interval, last):
            val_loss = evaluate_in(trainer, val_tokens)
            run.record(step=done, val_loss=val_loss)
            if val_loss < best_val_loss:
                best_val_loss, best_step = val_loss, done
                if checkpointer:
                    checkpointer(trainer.state(done, best_val_loss, best_step), val_loss)
        if sample_fn and due(done, config.sample_interval, last and config.sample_interval > 0):
            run.record(step=done, sample=sample_fn(model))
        if checkpointer and due(done, config.checkpoint_interval, last):
            checkpointer(trainer.state(done, best_val_loss, best_step), None)
    return TrainResult(config.max_steps, val_loss, best_val_loss, best_step, run.seconds(), run.records)


def due(step: int, interval: int, last: bool) -> bool:
    """Whether something that happens every `interval` steps, and after the last, happens now."""
    return last or (interval > 0 and step % interval == 0)


def evaluate_in(trainer: Trainer, tokens: Tensor) -> float:
    """Exact loss on `tokens` in the run's precision, in eval mode."""
    trainer.model.eval()
    loss = evaluate(trainer.predict, tokens, trainer.model.config.block_size)
    trainer.model.train()
    return loss

class Recorder:
    """Collects the records of a run, with the seconds since its start, and hands each to the logger."""

    def __init__(self, logger=None):
        self.logger, self.records = logger, []
        self.began = self.last_time = time.perf_counter()
        self.last_step = None

    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began

    def record(self, **values) -> dict:
        """Add a row: `step`, and what happened at it."""
        row = {"step": values.pop("step"), "seconds": round(self.seconds(), 3), **values}
        self.records.append(row)
        if self.logger:
            self.logger(row)
        return row

    def progress(self, step: int, loss: Tensor, norm: Tensor, rate: float, tokens_per_step: int) -> dict:
        """Add a row on training itself. Reading the loss waits for the device, so this is done every few steps."""
        values = dict(train_loss=loss.item(), learning_rate=rate, grad_norm=norm.item())
        now = time.perf_counter()
        if self.last_step is not None:
            values["tokens_per_second"] = round((step - self.last_step) * tokens_per_step / (now - self.last_time))
        self.last_step, self.last_time = step, now
        return self.record(step=step, **values)


class MetricsLog:
    """Writes a run's records into `metrics.jsonl`, and its samples into `samples.txt`, as they happen."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, record: dict) -> None:
        if "sample" in record:
            with open(self.folder / "samples.txt", "a", encoding="utf-8") as file:
                file.write(f"--- step {record['step']} ---\n{record['sample']}\n\n")
        else:
            with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
