"""What readers might write for the task in modern_training.py, and mistakes by their key words."""

RIGHT = {
    "stable_schedule": [
        """
def stable_schedule(step, *, max_lr, min_lr, warmup_steps, max_steps, decay_share=0.4):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    begin = max_steps - 1 - decay_share * max_steps
    if step <= begin:
        return max_lr
    return max_lr + (min_lr - max_lr) * (step - begin) / (decay_share * max_steps)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "stable_schedule": {
        "min(1.0, left) → min(left, 1.0)": "their order does not matter",
    },
}
BUGS = {
    "stable_schedule": [
        ("max_lr * (step + 1) / warmup_steps", "max_lr * step / warmup_steps", "warm-up"),
        ("max_lr * (step + 1) / warmup_steps", "max_lr", "warm-up"),
        ("max_steps - 1 - step", "max_steps - step", "last step has min_lr"),
        (
            "decay_steps = decay_share * max_steps",
            "decay_steps = max_steps - 1 - warmup_steps",
            "no level part",
        ),
        ("decay_share * max_steps", "decay_share * (max_steps - warmup_steps)", "of all steps"),
        (
            "return min_lr + (max_lr - min_lr) * min(1.0, left)",
            "return max(min_lr, max_lr * min(1.0, left))",
            "cut at min_lr",
        ),
        ("min(1.0, left)", "left", ""),
    ],
}
