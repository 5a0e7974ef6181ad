"""Training on several processes: what plugs into `train`, data parallel or with FSDP2."""

import dataclasses
import math
from types import SimpleNamespace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from .data import Batches
from .gpt import GPT
from .kernels import fused_kernels
from .loss import evaluate
from .ranks import RankError, Ranks
from .speed import loss_of
from .trainer import StepResult, Trainer, TrainState, choose_precision, make_optimizer


class DataParallel:
    """Plugs into `train(parallel=…)`: each process has the whole model and takes its slice of each batch."""

    def __init__(self, ranks: Ranks):
        self.ranks = ranks

    # --- before the first step

    def prepare(self, model: GPT, config) -> GPT:
        """The model of this process, on its device, with the weights of process 0."""
        model = model.to(self.ranks.device)
        for p in model.parameters():
            self.ranks.broadcast(p.data, 0)
        return model

    def optimizer(self, optimizer_fn=None):
        """What makes this process's optimizer."""
        return optimizer_fn or make_optimizer

    def part_of(self, batches: Batches) -> Batches:
        """The Batches of this process: its slice of each batch."""
        place = dict(seed=batches.seed, rank=self.ranks.rank, world_size=self.ranks.world_size)
        return Batches(batches.tokens, batches.batch_size, batches.block_size, **place)

    def seed(self, seed: int) -> None:
        """Seed this process's dropout: as alone on process 0, differently on each other one."""
        torch.manual_seed((seed + self.ranks.rank * 0x9E3779B97F4A7C15) % 2**64)

    def plugs(self, optimizer_fn=None, checkpointer=None, stop=None, start=None, logger=None) -> dict:
        """The arguments of `train`, as this process needs them; `start` is its part already."""
        found = dict(parallel=self, optimizer_fn=self.optimizer(optimizer_fn), start=start, logger=logger)
        return found | dict(checkpointer=self.checkpointer(checkpointer), stop=stop and self.stop(stop))

    # --- in each step

    def average(self, trainer: Trainer, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Make the gradients their mean over all processes, in one message; returns the mean loss."""
        params = [p for p in trainer.model.parameters() if p.grad is not None]
        flat = torch.cat([*(p.grad.flatten() for p in params), loss.flatten()])
        self.ranks.all_mean(flat)
        *grads, loss = flat.split([*(p.numel() for p in params), 1])
        for p, grad in zip(params, grads, strict=True):
            p.grad = grad.view_as(p)  # a view: nothing is copied back
        return loss.view(())

    def stop(self, stop):
        """For `train(stop=…)`: all processes end after the same step, whichever got the signal."""

        def stop_together(step: int) -> BaseException | None:
            reason = stop(step)
            code = 0 if reason is None else 1 if isinstance(reason, KeyboardInterrupt) else 2
            found = self.ranks.largest(code)
            if not found:
                return None
            return reason or (KeyboardInterrupt(f"stopped after step {step}") if found == 1 else SystemExit(143))

        return stop_together

    def evaluate(self, model, tokens, block_size: int, batch_size: int) -> float:
        """As `evaluate`: each process takes its share of the windows, the sums are added in the order of the text."""
        rank, n, total = self.ranks.rank, self.ranks.world_size, len(tokens) - 1
        self.must_agree(model)
        span = block_size * min(batch_size, max(1, math.ceil(total / block_size / n)))
        ends = [*range(0, total - total % block_size, span), total - total % block_size, total]
        pieces = [(start, end) for start, end in zip(ends, ends[1:]) if start < end]  # one forward pass each
        sums = torch.zeros(len(pieces), dtype=torch.float64)
        for first in range(0, len(pieces), n):
            self.ranks.watch.tick()
            number = first + rank
            start, end = pieces[number if number < len(pieces) else 0]  # FSDP: all must compute equally often
            loss = evaluate(model, tokens[start : end + 1], block_size, batch_size)
            if number < len(pieces):
                sums[number] = loss * (end - start)
        self.ranks.all_reduce(sums)  # zeros of the others change nothing
        return sum(sums.tolist()) / total

    def must_agree(self, model) -> None:
        """RankError unless all processes have the same weights."""
        model = getattr(model, "__self__", model)  # of a method of Trainer
        model = getattr(model, "plain", model)
        if not isinstance(model, nn.Module):
            return
        sums = self.ranks.objects([p.sum(dtype=torch.float64).item() for p in model.parameters()])
        if any(other != sums[0] for other in sums):
            raise RankError("the processes have different weights: a step of your own has to call trainer.average")

    # --- around checkpoints

    def checkpointer(self, checkpointer):
        """For `train(checkpointer=…)`: all processes give their part, process 0 writes."""

        def keep(state: TrainState, val_loss: float | None) -> None:
            state = self.whole(state)
            if self.ranks.rank == 0:
                checkpointer(state, val_loss)

        return keep

    def whole(self, state: TrainState) -> TrainState:
        """A state with the generators of all processes: those of process 3 are named "cpu 3" and so on."""
        rng = dict(state.rng)
        for rank, other in enumerate(self.ranks.objects(state.rng)):
            rng |= {f"{kind} {rank}": t for kind, t in other.items()} if rank else {}
        return dataclasses.replace(state, rng=rng)

    def part(self, state: TrainState, seed: int) -> TrainState:
        """This process's part of a whole state, also of a run with another number of processes."""
        rank = self.ranks.rank
        own = {k.split()[0]: t for k, t in state.rng.items() if k.split()[1:] == ([str(rank)] if rank else [])}
        if not own:
            self.seed(seed + state.step)
            own = {"cpu": torch.get_rng_state()}
            if self.ranks.device.type != "cpu":
                own[self.ranks.device.type] = torch.get_device_module(self.ranks.device).get_rng_state()
        return dataclasses.replace(state, rng=own)


class FSDP(DataParallel):
    """Plugs into `train(parallel=…)`: each process keeps a slice of all weights, gradients and optimizer state.

    PyTorch's FSDP2 gathers the weights of one block at a time. `step` is for `train(step_fn=…)`, `optimizer()`
    for `train(optimizer_fn=…)`.
    """

    def prepare(self, model: GPT, config) -> GPT:
        if config.optimizer != "adamw":
            raise ValueError(f"optimizer={config.optimizer!r} needs whole matrices: take adamw, or leave --fsdp out")
        device, dtype = self.ranks.device, choose_precision(config.precision, self.ranks.device)
        if dtype == torch.float16:
            raise ValueError("precision='fp16' is not offered with --fsdp: take bf16 or fp32")
        for p in model.parameters():
            self.ranks.broadcast(p.data, 0)
        self.mesh = init_device_mesh(device.type, (self.ranks.world_size,))
        # the products are in `dtype` anyway, so that the weights travel in it, too
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        how = {"mesh": self.mesh} | ({"mp_policy": policy} if dtype != torch.float32 else {})
        for block in model.h:  # moved to the device and cut up one after the other: it never lies there whole
            fully_shard(block, **how)
        fully_shard(model, **how)
        register_fsdp_forward_method(model, "hidden")
        self.sharded = list(model.parameters())
        self.slices = [nn.Parameter(p.to_local().detach()) for p in self.sharded]  # the same memory
        return model

    def optimizer(self, optimizer_fn=None):
        """What makes an optimizer of this process's slices."""

        def make(model: GPT, config):
            optimizer = (optimizer_fn or make_optimizer)(SimpleNamespace(parameters=lambda: self.slices), config)
            whole = {id(own): p for own, p in zip(self.slices, self.sharded, strict=True)}
            self.moved = [whole[id(p)] for group in optimizer.param_groups for p in group["params"]]  # in its order
            return optimizer

        return make

    def average(self, trainer: Trainer, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The mean loss; FSDP2 has made the gradients their mean."""
        loss = loss.reshape(1)
        self.ranks.all_mean(loss)
        return loss.view(())

    def step(self, trainer: Trainer, x: Int[Tensor, "B T"], y: Int[Tensor, "B T"]) -> StepResult:
        """One optimizer step: micro-batches, the norm over all slices, clip, update."""
        config = trainer.config
        micro, total = config.micro_batch_size or len(x), torch.zeros((), device=x.device)
        trainer.model.zero_grad()
        with fused_kernels(trainer.model, trainer.optimizer):
            for part_x, part_y in zip(x.split(micro), y.split(micro), strict=True):
                loss = loss_of(trainer, part_x, part_y) * (len(part_x) / len(x))  # its share of the mean
                loss.backward()
                total += loss.detach()
            total = trainer.average(total)
            grads = [p.grad.to_local() for p in self.sharded]
            squares = torch.stack(torch._foreach_norm(grads)).square().sum()
            self.ranks.all_reduce(squares)
            norm = squares.sqrt()
            torch._foreach_mul_(grads, ((config.grad_clip or math.inf) / (norm + 1e-6)).clamp(max=1.0))
            for own, grad in zip(self.slices, grads, strict=True):
                own.grad = grad
            updated = bool((total + norm).isfinite())
            if updated:
                trainer.optimizer.step()
        return StepResult(total, norm, updated)

    def must_agree(self, model) -> None:
        """No two processes have the same slices."""

    # --- around checkpoints

    def whole(self, state: TrainState) -> TrainState:
        """A state as one process would have it, in the memory of the CPU."""
        state, moments = super().whole(state), {}
        model = {name: weight.full_tensor().cpu() for name, weight in state.model.items()}
        for i, own in state.optimizer["state"].items():
            like = self.moved[i]
            moments[i] = {name: self.gathered(t, like).cpu() if t.ndim else t for name, t in own.items()}
        return dataclasses.replace(state, model=model, optimizer={**state.optimizer, "state": moments})

    def gathered(self, own: Tensor, like: DTensor) -> Tensor:
        """The whole of a tensor that is cut up as a parameter is."""
        place = dict(device_mesh=self.mesh, placements=like.placements, shape=like.shape, stride=like.stride())
        return DTensor.from_local(own, run_check=False, **place).full_tensor()

    def part(self, state: TrainState, seed: int) -> TrainState:
        """This process's slices of a whole state."""
        state, moments = super().part(state, seed), {}
        model = {name: self.cut_up(t) for name, t in state.model.items()}
        for i, whole in state.optimizer["state"].items():
            moments[i] = {name: self.cut_up(t).to_local() if t.ndim else t for name, t in whole.items()}
        return dataclasses.replace(state, model=model, optimizer={**state.optimizer, "state": moments})

    def cut_up(self, whole: Tensor) -> DTensor:
        """A whole tensor, cut up along its first dimension, as FSDP2 does with the weights."""
        return distribute_tensor(whole.to(self.ranks.device), self.mesh, self.sharded[0].placements)
