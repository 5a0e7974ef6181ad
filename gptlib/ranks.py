"""The processes of one run: how they join, what they exchange, and which of them is missing."""

import contextlib
import gc
import os
import sys
import threading
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from .trainer import choose_device
from .training import TrainingError


class RankError(TrainingError):
    """A process of the run that does not answer; the message names it."""


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


class Ranks:
    """This process among those of the run: `rank`, counted from 0, of `world_size`.

    Tensors lie on this process's `device`: gloo carries those of a CPU, NCCL those of a CUDA GPU.
    A process that does not answer for `seconds` ends the run with a RankError that names it.
    """

    def __init__(self, device: str = "auto", seconds: float = 600.0):
        self.device = device_of_this_process(device)
        store, self.rank, self.world_size = next(dist.rendezvous("env://"))
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store outlives the processes
        self.store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
        names = dict(store=dist.PrefixStore("group", self.store), rank=self.rank, world_size=self.world_size)
        where = {"device_id": self.device} if self.device.type == "cuda" else {}
        # the watch names a process that hangs, so the backend waits longer
        dist.init_process_group(backend, timeout=timedelta(seconds=3 * seconds + 60), **names, **where)
        self.watch = Watch(self.store, self.rank, self.world_size, seconds)

    def close(self) -> None:
        """Leave the group, all together; without this, a process may end with an error of the backend."""
        self.watch.stop()
        self.objects(None)
        gc.collect()  # what holds on to the group, as DDP does
        dist.destroy_process_group()

    # --- from one process to another

    def send(self, tensor: Tensor, to: int):
        """Begin to send a tensor; the request's `wait()` returns when it may be changed again."""
        return dist.isend(tensor, to)

    def receive(self, tensor: Tensor, source: int) -> None:
        """Wait for what `source` sends, and write it into `tensor`."""
        dist.recv(tensor, source)

    # --- of all processes, each of which must call the same one

    def all_reduce(self, tensor: Tensor) -> None:
        """Each process's `tensor` becomes the sum of all."""
        dist.all_reduce(tensor)

    def all_mean(self, tensor: Tensor) -> None:
        """Each process's `tensor` becomes the mean of all."""
        if tensor.is_cuda:  # NCCL divides while it adds
            dist.all_reduce(tensor, dist.ReduceOp.AVG)
        else:
            dist.all_reduce(tensor)
            tensor /= self.world_size

    def all_gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, one after the other along the first dimension."""
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return torch.cat(parts)

    def reduce_scatter(self, tensor: Tensor) -> Tensor:
        """This process's slice, along the first dimension, of the sum of all tensors."""
        if tensor.is_cuda:
            part = tensor.new_empty(len(tensor) // self.world_size, *tensor.shape[1:])
            dist.reduce_scatter_tensor(part, tensor)
            return part
        total = tensor.clone()  # gloo of some versions has no reduce-scatter
        dist.all_reduce(total)
        return total.chunk(self.world_size)[self.rank]

    def broadcast(self, tensor: Tensor, source: int) -> None:
        """Each process's `tensor` becomes that of `source`."""
        dist.broadcast(tensor, source)

    def largest(self, number: int) -> int:
        """The largest of the numbers of all processes. They travel through the CPU, so no GPU is waited for."""
        self.watch.tick()
        found = torch.tensor([number])
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def objects(self, value) -> list:
        """The values of all processes, in their order; anything that can be pickled."""
        found = [None] * self.world_size
        dist.all_gather_object(found, value)
        return found

    # --- who is missing

    def explained(self, error: RuntimeError) -> Exception:
        """A RankError in the place of a backend's error where a process is missing, else the error itself."""
        missing = self.watch.missing(patience=3.0)
        if not missing:
            return error
        return RankError(self.watch.sentence(missing, "no longer answers"))


def device_of_this_process(wanted: str) -> torch.device:
    """The device of that kind with this process's number on this machine; ValueError where it is not there."""
    device = choose_device(wanted)
    if device.type != "cuda":
        return device
    local, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local >= there:
        processes = os.environ.get("LOCAL_WORLD_SIZE", local + 1)
        raise ValueError(f"{processes} processes, but this machine has {there} GPUs: --nproc_per_node {there}")
    if launched() and not (dist.is_available() and dist.is_nccl_available()):
        raise ValueError("this PyTorch has no NCCL, by which GPUs exchange tensors: install one that has, or take --device cpu")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


class Watch(threading.Thread):
    """Ends the run with a line that names a process which stands still for `seconds` while the others wait.

    Each process counts its own progress in the store that all of them reach. One that is stopped by the system
    does not write there at all; one that is caught in a loop of its own stays behind the others.
    """

    def __init__(self, store, rank: int, world_size: int, seconds: float):
        super().__init__(daemon=True)
        self.store, self.rank, self.world_size, self.seconds = store, rank, world_size, seconds
        self.count, self.moved, self.ended = 0, time.monotonic(), threading.Event()
        self.start()

    def tick(self) -> None:
        """Note that this process has come one thing further."""
        self.count, self.moved = self.count + 1, time.monotonic()

    def stop(self) -> None:
        """End the watch."""
        self.ended.set()
        self.join()

    def run(self) -> None:
        beat = 0
        with contextlib.suppress(dist.DistError, RuntimeError):  # the store ends with the run
            while not self.ended.wait(min(1.0, self.seconds / 10)):
                beat += 1
                self.store.set(f"beat {self.rank}", f"{beat} {self.count}")
                if time.monotonic() - self.moved > self.seconds and (late := self.late()):
                    complain(self.store, self.rank, self.sentence(late, "hangs"))
                    os._exit(2)  # the main thread waits inside a backend that nothing wakes

    def beats(self) -> list[tuple[str, int]]:
        """The last beat of each process, and its count."""
        keys = [f"beat {rank}" for rank in range(self.world_size)]
        found = [self.store.get(k).decode().split() if self.store.check([k]) else ("0", "0") for k in keys]
        return [(beat, int(count)) for beat, count in found]

    def late(self) -> list[int]:
        """The processes that hold up the others: stopped ones, else those that are behind. [] if all stand alike."""
        before = self.beats()
        time.sleep(min(5.0, self.seconds))
        self.store.set(f"beat {self.rank}", f"now {self.count}")
        now = self.beats()
        stopped = [r for r in range(self.world_size) if r != self.rank and now[r] == before[r]]
        counts = [count for _, count in now]
        behind = [r for r in range(self.world_size) if counts[r] < max(counts)]
        return stopped or behind

    def missing(self, patience: float) -> list[int]:
        """The processes that do not answer within `patience` seconds of a roll call."""
        end, missing = time.monotonic() + patience, list(range(self.world_size))
        with contextlib.suppress(dist.DistError, RuntimeError):
            self.store.set(f"here {self.rank}", "")
            while missing and time.monotonic() < end:
                missing = [r for r in missing if not self.store.check([f"here {r}"])]
                time.sleep(0.05)
        return missing

    def sentence(self, ranks: list[int], what: str) -> str:
        """The line that names processes."""
        names = ", ".join(map(str, ranks))
        of = "process" if len(ranks) == 1 else "processes"
        return f"{of} {names} of 0 … {self.world_size - 1} {what}: resume goes on with the run, and so does torchrun by itself with --max-restarts"


def complain(store, rank: int, message: str) -> None:
    """Print one error of the run: the first that is said, by rank 0 if it has one, is the only one."""
    try:
        if rank:
            end = time.monotonic() + 2.0
            while time.monotonic() < end and not store.check(["complaint"]):
                time.sleep(0.05)
            message = f"process {rank}: {message}"
        first = store.add("complaint", 1) == 1
    except (dist.DistError, RuntimeError):  # the store has gone with the run
        first = rank == 0
    if first:
        print(f"error: {message}", file=sys.__stderr__, flush=True)  # a silent process says it, too
