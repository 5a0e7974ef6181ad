"""One training step on several processes, by hand: all-reduce, data parallel, sharded optimizer, sharded weights."""

import torch
from torch import Tensor, nn

from .ranks import Ranks


def ring_all_reduce(tensor: Tensor, ranks: Ranks) -> None:
    """Each process's `tensor`, of any shape [...], becomes the sum of all, in place. Only neighbours in a ring talk."""
    rank, n = ranks.rank, ranks.world_size
    chunks = tensor.view(-1).tensor_split(n)
    for step in range(2 * (n - 1)):
        request = ranks.send(chunks[(rank - step) % n], (rank + 1) % n)
        into = chunks[(rank - step - 1) % n]
        received = torch.empty_like(into)
        ranks.receive(received, (rank - 1) % n)
        request.wait()
        if step < n - 1:
            into += received  # the first round adds
        else:
            into.copy_(received)  # the second hands the sums on


def average_gradients(params, ranks: Ranks) -> None:
    """Between backward and clipping: each gradient becomes its mean over all processes."""
    grads = [p.grad for p in params if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])  # one message, not one for each tensor
    ranks.all_reduce(flat)
    flat /= ranks.world_size
    for g, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        g.copy_(mean.view_as(g))


def owners(params, world_size: int) -> list[int]:
    """Which process owns which parameter: the largest first, each to the process that has least so far."""
    load, owner = [0] * world_size, {}
    for i in sorted(range(len(params)), key=lambda i: (-params[i].numel(), i)):
        owner[i] = min(range(world_size), key=lambda rank: (load[rank], rank))
        load[owner[i]] += params[i].numel()
    return [owner[i] for i in range(len(params))]


class ShardedOptimizer:
    """Any optimizer of the book, its state shared out: each process moves the parameters it owns, then hands them on.

    `optimizer` is the one that a process alone would have; state for the others' parameters never comes up.
    """

    def __init__(self, optimizer, ranks: Ranks):
        self.optimizer, self.ranks = optimizer, ranks
        self.param_groups = optimizer.param_groups
        self.params = [p for group in self.param_groups for p in group["params"]]
        self.owner = owners(self.params, ranks.world_size)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """One step of what this process owns; afterwards every process has all of the new weights."""
        for p, owner in zip(self.params, self.owner, strict=True):
            if owner != self.ranks.rank:
                p.grad = None  # the optimizer passes over it
        self.optimizer.step()
        for p, owner in zip(self.params, self.owner, strict=True):
            self.ranks.broadcast(p.data, owner)

    def state_bytes(self) -> int:
        """How many bytes of optimizer state this process keeps."""
        states = self.optimizer.state.values()
        return sum(t.numel() * t.element_size() for state in states for t in state.values())


class GatherWeights(torch.autograd.Function):
    """Forward: a weight from the slices of all processes. Backward: the slice of its mean gradient."""

    @staticmethod
    def forward(ctx, part: Tensor, length: int, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.all_gather(part)[:length]

    @staticmethod
    def backward(ctx, grad: Tensor):
        n = ctx.ranks.world_size
        padded = grad.new_zeros(-(-len(grad) // n) * n, *grad.shape[1:])
        padded[: len(grad)] = grad
        return ctx.ranks.reduce_scatter(padded) / n, None, None


def slice_of(weight: Tensor, ranks: Ranks) -> Tensor:
    """This process's rows of a weight, as many for each process; rows of zeros fill up the last."""
    rows = -(-len(weight) // ranks.world_size)  # rounded up
    padded = weight.new_zeros(rows * ranks.world_size, *weight.shape[1:])
    padded[: len(weight)] = weight
    return padded[ranks.rank * rows :][:rows].clone()


class FullySharded(nn.Module):
    """A module of which each process keeps a slice: gather, use, free, and scatter the gradients.

    The gathered weights live while the module computes. What autograd would keep of them for the backward pass
    is gathered a second time there.
    """

    def __init__(self, module: nn.Module, ranks: Ranks):
        super().__init__()
        self.ranks, self.names, self.lengths = ranks, [], []
        self.parts = nn.ParameterList()
        for name, weight in module.named_parameters():
            self.names.append(name)
            self.lengths.append(len(weight))
            self.parts.append(nn.Parameter(slice_of(weight.detach(), ranks)))
        self.shell = [module.to("meta")]  # in a list, so that its parameters do not count

    def forward(self, *args):
        gathered = {}
        for name, part, length in zip(self.names, self.parts, self.lengths, strict=True):
            gathered[name] = GatherWeights.apply(part, length, self.ranks)
        places = {w.untyped_storage().data_ptr(): name for name, w in gathered.items()}
        again = {}

        def pack(tensor: Tensor):
            """A weight is kept as its name and view, everything else as it is."""
            name = places.get(tensor.untyped_storage().data_ptr())
            return tensor if name is None else (name, tensor.size(), tensor.stride(), tensor.storage_offset())

        def unpack(kept) -> Tensor:
            if isinstance(kept, Tensor):
                return kept
            name, *view = kept
            if name not in again:
                at = self.names.index(name)
                again[name] = self.ranks.all_gather(self.parts[at].detach())[: self.lengths[at]]
            return again[name].as_strided(*view)

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return torch.func.functional_call(self.shell[0], gathered, args)
