"""The figure of a run: losses, rungs whose labels do not overlap, and the learning rate."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gptlib.widgets.run_plot import plot_run, spread

RECORDS = [
    {"step": step, "train_loss": 4 - step / 50, "learning_rate": 1e-3, "grad_norm": 2.0}
    for step in range(10, 110, 10)
]
RECORDS += [{"step": 50, "val_loss": 3.2}, {"step": 100, "val_loss": 2.5}]
RUNGS = {"uniform": 4.174, "4-gram": 1.774, "5-gram": 1.669}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_losses_rungs_and_rate_are_shown():
    top, bottom = plot_run(RECORDS, RUNGS, "a run").axes
    train, val = top.lines[:2]
    assert train.get_ydata()[0] == 3.8 and list(val.get_xdata()) == [50, 100]
    assert val.get_label() == "validation, lowest 2.500"
    assert [text.get_text() for text in top.texts] == ["uniform 4.17", "4-gram 1.77", "5-gram 1.67"]
    heights = sorted(text.xyann[1] for text in top.texts)
    assert min(np.diff(heights)) >= 0.069  # no two labels overlap
    assert top.get_ylabel() == "loss (nats per token)" and bottom.get_xlabel() == "step"
    assert list(bottom.lines[0].get_ydata()) == [1e-3] * 10


def test_norms_have_a_panel_of_their_own():
    *_, norms = plot_run(RECORDS, {}, "", norms=True).axes
    assert list(norms.lines[0].get_ydata()) == [2.0] * 10 and norms.get_xlabel() == "step"


def test_a_run_without_training_losses_is_refused():
    with pytest.raises(ValueError, match="none of the 1 records holds a train_loss"):
        plot_run([{"step": 1, "val_loss": 2.0}], {}, "")


def test_spread_moves_up_only_what_is_too_close():
    assert spread([5.0, 0.0, 0.1], 1.0) == [5, 0, 1] and spread([], 1.0) == []
