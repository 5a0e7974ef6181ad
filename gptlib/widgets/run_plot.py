"""Figures of training runs: losses against the ladder's rungs, one run with its learning rate or several."""

from itertools import cycle

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gptlib.widgets.kit.palette import BLACK, BLUE, DARK_GREY, SKY_BLUE
from gptlib.widgets.kit.style import book_style

TICKS = (0.5, 0.7, 1, 1.2, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8, 10)  # nats
MARKERS = "os^DvP"  # of several runs; a grey copy shows them and the dashes
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
        places[i] = max(heights[i], below + gap)
        below = places[i]
    return [places[i] for i in range(len(heights))]


def plot_run(records: list[dict], rungs: dict[str, float], title: str, norms: bool = False) -> Figure:
    """Training and validation loss, the rungs {name: loss} as labelled lines, the learning rate below.

    With `norms`, a third panel shows the gradient norm. ValueError when the records hold no training loss.
    """
    if not series(records, "train_loss")[0]:
        raise ValueError(f"none of the {len(records)} records holds a train_loss")
    ratios, size = ((4, 1, 1), (7.2, 5.8)) if norms else ((4, 1), (7.2, 4.8))
    figure, panels = plt.subplots(len(ratios), sharex=True, height_ratios=ratios, figsize=size)
    losses, rate = panels[:2]
    draw_losses(losses, records, rungs)
    losses.set(ylabel="loss (nats per token)", title=title)
    losses.legend(loc="upper center")
    rate.plot(*series(records, "learning_rate"), linestyle="-", color=BLACK)
    rate.set(ylabel="learning\nrate", ylim=(0, None))
    if norms:
        panels[2].plot(*series(records, "grad_norm"), linestyle="-", linewidth=1, color=BLACK)
        panels[2].set(ylabel="gradient\nnorm", ylim=(0, None))
    panels[-1].set(xlabel="step")
    for panel in panels[1:]:
        panel.grid(True)
    return figure


def draw_losses(axes: Axes, records: list[dict], rungs: dict[str, float]) -> None:
    """Both losses of one run and the rungs."""
    steps, train_loss = series(records, "train_loss")
    axes.plot(steps, train_loss, linestyle="-", linewidth=1, color=SKY_BLUE, label="training batch")
    steps, val_loss = series(records, "val_loss")
    label = f"validation, lowest {min(val_loss):.3f}" if val_loss else "validation"
    axes.plot(steps, val_loss, linestyle="-", marker="o", color=BLUE, label=label)
    draw_rungs(axes, rungs, [*train_loss, *val_loss])


def plot_losses(losses: dict[str, list[tuple[int, float]]], rungs: dict[str, float]) -> Figure:
    """Validation losses of several runs, {name: [(step, nats per character)]}, and the rungs {name: loss}.

    ValueError for a run without a loss.
    """
    book_style()
    figure = Figure(figsize=(7.2, 4.8))  # without pyplot, whose backend may want a display
    axes = figure.subplots()
    for marker, (name, points) in zip(cycle(MARKERS), losses.items()):
        if not points:
            raise ValueError(f"{name} has no validation loss")
        lowest = min(loss for _, loss in points)
        axes.plot(*zip(*points, strict=True), marker=marker, label=f"{name}, lowest {lowest:.3f}")
    draw_rungs(axes, rungs, [loss for points in losses.values() for _, loss in points])
    axes.set(xlabel="step", ylabel="validation loss (nats per character)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1))  # above: inside it would hide rungs
    return figure


def draw_rungs(axes: Axes, rungs: dict[str, float], losses: list[float]) -> None:
    """The rungs as labelled lines, on a logarithmic axis that has room for them and for `losses`."""
    everything = [*losses, *rungs.values()]
    low, high = min(everything) * 0.97, max(everything) * 1.03
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = [loss for loss in TICKS if low <= loss <= high]
    axes.set_yticks(ticks, [f"{loss:g}" for loss in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    places = spread([height_on(axes, loss) for loss in rungs.values()], LABEL_HEIGHT)
    pointer = {"arrowstyle": "-", "color": DARK_GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
    for (name, loss), place in zip(rungs.items(), places, strict=True):
        axes.axhline(loss, color=DARK_GREY, linestyle=":", linewidth=1)
        axes.annotate(
            f"{name} {loss:.2f}",
            (1, height_on(axes, loss)),
            (1.03, place),
            xycoords="axes fraction",
            va="center",
            fontsize=10,
            arrowprops=pointer,
        )


def height_on(axes: Axes, loss: float) -> float:
    """Where a loss lies on the axis: 0 at the bottom, 1 at the top."""
    return float(axes.transAxes.inverted().transform(axes.transData.transform((0, loss)))[1])
