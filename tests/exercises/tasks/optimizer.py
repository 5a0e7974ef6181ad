"""What readers might write for the tasks of chapter 09: other styles, and mistakes by their key words."""

ADAM_HEAD = """
class {name}(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay={default}):
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay))
"""
BY_LERP = """
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in [p for p in group["params"] if p.grad is not None]:
                state = self.state[p]
                if len(state) == 0:
                    names = ("exp_avg", "exp_avg_sq")
                    state.update({name: torch.zeros_like(p) for name in names}, step=torch.tensor(0.0))
                state["step"] = state["step"] + 1
                n = int(state["step"])
                g = p.grad.add(p, alpha=group["weight_decay"])
                state["exp_avg"].lerp_(g, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
                root = (state["exp_avg_sq"] / (1 - beta2**n)).sqrt()
                p.addcdiv_(state["exp_avg"], root + group["eps"], value=-group["lr"] / (1 - beta1**n))
"""
NEW_TENSORS = """
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                n = float(state.get("step", 0)) + 1
                g = p.grad.clone()
                p.copy_(p - group["lr"] * group["weight_decay"] * p)
                means = []
                for name, beta, what in zip(("exp_avg", "exp_avg_sq"), group["betas"], (g, g * g)):
                    state[name] = beta * state.get(name, 0) + (1 - beta) * what
                    means.append(state[name] / (1 - beta**n))
                state["step"] = torch.tensor(n)
                p.copy_(p - group["lr"] * means[0] / (means[1] ** 0.5 + group["eps"]))
"""
RIGHT = {
    "SGD": [
        """
class SGD(Optimizer):
    def __init__(self, params, lr=0.1, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for p in filter(lambda p: p.grad is not None, group["params"]):
                    g = p.grad
                    if group["weight_decay"] != 0:
                        g = g.add(p, alpha=group["weight_decay"])
                    if group["momentum"] != 0:
                        old = self.state[p].get("momentum_buffer")
                        g = g.clone() if old is None else group["momentum"] * old + g
                        self.state[p]["momentum_buffer"] = g
                    p += -group["lr"] * g
""",
    ],
    "Adam": [ADAM_HEAD.format(name="Adam", default=0.0) + BY_LERP],
    "AdamW": [
        ADAM_HEAD.format(name="AdamW", default=0.01) + NEW_TENSORS,
        """
class AdamW(Adam):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, lr, betas, eps, weight_decay)

    @torch.no_grad()
    def step(self):
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * group["weight_decay"] * p
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays):
            group["weight_decay"] = decay
""",
    ],
    "clip_grad_norm": [
        """
@torch.no_grad()
def clip_grad_norm(params, max_norm):
    grads = [p.grad for p in params if p.grad is not None]
    norm = sum(((g**2).sum() for g in grads), torch.zeros(())).sqrt()
    if norm > max_norm:
        for g in grads:
            g.copy_(g / norm * max_norm)
    return norm
""",
        """
@torch.no_grad()
def clip_grad_norm(params, max_norm):
    params = [p for p in params if p.grad is not None]
    if len(params) == 0:
        return torch.tensor(0.0)
    norm = torch.cat([p.grad.flatten() for p in params]).norm()
    for p in params:
        p.grad *= min(1.0, max_norm / (norm.item() + 1e-6))
    return norm
""",
    ],
    "cosine_schedule": [
        """
def cosine_schedule(step, *, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr / warmup_steps * (step + 1)
    share = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps)) if max_steps > warmup_steps else 1.0
    return min_lr + (max_lr - min_lr) * math.cos(math.pi * share / 2) ** 2
""",
        """
def cosine_schedule(step, *, max_lr, min_lr, warmup_steps, max_steps):
    if step >= max_steps and step >= warmup_steps:
        return min_lr
    if step + 1 <= warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    left = (max_steps - step) / (max_steps - warmup_steps)
    return (max_lr + min_lr) / 2 - (max_lr - min_lr) / 2 * math.cos(math.pi * left)
""",
    ],
}
CORRECTED = "m / (1 - beta1**n)\n                v_hat = v / (1 - beta2**n)"
MEANS = "m.mul_(beta1).add_((1 - beta1) * g)\n                v.mul_(beta2).add_((1 - beta2) * g**2)"
COUNTED = """                state["step"] += 1
                n, m, v = state["step"].item(), state["exp_avg"], state["exp_avg_sq"]"""
MOVED = "p.sub_(lr * m_hat / (v_hat.sqrt() + eps))"
ADAM_BUGS = [
    ("p.sub_(", "p.add_(", "uphill"),
    ("m_hat = m / (1 - beta1**n)", "m_hat = m", "m is used as it is"),
    ("v_hat = v / (1 - beta2**n)", "v_hat = v", "v is used as it is"),
    (
        "m / (1 - beta1**n)\n                v_hat = v / (1 - beta2**n)",
        "m\n                v_hat = v",
        "as they are",
    ),
    ("beta1**n)", "beta1**(n + 1))", "off by"),
    (
        'n, m, v = state["step"].item(), state',
        'n, m, v = state["step"].item() + 1, state',
        "counts the steps from 1",
    ),
    ('state["step"].item()', 'state["step"]', "float32"),
    ("(v_hat.sqrt() + eps)", "(v_hat + eps).sqrt()", "outside the root"),
    ("v_hat.sqrt()", "v_hat", "root of v̂"),
    ("m.mul_(beta1).add_", "m.mul_(beta2).add_", "m keeps β₁ of itself"),
    ("v.mul_(beta2).add_", "v.mul_(beta1).add_", "v keeps β₂ of itself"),
    (
        CORRECTED,
        CORRECTED.replace("beta1", "beta0").replace("beta2", "beta1").replace("beta0", "beta2"),
        "β₁ⁿ belongs to m",
    ),
    ("(beta1, beta2), eps", "(beta2, beta1), eps", "exchanged"),
    ('state["step"] += 1', "pass", "not counted"),
    (COUNTED, "\n".join(COUNTED.split("\n")[::-1]), "before it is used"),
    ("lr * m_hat", "m_hat", "learning rate is missing"),
    ("p.sub_(lr * m_hat / (v_hat.sqrt() + eps))", "p = p - lr * m_hat / (v_hat.sqrt() + eps)", "do not move"),
    ("if not state:", "if True:", "begins anew"),
    ("m_hat = m / (1 - beta1**n)", "m_hat = m.div_(1 - beta1**n)", "keep m uncorrected"),
]
BUGS = {
    "SGD": [
        ("p.sub_(", "p.add_(", "uphill"),
        ("lr * v", "v", "learning rate is missing"),
        ("v.mul_(momentum).add_(", "v.add_(", "multiplied by momentum"),
        (
            "v.mul_(momentum).add_(p.grad + decay * p)",
            "v = momentum * v + p.grad + decay * p",
            "gradient alone",
        ),
        (".add_(p.grad + decay * p)", ".add_((1 - momentum) * (p.grad + decay * p))", "not a mean"),
        (
            "add_(p.grad + decay * p)\n                p.sub_(lr * v)",
            "add_(lr * (p.grad + decay * p))\n                p.sub_(v)",
            "inside the velocity",
        ),
        ("p.grad + decay * p", "p.grad", "decay is missing"),
        ("p.grad + decay * p", "p.grad - decay * p", "wrong sign"),
        ("p.grad + decay * p", "p.grad.add_(decay * p)", "changed the gradient"),
        ("p.sub_(lr * v)", "p = p - lr * v", "do not move"),
        ("p.sub_(lr * v)", "p.mul_(1 - lr * decay).sub_(lr * (v - decay * p))", "off by"),
        ('"momentum_buffer"', '"velocity"', "momentum_buffer"),
        ("state = self.state[p]", "state = vars(self).setdefault(id(p), {})", "goes on otherwise"),
    ],
    "Adam": [
        *ADAM_BUGS,
        ("p.grad + decay * p", "p.grad", "decay is missing"),
        (
            "g = p.grad + decay * p",
            "g = p.grad\n                p.mul_(1 - lr * decay)",
            "into the gradient here",
        ),
        ("(1 - beta1) * g", "g", "share in m is 1 - β₁"),
        ("(1 - beta2) * g**2", "g**2", "share of g² in v"),
        ("g**2", "g.abs()", "not of |g|"),
        (
            MEANS,
            MEANS.replace("beta1", "beta0").replace("beta2", "beta1").replace("beta0", "beta2"),
            "exchanged",
        ),
        ("g**2", "g", "negative"),
        ('"exp_avg_sq"', '"v"', "exp_avg_sq"),
        ('state["step"] = torch.zeros(())', 'state["step"] = torch.zeros(()) - 1', ""),
    ],
    "AdamW": [
        *ADAM_BUGS,
        ("p.mul_(1 - lr * decay)", "pass", "decay is missing"),
        ("p.mul_(1 - lr * decay)", "p.mul_(1 - decay)", "scaled by the learning rate"),
        ("p.mul_(1 - lr * decay)", "p.grad.add_(decay * p)", "changed the gradient"),
        ("p.mul_(1 - lr * decay)", "g = p.grad + decay * p", "decay is missing"),
        ("(1 - beta1) * p.grad", "p.grad", "share in m is 1 - β₁"),
        ("p.grad**2", "p.grad.abs()", "not of |g|"),
        ("p.grad**2", "p.grad", "negative"),
        (MOVED, f"p.div_(1 - lr * decay); {MOVED}; p.mul_(1 - lr * decay)", "before the step"),
    ],
    "clip_grad_norm": [
        ("g.mul_(scale)", "g = g * scale", "nothing was scaled"),
        (".clamp(max=1.0)", "", "scaled up"),
        ("return norm\n", "return norm * scale\n", "from before"),
        ("for g in grads]).norm()", "for g in grads]).sum()", "not the sum of the norms"),
        ("for g in grads]).norm()", "for g in grads]).norm() ** 2", "root"),
        ("g.norm() for g", "g.abs().sum() for g", "off by"),
        ("g.mul_(scale)", "g.mul_((max_norm / (g.norm() + 1e-6)).clamp(max=1.0))", "by itself"),
        ("g.mul_(scale)", "g.clamp_(-max_norm, max_norm)", "cut by itself"),
        ("return torch.zeros(())", "return None", "the norm is 0"),
        ("return norm\n", "return norm.item()\n", "a tensor"),
        (" if p.grad is not None", "", "leave it out"),
    ],
    "cosine_schedule": [
        ("(step + 1) / warmup_steps", "step / warmup_steps", "would do nothing"),
        ("return max_lr * (step + 1) / warmup_steps", "return max_lr", "warm-up is missing"),
        ("return min_lr\n", "return 0.0\n", "off by"),
        ("return min_lr\n", "pass\n", "goes up again"),
        ("math.pi * progress", "2 * math.pi * progress", "whole cosine"),
        ("(1 + math.cos(math.pi * progress))", "2 * (1 - progress)", "straight line"),
        ("(step - warmup_steps) /", "step /", "begins with the end of the warm-up"),
        ("/ (max_steps - warmup_steps)", "/ max_steps", "ends at max_steps"),
        ("1 + math.cos", "1 - math.cos", "rises"),
        ("0.5 * (max_lr", "(max_lr", "twice too high"),
        ("min_lr + 0.5 * (max_lr - min_lr)", "0.5 * max_lr", "off by"),
    ],
}
