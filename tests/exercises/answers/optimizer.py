"""Right and wrong answers to the exercises of chapter 09, on which its checkers are tested."""

import math

import torch


def wsd_as_minimum(step, max_lr, warmup_steps, decay_steps, max_steps):
    return max_lr * max(0.0, min(1.0, (step + 1) / warmup_steps, (max_steps - step) / decay_steps))


def wsd(step, max_lr, warmup_steps, decay_steps, max_steps, *, first=1, late=0, floor=True, end=0.0):
    """The schedule with switches for the bugs."""
    if step < warmup_steps:
        return max_lr * (step + first) / warmup_steps
    left = max_steps - step + late
    share = min(1.0, left / decay_steps)
    return max_lr * (end + (1 - end) * (max(0.0, share) if floor else share))


def wsd_with_cosine(step, max_lr, warmup_steps, decay_steps, max_steps):
    left = max(0.0, min(1.0, (max_steps - step) / decay_steps))
    return max_lr * min(1.0, (step + 1) / warmup_steps, (1 - math.cos(math.pi * left)) / 2)


def groups(model, weight_decay, *bugs):
    """Two parameter groups with the named bugs in them."""
    named = list(model.named_parameters(remove_duplicate="tied table twice" not in bugs))
    if "frozen ones too" not in bugs:
        named = [(name, p) for name, p in named if p.requires_grad]

    def decays(name, p):
        if "all that are called weight" in bugs:
            return name.endswith("weight")
        if "vectors decay" in bugs:
            return p.ndim >= 1
        return p.ndim == 2 if "matrices only" in bugs else p.ndim >= 2

    first = [p for name, p in named if decays(name, p)]
    second = [p for name, p in named if not decays(name, p)]
    if "no vectors" in bugs:
        second = []
    if "drops what is neither" in bugs:
        second = [p for p in second if p.ndim == 1]
    if "a vector in both" in bugs:
        second = second + second[:1]
    if "generators" in bugs:
        first, second = iter(first), iter(second)
    if "exchanged" in bugs:
        first, second = second, first
    rates = (
        0.1 if "a decay of its own" in bugs else weight_decay,
        weight_decay if "both decay" in bugs else 0.0,
    )
    return [{"params": p, "weight_decay": rate} for p, rate in zip((first, second), rates, strict=True)]


def groups_by_sorting(model, weight_decay):
    sorted_out = {True: [], False: []}
    for p in model.parameters():
        if p.requires_grad:
            sorted_out[p.dim() > 1].append(p)
    return [
        dict(params=sorted_out[True], weight_decay=weight_decay),
        dict(params=sorted_out[False], weight_decay=0),
    ]


def groups_with(bug):
    return lambda *arguments: groups(*arguments, bug)


def schedule_with(**switches):
    return lambda *settings: wsd(*settings, **switches)


ALTERNATIVES = {
    "wsd_schedule": [wsd_as_minimum, wsd, lambda *given: torch.tensor(wsd(*given))],
    "decay_groups": [groups, groups_by_sorting, lambda *given: tuple(groups(*given))],
}

BUGS = {
    "wsd_schedule": {
        "starts at zero": (schedule_with(first=0), "do nothing"),
        "never decays": (
            lambda step, max_lr, warmup, decay, end: max_lr * min(1.0, (step + 1) / warmup),
            "does not go down",
        ),
        "no warm-up": (
            lambda step, max_lr, warmup, decay, end: max_lr * max(0.0, min(1.0, (end - step) / decay)),
            "warm-up is missing",
        ),
        "decay one step late": (schedule_with(late=1), "one step late"),
        "decay one step early": (schedule_with(late=-1), "one step early"),
        "negative after the end": (schedule_with(floor=False), "negative"),
        "ends at a tenth": (schedule_with(end=0.1), "reach 0"),
        "forgets max_lr": (lambda step, max_lr, *rest: wsd(step, 1.0, *rest), "max_lr is left out"),
        "a cosine": (wsd_with_cosine, "straight line"),
        "prints": (lambda *given: None, "must be a number"),
    },
    "decay_groups": {
        bug: (groups_with(bug), word)
        for bug, word in {
            "tied table twice": "listed twice",
            "frozen ones too": "frozen",
            "all that are called weight": "for its name",
            "vectors decay": "is a vector",
            "matrices only": "3 dimensions",
            "no vectors": "neither group",
            "drops what is neither": "gain [] is in neither",
            "a vector in both": "listed twice",
            "generators": "must be a list",
            "exchanged": "exchanged",
            "a decay of its own": "as was asked for",
            "both decay": "must not decay",
        }.items()
    }
    | {"one list": (lambda model, weight_decay: list(model.parameters()), "2 values")},
}
