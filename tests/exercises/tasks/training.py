"""What readers might write for the tasks in gptlib/training.py: other styles, mistakes by key words."""

CLIP = "        norm = clip_grad_norm(model.parameters(), config.grad_clip or math.inf)\n"
STEP = "        optimizer.step()\n"
ROW = '        records.append({"step": step + 1, **row})\n'
EVALUATED = """        if (step + 1) % config.eval_interval == 0 or step + 1 == config.max_steps:
            records.append({"step": step + 1, "val_loss": evaluate(model, val_tokens, block_size)})
"""
LATE = "scheduled_rate(config, step - 1) / config.learning_rate if step else 1.0)"
RIGHT = {
    "scheduled_rate": [
        """
def scheduled_rate(config, step):
    schedules = {"cosine": cosine_schedule, "linear": linear_schedule}
    rates = dict(max_lr=config.learning_rate, min_lr=config.min_learning_rate)
    lengths = dict(warmup_steps=config.warmup_steps, max_steps=config.max_steps - 1)
    return schedules[config.decay](step, **rates, **lengths)
""",
    ],
    "plain_train": [
        """
def plain_train(model, train_tokens, val_tokens, config):
    T = model.config.block_size
    batches = Batches(train_tokens, config.batch_size, T, config.seed)
    optimizer = make_optimizer(model, config)
    limit = config.grad_clip if config.grad_clip > 0 else math.inf
    records = []
    model.train()  # evaluate puts it back into the mode in which it found it
    for n in range(1, config.max_steps + 1):
        rate = scheduled_rate(config, n - 1)
        set_learning_rate(optimizer, rate / config.learning_rate)
        optimizer.zero_grad()
        loss = cross_entropy(model(batches.at(n - 1)[0]), batches.at(n - 1)[1])
        loss.backward()
        norm = clip_grad_norm(list(model.parameters()), limit)
        optimizer.step()
        records += [dict(step=n, train_loss=loss.detach().item(), grad_norm=float(norm), learning_rate=rate)]
        if n % config.eval_interval == 0 or n == config.max_steps:
            records += [dict(step=n, val_loss=evaluate(model, val_tokens, T))]
    return records
""",
    ],
}
SAME = {}  # changes that compute the same, and why
BUGS = {
    "scheduled_rate": [
        ("config.max_steps - 1", "config.max_steps", "one step earlier"),
        ('config.decay == "cosine"', "True", "is taken for"),
        ("min_lr=config.min_learning_rate", "min_lr=0.0", "ends at 0"),
        ("warmup_steps=config.warmup_steps", "warmup_steps=0", "warm-up is missing"),
        ("        step,\n", "        step + 1,\n", "late or early"),
        ("max_lr=config.learning_rate", "max_lr=1.0", "off by"),
        ("return schedule(", "schedule(", "return the rate"),
    ],
    "plain_train": [
        ("batches.at(step)", "batches.at(0)", "same batch"),
        ("batches.at(step)", "batches.at(step + 1)", "one step ahead"),
        (", config.seed)", ")", "config.seed"),
        ("        optimizer.zero_grad()\n", "", "pile up"),
        ("config.grad_clip or math.inf", "math.inf", "not clipped"),
        ("        optimizer.step()\n", "", "do not move"),
        (ROW + EVALUATED, EVALUATED + ROW, "before its val_loss"),
        ("        model.train()\n", "        model.train(step < config.eval_interval)\n", "first evaluation"),
        ("config.grad_clip or math.inf", "config.grad_clip", "0 means no clipping"),
        ("rate / config.learning_rate)", LATE, "one step late"),
        (
            "clip_grad_norm(model.parameters(), config.grad_clip or math.inf)",
            "max(clip_grad_norm([p], config.grad_clip or math.inf) for p in model.parameters())",
            "by itself",
        ),
        (
            "optimizer.step()\n",
            "optimizer.step()\n        model.wte.weight.data *= 0.99\n",
            "step 2 is the first",
        ),
        ("        model.train()\n", "", "eval mode"),
        ("        set_learning_rate(optimizer, rate / config.learning_rate)\n", "", "stays the same"),
        ("rate / config.learning_rate)", "rate)", "a share"),
        ("evaluate(model, val_tokens", "evaluate(lambda idx: model(idx), val_tokens", "dropout on"),
        ("evaluate(model, val_tokens", "evaluate(model, train_tokens", "training text"),
        ("evaluate(model, val_tokens", "evaluate(model, val_tokens[:40]", "a part of the text"),
        (" or step + 1 == config.max_steps", "", "a val_loss of the steps"),
        ('{"step": step + 1, **row}', '{"step": step, **row}', "counted from 1"),
        ('"train_loss": loss.item()', '"train_loss": loss', "plain number"),
        ('"grad_norm": norm.item()', '"norm": norm.item()', "grad_norm is missing"),
        ("    return records", "    return model", "return the records"),
        (CLIP + STEP, STEP + CLIP, "before the update"),
        (
            "make_optimizer(model, config)",
            "make_optimizer(model, TrainConfig(7, learning_rate=2e-2))",
            "make_optimizer(model, config)",
        ),
    ],
    "train": [
        ("batches.at(step)", "batches.at(0)", "same batch"),
        ("batches.at(step)", "batches.at(step + 1)", "one step ahead"),
        (", config.seed)\n    # end", ")\n    # end", "config.seed"),
        ("        model.train()\n", "", "eval mode"),
        ("set_learning_rate(trainer.optimizer, rate / config.learning_rate)", "pass", "stays the same"),
        ("rate / config.learning_rate)", "rate)", "a share"),
        (
            "        model.train()\n",
            "        if step == run.first:\n            model.train()\n",
            "first evaluation",
        ),
        ("rate / config.learning_rate)", LATE, "one step late"),
        (
            "run.evaluate(val_tokens)",
            "run.record(val_loss=evaluate(model, val_tokens, model.config.block_size))",
            "run.evaluate(val_tokens)",
        ),
        ("run.due(config.eval_interval)", "False", "evaluated after"),
        ("run.due(config.eval_interval)", "True", "evaluated after"),
        ("step_fn(trainer,", "eager_step(trainer,", "step_fn is called"),
        ("batches.at(step)", "batches.at(step - run.first)", "begins with batches.at(2)"),
        ("            run.evaluate(val_tokens)", "            run.evaluate(train_tokens)", "training text"),
        ("config.batch_size, model", "config.batch_size - 1, model", "batch_size windows"),
    ],
}
