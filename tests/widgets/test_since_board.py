"""The board of chapter 16 without a browser: rows by switches, the picture, the controls driven."""

import pytest

from gptlib.widgets.kit.palette import BLUE, VERMILLION
from gptlib.widgets.since_board import SWITCHES, SinceBoard, alt, compute, render, row_named, summary


def runs(part="board", **effects):
    """Three pairs of each row; `effects` by name with _ for spaces."""
    found = []
    for name, change in {"base": 0.0, **effects}.items():
        for pair, noise in enumerate((0.0, 0.001, -0.001)):
            loss = 1.3 + 0.1 * pair + change + (noise if change else 0)
            row = dict(part=part, name=name.replace("_", " "), kind="steps", pair=pair, val_loss=loss)
            found.append({**row, "step_ms": 6.0, "parameters": 10})
    return found


RUNS = runs(RoPE=-0.02, RMSNorm=0.01, all=-0.03, all_but_RoPE=0.0001)


def test_rows_by_switches():
    assert row_named([]) == "base" and row_named(["RoPE"]) == "RoPE"
    assert row_named(SWITCHES) == "all" and row_named(SWITCHES[1:]) == "all but RoPE"
    assert row_named(["RoPE", "RMSNorm"]) is None


def test_what_was_measured_and_what_was_not():
    alone = compute(RUNS, ["RoPE"])
    assert alone.found.mean == pytest.approx(-0.02) and "RoPE: -0.0200" in summary(alone)
    both = compute(RUNS, ["RoPE", "RMSNorm"])
    assert both.found is None and "not run" in summary(both) and "-0.0100" in summary(both)
    assert "base" in summary(compute(RUNS, []))
    assert compute(RUNS, SWITCHES).found.mean == pytest.approx(-0.03)
    assert compute(RUNS, ["RoPE"], "small").found is None
    with pytest.raises(ValueError, match="'ALiBi' is no switch"):
        compute(RUNS, ["ALiBi"])


def test_better_is_left_and_blue(painted):
    picture = render(compute(RUNS, ["RoPE", "RMSNorm"]))
    assert painted(picture, BLUE).any() and painted(picture, VERMILLION).any()
    assert not painted(render(compute(RUNS, ["RoPE"])), VERMILLION).any()
    assert "RMSNorm +0.0100" in alt(compute(RUNS, ["RoPE", "RMSNorm"])) and render(compute(RUNS, []))


def test_controls_redraw():
    widget = SinceBoard(RUNS + runs("small", RoPE=-0.05))
    before = widget.image.png
    assert widget.state.name == "RoPE"
    widget.boxes["RMSNorm"].value = True
    assert widget.state.name is None and widget.image.png != before
    widget.boxes["RMSNorm"].value = False
    widget.part.value = "small"
    assert widget.state.found.mean == pytest.approx(-0.05) and widget.message.value == ""
