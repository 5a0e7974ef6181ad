"""Solutions to the exercises of chapter 09, each after a line with its checker's name."""


# --- wsd_schedule
def wsd_schedule(step, max_lr, warmup_steps, decay_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step < max_steps - decay_steps:
        return max_lr
    return max_lr * max(0, max_steps - step) / decay_steps


# --- decay_groups
def decay_groups(model, weight_decay):
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
