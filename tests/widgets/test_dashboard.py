"""The dashboard without a browser: numbers, at most a redraw a second, escaped samples, a real run."""

import torch

from gptlib.config import TrainConfig
from gptlib.gpt import GPT, GPTConfig
from gptlib.training import train
from gptlib.widgets.dashboard import Dashboard, DashboardState, compute, page, render, rung_passed
from gptlib.widgets.kit.palette import BLUE

RUNGS = {"uniform": 4.17, "1-gram": 3.35, "2-gram": 2.49}
RECORDS = [
    {
        "step": 1,
        "seconds": 0.5,
        "train_loss": 4.2,
        "learning_rate": 1e-3,
        "grad_norm": 2.0,
        "tokens_per_second": 1000,
    },
    {"step": 10, "seconds": 2.0, "val_loss": 3.0},
    {"step": 20, "seconds": 4.0, "val_loss": 3.2},
    {"step": 20, "seconds": 4.1, "sample": "<b>To be</b>"},
    {"step": 21, "seconds": 4.2, "skipped": "loss nan, gradient norm nan"},
]


def test_numbers_are_the_latest_and_the_lowest():
    state = compute(RECORDS)
    assert (state.step, state.seconds, state.train_loss, state.val_loss) == (21, 4.2, 4.2, 3.2)
    assert (state.best_val_loss, state.best_step, state.sample_step, state.skipped) == (3.0, 10, 20, 1)
    assert compute([]) == DashboardState()


def test_rungs_in_words():
    assert rung_passed(None, RUNGS) == rung_passed(5.0, RUNGS) == "no rung passed yet"
    assert rung_passed(3.0, RUNGS) == "below the 1-gram rung"


def test_a_sample_stays_text_and_nothing_is_missing():
    text = page(compute(RECORDS), RUNGS)
    assert "&lt;b&gt;To be" in text and "<b>To be" not in text
    for number in ("4.200", "3.200", "3.000 (step 10)", "1.0e-03", "2.00", "1,000", "below the 1-gram rung"):
        assert number in text
    assert "steps skipped" in text and "steps skipped" not in page(compute(RECORDS[:4]), RUNGS)
    assert page(compute([]), RUNGS).count("–") == 7


def test_the_picture_waits_for_a_training_loss(painted):
    assert render(RECORDS[1:], RUNGS, "run") == b""
    assert painted(render(RECORDS, RUNGS, "run"), BLUE).sum() > 100  # the validation loss


def test_before_training_there_is_no_image_and_the_page_says_why():
    dashboard = Dashboard(RUNGS, "run")
    dashboard.redraw()
    assert dashboard.image.value == "" and dashboard.image.layout.display == "none"
    assert "the figure comes with the first training loss" in dashboard.page.value
    dashboard(RECORDS[0])
    dashboard.redraw()
    assert 'alt="run, up to step 1: losses' in dashboard.image.value
    assert "the figure comes" not in dashboard.page.value


def test_it_is_drawn_once_a_second_and_on_request():
    dashboard, now = Dashboard(RUNGS, "run"), [100.0]
    dashboard.clock = lambda: now[0]
    drawn = []
    dashboard.image.observe(lambda change: drawn.append(now[0]), "value")
    for tenth in range(40):
        now[0] = 100 + tenth / 10
        dashboard({**RECORDS[0], "step": tenth + 1, "train_loss": 4 - tenth / 100})
    assert drawn == [100.0, 101.0, 102.0, 103.0]
    dashboard.redraw()
    assert len(drawn) == 5 and dashboard.state.step == 40


def test_a_real_run_gives_it_its_records():
    config = TrainConfig(6, batch_size=2, warmup_steps=2, eval_interval=3, log_interval=1, sample_interval=3)
    model = GPT(GPTConfig(11, block_size=8, n_layer=1, n_head=1, n_embd=8))
    tokens = torch.arange(200) % 11
    dashboard = Dashboard(RUNGS, "run")
    result = train(model, tokens, tokens[:40], config, sample_fn=lambda model: "text", logger=dashboard)
    dashboard.redraw()
    assert dashboard.records == result.records and dashboard.state.step == 6
    assert dashboard.state.sample == "text" and dashboard.image.png
