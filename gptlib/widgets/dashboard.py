"""Dashboard: a run while it trains, from the same records that `metrics.jsonl` gets.

Three layers: `compute` (records in, a frozen state out), `page` and `picture` (HTML and PNG bytes out), and the
widget, which is called with one record after the other: `train(…, logger=dashboard)`.
"""

import html
import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as widgets
import matplotlib.pyplot as plt

from gptlib.widgets.run_plot import plot_run

LONGEST_SAMPLE = 600  # characters


@dataclass(frozen=True)
class DashboardState:
    """Where a run stands; None for what was not recorded yet. Losses in nats per token, seconds since its start."""

    step: int = 0
    seconds: float = 0.0
    train_loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    best_step: int | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens_per_second: float | None = None
    skipped: int = 0  # steps without an update, because a number was not finite
    sample: str = ""
    sample_step: int | None = None


def compute(records: list[dict]) -> DashboardState:
    """The state after these records, rows of metrics.jsonl; samples as `train` hands them to its logger."""
    state = {}
    for record in records:
        state |= {
            k: v for k, v in record.items() if k in DashboardState.__dataclass_fields__ and k != "skipped"
        }
        if "sample" in record:
            state["sample_step"] = record["step"]
        if "skipped" in record:
            state["skipped"] = state.get("skipped", 0) + 1
        if record.get("val_loss", float("inf")) < state.get("best_val_loss", float("inf")):
            state["best_val_loss"], state["best_step"] = record["val_loss"], record["step"]
    return DashboardState(**state)


def rung_passed(loss: float | None, rungs: dict[str, float]) -> str:
    """The lowest rung that a loss lies below, in words."""
    passed = [(value, name) for name, value in rungs.items() if loss is not None and loss < value]
    return f"below the {min(passed)[1]} rung" if passed else "no rung passed yet"


def page(state: DashboardState, rungs: dict[str, float]) -> str:
    """HTML: the numbers in a row, and the latest sample."""
    figures = {
        "step": f"{state.step:,}",
        "seconds": f"{state.seconds:,.0f}",
        "training loss": shown(state.train_loss, ".3f"),
        "validation loss": shown(state.val_loss, ".3f"),
        "lowest": f"{shown(state.best_val_loss, '.3f')} (step {shown(state.best_step, ',')})",
        "learning rate": shown(state.learning_rate, ".1e"),
        "gradient norm": shown(state.grad_norm, ".2f"),
        "tokens/s": shown(state.tokens_per_second, ",.0f"),
    }
    if state.skipped:
        figures["steps skipped"] = f"{state.skipped:,}"
    cells = "".join(
        f'<td style="padding:2px 14px 2px 0;vertical-align:top">{name}<br><b>{value}</b></td>'
        for name, value in figures.items()
    )
    sample = html.escape(state.sample[:LONGEST_SAMPLE])
    written = (
        f'<p style="margin:6px 0 2px">written at step {state.sample_step:,}:</p>'
        f'<pre style="margin:0;font-size:14px;white-space:pre-wrap;color:#000;background:#fff">{sample}</pre>'
        if state.sample
        else ""
    )
    return (
        '<div role="status" style="background:#fff;color:#000;font-size:14px;line-height:1.4;padding:6px 8px">'
        f"<table><tr>{cells}</tr></table>{html.escape(rung_passed(state.val_loss, rungs))}{written}</div>"
    )


def shown(value: float | None, how: str) -> str:
    """The number, or a dash where there is none."""
    return "–" if value is None else format(value, how)


def picture(records: list[dict], rungs: dict[str, float], title: str) -> bytes:
    """PNG: losses with the rungs, the learning rate and the gradient norm. Empty before the first training loss."""
    if not any("train_loss" in record for record in records):
        return b""
    figure, buffer = plot_run(records, rungs, title, norms=True), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


class Dashboard(widgets.VBox):
    """The widget. Call it with a record; it is drawn anew at most every `every` seconds.

    `redraw()` shows what has come since, and is worth a call after the last step. `also` is another logger that
    gets every record, say a `MetricsLog`.
    """

    def __init__(self, rungs: dict[str, float], title: str, also: Callable | None = None, every: float = 1.0):
        self.rungs, self.title, self.also, self.every = rungs, title, also, every
        self.records, self.drawn, self.clock = [], float("-inf"), time.monotonic
        self.image = widgets.Image(layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.page = widgets.HTML()
        super().__init__([self.page, self.image])
        self.page.value = page(compute([]), rungs)

    def __repr__(self) -> str:
        return "Dashboard: run this notebook to use it"

    @property
    def state(self) -> DashboardState:
        """What the records say."""
        return compute(self.records)

    def __call__(self, record: dict) -> None:
        """Take one record."""
        self.records.append(record)
        if self.also:
            self.also(record)
        if self.clock() - self.drawn >= self.every:
            self.redraw()

    def redraw(self) -> None:
        """Draw all records."""
        self.page.value = page(self.state, self.rungs)
        self.image.value = picture(self.records, self.rungs, self.title)
        self.drawn = self.clock()
