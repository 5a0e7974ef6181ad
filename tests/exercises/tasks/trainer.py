"""What readers might write for the task in gptlib/trainer.py: another style, mistakes by key words."""

RIGHT = {
    "eager_step": [
        """
def eager_step(trainer, x, y):
    optimizer, scaler, config = trainer.optimizer, trainer.scaler, trainer.config
    micro = config.micro_batch_size or len(x)
    total = torch.zeros((), device=x.device)

    def backward(loss):
        scaler.scale(loss).backward()

    optimizer.zero_grad()
    for start in range(0, len(x), micro):
        part = slice(start, start + micro)
        loss = cross_entropy(trainer.predict(x[part]), y[part])
        share = len(x[part]) / len(x)
        backward(share * loss)
        total = total + share * loss.detach()
    scaler.unscale_(optimizer)
    limit = config.grad_clip if config.grad_clip else math.inf
    norm = clip_grad_norm(list(trainer.model.parameters()), limit)
    updated = math.isfinite(total) and math.isfinite(norm)
    if updated:
        scaler.step(optimizer)
    scaler.update()
    return StepResult(total, norm, updated)
""",
    ],
}
SAME = {  # changes that compute the same, and why
    "eager_step": {
        "True → False": "zip's pieces are equally many",
        "total + norm → total - norm": "a difference, too, is finite only if both are",
    },
}
BUGS = {
    "eager_step": [
        (" * len(part_x) / len(x)", "", "must count with its share"),
        ("len(part_x) / len(x)", "micro / len(x)", "its own share"),
        ("    optimizer.zero_grad()\n", "", "zero_grad"),
        (
            "        backward(loss)\n",
            "        optimizer.zero_grad()\n        backward(loss)\n",
            "inside the loop",
        ),
        ("        backward(loss)\n", "        loss.backward()\n", "call backward(loss)"),
        ("loss.detach()", "loss", "detach"),
        ("        total += loss.detach()", "        total = loss.detach()", "every piece in total"),
        ("x.split(micro), y.split(micro)", "x.split(len(x)), y.split(len(x))", "there is memory for"),
        ("trainer.predict(part_x)", "trainer.model(part_x)", "trainer.predict"),
        ("config.grad_clip or math.inf", "math.inf", "not clipped"),
        ("config.grad_clip or math.inf", "config.grad_clip", "0 means no clipping"),
        ("bool((total + norm).isfinite())", "True", "updated must be False"),
        ("(total + norm).isfinite()", "total.isfinite()", "the norm is"),
        ("(total + norm).isfinite()", "norm.isfinite()", "the loss is"),
        ("bool((total + norm).isfinite())", "False", "updated is True"),
    ],
}
