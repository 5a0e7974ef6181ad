"""The dashboard: a run while it trains, from the records that `metrics.jsonl` gets.

Three layers: `compute` (records in, a frozen state out), `page` and `render` (HTML and PNG bytes out), and
the widget, which is a logger: `train(…, logger=dashboard)` calls it with each record.
"""

import html
import io
import time

import ipywidgets as widgets
import matplotlib.pyplot as plt

from dataclasses import dataclass, fields

from gptlib.widgets.kit.page import LINE, STYLE, box
from gptlib.widgets.kit.picture import SCALE
from gptlib.widgets.kit.widget import BookWidget, Picture
from gptlib.widgets.run_plot import plot_run

LONGEST_SAMPLE = 600  # characters
SECONDS_BETWEEN_REDRAWS = 1.0
DOTS = 80  # for an inch of the page


@dataclass(frozen=True)
class DashboardState:
    """The latest numbers of a run, None for what was not recorded yet. Losses in nats per token."""

    step: int = 0
    seconds: float = 0.0  # since the start
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
    """The state after these records, which are rows of metrics.jsonl and the samples that `train` logs."""
    names = {field.name for field in fields(DashboardState)} - {"skipped"}
    state = {}
    for record in records:
        state |= {name: value for name, value in record.items() if name in names}
        if "sample" in record:
            state["sample_step"] = record["step"]
        if "skipped" in record:
            state["skipped"] = state.get("skipped", 0) + 1
        if record.get("val_loss", float("inf")) < state.get("best_val_loss", float("inf")):
            state["best_val_loss"] = record["val_loss"]
            state["best_step"] = record["step"]
    return DashboardState(**state)


def rung_passed(loss: float | None, rungs: dict[str, float]) -> str:
    """The lowest rung above the loss, in words."""
    passed = [(value, name) for name, value in rungs.items() if loss is not None and loss < value]
    return f"below the {min(passed)[1]} rung" if passed else "no rung passed yet"


def formatted(value: float | None, spec: str) -> str:
    """The number, or a dash for None."""
    return "–" if value is None else format(value, spec)


def page(state: DashboardState, rungs: dict[str, float]) -> str:
    """HTML: the numbers in a row, and the latest sample."""
    best = f"{formatted(state.best_val_loss, '.3f')} (step {formatted(state.best_step, ',')})"
    figures = {
        "step": f"{state.step:,}",
        "seconds": f"{state.seconds:,.0f}",
        "training loss": formatted(state.train_loss, ".3f"),
        "validation loss": formatted(state.val_loss, ".3f"),
        "lowest": best,
        "learning rate": formatted(state.learning_rate, ".1e"),
        "gradient norm": formatted(state.grad_norm, ".2f"),
        "tokens/s": formatted(state.tokens_per_second, ",.0f"),
    }
    if state.skipped:
        figures["steps skipped"] = f"{state.skipped:,}"
    cells = "".join(
        f'<td style="padding:2px 14px 2px 0;vertical-align:top">{name}<br><b>{value}</b></td>'
        for name, value in figures.items()
    )
    content = f"<table><tr>{cells}</tr></table>{html.escape(rung_passed(state.val_loss, rungs))}"
    if state.train_loss is None:
        content += "; the figure comes with the first training loss"
    if state.sample:
        sample = html.escape(state.sample[:LONGEST_SAMPLE])
        content += f'<p style="margin:6px 0 2px">written at step {state.sample_step:,}:</p>'
        content += f'<pre style="{STYLE};{LINE};margin:0;padding:0;white-space:pre-wrap">{sample}</pre>'
    return box(content, attributes='role="status"')


def render(records: list[dict], rungs: dict[str, float], title: str) -> bytes:
    """PNG: losses with the rungs, learning rate and gradient norm; b"" before the first training loss."""
    if not any("train_loss" in record for record in records):
        return b""
    figure = plot_run(records, rungs, title, norms=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=SCALE * DOTS, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def alt(state: DashboardState, title: str, rungs: dict[str, float]) -> str:
    """What the picture shows, in words."""
    val = f", validation loss {formatted(state.val_loss, '.3f')}, {rung_passed(state.val_loss, rungs)}"
    return (
        f"{title}, up to step {state.step:,}: losses, learning rate and gradient norm against the step; "
        f"training loss {formatted(state.train_loss, '.3f')}{val}"
    )


class Dashboard(BookWidget):
    """The widget. Call it with each record; it redraws at most once a second.

    Call `redraw()` after the last step, because the last records may not be drawn yet.
    """

    def __init__(self, rungs: dict[str, float], title: str):
        self.rungs = rungs
        self.title = title
        self.records: list[dict] = []
        self.clock = time.monotonic
        self.drawn = float("-inf")  # when it was redrawn last
        self.page = widgets.HTML(page(compute([]), rungs))
        self.image = Picture()
        super().__init__([], [self.page, self.image])

    @property
    def state(self) -> DashboardState:
        """What the records say."""
        return compute(self.records)

    def __call__(self, record: dict) -> None:
        """Take one record."""
        self.records.append(record)
        if self.clock() - self.drawn >= SECONDS_BETWEEN_REDRAWS:
            self.redraw()

    def show_state(self) -> None:
        self.page.value = page(self.state, self.rungs)
        picture = render(self.records, self.rungs, self.title)
        self.image.show(picture, alt(self.state, self.title, self.rungs))
        self.drawn = self.clock()
