"""The picture of a training run: its losses against the ladder's rungs, and the learning rate below."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

TICKS = (0.5, 0.7, 1, 1.2, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8, 10)  # those that are in view get a label
LABEL_HEIGHT = 0.07  # of the loss axis: closer labels would overlap


def series(records: list[dict], name: str) -> tuple[list[int], list[float]]:
    """The steps at which `name` was recorded, and its values there. `records` are rows of metrics.jsonl."""
    rows = [row for row in records if row.get(name) is not None]
    return [row["step"] for row in rows], [row[name] for row in rows]


def spread(heights: list[float], gap: float) -> list[float]:
    """The heights, each moved up until it is `gap` above the one below: [0, .1, 5], 1 -> [0, 1, 5]."""
    places = {}
    below = float("-inf")
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        below = places[i] = max(heights[i], below + gap)
    return [places[i] for i in range(len(heights))]


def plot_run(records: list[dict], rungs: dict[str, float], title: str, norms: bool = False) -> Figure:
    """Training and validation loss, the rungs {name: loss} as labelled lines, the learning rate below.

    With `norms` the gradient norm has a panel at the foot.

    ValueError when the records hold no training loss. The loss axis is logarithmic: the low rungs lie close
    together, and they are the ones that matter.
    """
    steps, train_loss = series(records, "train_loss")
    if not steps:
        raise ValueError(f"none of the {len(records)} records holds a train_loss")
    heights, size = ((4, 1, 1), (7.2, 5.8)) if norms else ((4, 1), (7.2, 4.8))
    figure, panels = plt.subplots(len(heights), sharex=True, height_ratios=heights, figsize=size)
    top, bottom = panels[:2]
    top.plot(steps, train_loss, linestyle="-", linewidth=1, color="#56B4E9", label="training batch")
    val_steps, val_loss = series(records, "val_loss")
    name = f"validation, lowest {min(val_loss):.3f}" if val_loss else "validation"
    top.plot(val_steps, val_loss, linestyle="-", marker="o", color="#0072B2", label=name)
    everything = [*train_loss, *val_loss, *rungs.values()]
    top.set_yscale("log")
    top.set_ylim(min(everything) * 0.97, max(everything) * 1.03)
    ticks = [loss for loss in TICKS if top.get_ylim()[0] <= loss <= top.get_ylim()[1]]
    top.set_yticks(ticks, [f"{loss:g}" for loss in ticks])
    top.yaxis.set_minor_locator(NullLocator())
    places = spread([height_on(top, loss) for loss in rungs.values()], LABEL_HEIGHT)
    for (name, loss), height in zip(rungs.items(), places, strict=True):
        top.axhline(loss, color="#555555", linestyle=":", linewidth=1)
        top.annotate(
            f"{name} {loss:.2f}",
            (1, height_on(top, loss)),
            (1.03, height),
            xycoords="axes fraction",
            va="center",
            fontsize=10,
            arrowprops={"arrowstyle": "-", "color": "#555555", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )
    top.set(ylabel="loss (nats per token)", title=title)
    top.legend(loc="upper center")
    bottom.plot(*series(records, "learning_rate"), linestyle="-", color="#000000")
    bottom.set(ylabel="learning\nrate", ylim=(0, None))
    if norms:
        panels[2].plot(*series(records, "grad_norm"), linestyle="-", linewidth=1, color="#000000")
        panels[2].set(ylabel="gradient\nnorm", ylim=(0, None))
    panels[-1].set(xlabel="step")
    for panel in panels[1:]:
        panel.grid(True)
    return figure


def height_on(axes, loss: float) -> float:
    """Where a loss lies on the axis: 0 at its foot, 1 at its top."""
    return float(axes.transAxes.inverted().transform(axes.transData.transform((0, loss)))[1])
