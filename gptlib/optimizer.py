import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

class SGD(Optimizer):
    """w ← w - lr · v with v ← momentum · v + gradient. Momentum 0 is plain gradient descent.

    Weight decay is added to the gradient, as in the classical method. Follows torch.optim.SGD.
    """

    def __init__(self, params, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if not params:
                continue
            if group["weight_decay"]:
                grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
            if group["momentum"]:
                for p in params:
                    if not self.state[p]:
                        self.state[p]["velocity"] = torch.zeros_like(p)
                velocity = [self.state[p]["velocity"] for p in params]
                torch._foreach_mul_(velocity, group["momentum"])
                torch._foreach_add_(velocity, grads)
                grads = velocity
            torch._foreach_add_(params, torch._foreach_mul(grads, -group["lr"]))

class Adam(Optimizer):
    """Every weight gets its own step size: the mean gradient over its usual size.

    m ← β₁m + (1-β₁)g,  v ← β₂v + (1-β₂)g²,  w ← w - lr · m̂ / (√v̂ + ε), with m̂ and v̂ corrected for their start at 0.
    Weight decay is added to the gradient (coupled). `lr` may be a 0-d tensor. All weights move in batched operations.
    Kingma and Ba, "Adam" (2015). Follows torch.optim.Adam.
    """

    decoupled = False

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if params:
                self.update(params, grads, **{k: group[k] for k in ("lr", "betas", "eps", "weight_decay")})

    def update(self, params, grads, lr, betas, eps, weight_decay) -> None:
        """One step for one parameter group, as batched operations over all of its tensors."""
        for p in params:
            if not self.state[p]:
                self.state[p]["step"] = torch.zeros((), device=p.device)  # float32, as torch keeps it
                self.state[p]["exp_avg"] = torch.zeros_like(p)
                self.state[p]["exp_avg_sq"] = torch.zeros_like(p)
        m = [self.state[p]["exp_avg"] for p in params]
        v = [self.state[p]["exp_avg_sq"] for p in params]
        steps = [self.state[p]["step"] for p in params]

        if weight_decay and self.decoupled:
            torch._foreach_mul_(params, 1 - lr * weight_decay)
        elif weight_decay:
            grads = torch._foreach_add(grads, params, alpha=weight_decay)

        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(m, grads, 1 - betas[0])
        torch._foreach_mul_(v, betas[1])
        torch._foreach_addcmul_(v, grads, grads, 1 - betas[1])

        # 1 - βⁿ for each tensor; expm1 keeps the digits that 1 - β**n loses while n is small
        n = torch.stack(steps).to(params[0].dtype)
        correction_m, correction_v = (-torch.expm1(n * math.log(beta)) for beta in betas)
        size = torch._foreach_sqrt(torch._foreach_div(v, correction_v.unbind()))
        torch._foreach_add_(size, eps)
        update = torch._foreach_div(m, size)
        torch._foreach_mul_(update, (-lr / correction_m).unbind())
        torch._foreach_add_(params, update)


class AdamW(Adam):
    """Adam with decoupled weight decay: w shrinks by lr · weight_decay of itself, beside the gradient step.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019). Follows torch.optim.AdamW.
    """

    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.01):
        super().__init__(params, lr, betas, eps, weight_decay)


def with_gradients(group: dict) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters of a group that have a gradient, and those gradients."""
    params = [p for p in group["params"] if p.grad is not None]
    return params, [p.grad for p in params]

def orthogonalise(G: Float[Tensor, "... n m"], steps: int = 5) -> Float[Tensor, "... n m"]:
    """A matrix with G's directions and all singular values near 1 (between about 0.7 and 1.2).

    Five Newton-Schulz steps of an odd polynomial push every singular value towards 1. Keller Jordan, "Muon" (2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    X = G.mT if G.shape[-2] > G.shape[-1] else G
    X = X / X.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if G.shape[-2] > G.shape[-1] else X


class Muon(Optimizer):
    """Momentum whose update is orthogonalised, for matrices only: every direction gets an equally large step.

    Matrices of the same shape are stacked and moved together. The step is scaled by √max(1, n_out/n_in).
    Keller Jordan, "Muon" (2024). Follows torch.optim.Muon.
    """

    def __init__(self, params, lr=0.02, momentum: float = 0.95, weight_decay: float = 0.1):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(f"Muon moves matrices only, got a parameter of shape {tuple(p.shape)}")

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params, grads = with_gradients(group)
            for p in params:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            for shape in sorted({tuple(p.shape) for p in params}):
                same = [(p, g) for p, g in zip(params, grads) if tuple(p.shape) == shape]
                self.update([p for p, _ in same], [g for _, g in same], group)

    def update(self, params, grads, group: dict) -> None:
        """One step for matrices of one shape."""
        momentum = group["momentum"]
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        nesterov = torch._foreach_lerp(grads, buffers, momentum)
        stacked = torch.stack(nesterov)  # [n, n_out, n_in]
        if stacked.is_cuda:
            stacked = stacked.bfloat16()
        n_out, n_in = params[0].shape
        step = orthogonalise(stacked).to(params[0].dtype) * (-group["lr"] * math.sqrt(max(1, n_out / n_in)))
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, list(step.unbind(0)))

class OptimizerPair:
    """Several optimizers that act as one: Muon for the matrices inside the blocks, AdamW for everything else."""

    def __init__(self, *optimizers: Optimizer):
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)

@torch.no_grad()
def clip_grad_norm(params, max_norm: float) -> Float[Tensor, ""]:
    """Scale all gradients together so that their joint norm is at most `max_norm`; returns the norm before.

    The direction of the step stays. Nothing is copied to the host. Pascanu et al. (2013).
    """
    grads = [p.grad for p in params if p.grad is not None]
    norm = torch.stack(torch._foreach_norm(grads)).norm()
    torch._foreach_mul_(grads, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def cosine_schedule(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, max_steps: int) -> float:
    """The learning rate of step 0, 1, … : a straight line up to max_lr, then half a cosine down to min_lr.

    Loshchilov and Hutter, "SGDR" (2017), without restarts.
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    progress = (step - warmup_steps) / max(1, max_steps - warmup_steps)
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * progress))
