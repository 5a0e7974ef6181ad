"""The timeline of a step without a browser: numbers by hand, the picture, the controls driven."""

import pytest

from gptlib.widgets.kit.palette import VERMILLION
from gptlib.widgets.step_timeline import (
    LATENCY,
    ROWS,
    Size,
    StepTimeline,
    compute,
    message_ms,
    render,
    summary,
)

SIZE = Size(ms=10.0, optimizer_ms=1.0, gradient_bytes=100_000_000)


def test_by_hand_without_overlap():
    state = compute("a", SIZE, 2, 100.0, 1000.0, overlap=False)
    assert state.forward == (0, 3) and state.backward == (3, 9)
    sent = 2 * LATENCY + 1.0  # two steps; 2 · 1/2 · 10⁸ bytes at 10¹¹ a second
    assert state.messages == ((9.0, pytest.approx(9 + sent)),)
    assert state.optimizer == (pytest.approx(9 + sent), pytest.approx(10 + sent))
    assert state.exposed == pytest.approx(sent) and state.efficiency == pytest.approx(10 / (10 + sent))


def test_one_gpu_sends_nothing():
    state = compute("a", SIZE, 1, 100.0, 25.0, overlap=True)
    assert state.messages == () and state.exposed == 0 and state.efficiency == 1


def test_with_overlap_only_the_last_bucket_is_waited_for():
    state = compute("a", SIZE, 2, 100.0, 10.0, overlap=True)
    assert len(state.messages) == 10
    assert state.exposed == pytest.approx(message_ms(1e7, 2, 100.0))
    ends = [stop for _, stop in state.messages]
    assert all(start >= stop for (start, _), stop in zip(state.messages[1:], ends, strict=False))


@pytest.mark.parametrize("bandwidth", [1.0, 10.0, 900.0])
@pytest.mark.parametrize("n", [2, 8, 256])
def test_overlap_never_costs_time_and_no_step_is_shorter_than_alone(n, bandwidth):
    with_, without = (compute("a", SIZE, n, bandwidth, 10.0, overlap) for overlap in (True, False))
    assert SIZE.ms <= with_.optimizer[1] <= without.optimizer[1] + 1e-9


def test_wrong_input_is_refused():
    for n, bandwidth, bucket, word in ((0, 1, 1, "n=0"), (2, 0, 1, "bandwidth=0"), (2, 1, -1, "bucket=-1")):
        with pytest.raises(ValueError, match=word):
            compute("a", SIZE, n, bandwidth, bucket, True)


def test_the_messages_are_as_long_as_the_numbers(painted):
    def width(bandwidth):
        picture = render(compute("a", SIZE, 2, bandwidth, 1000.0, overlap=False))
        rows = painted(picture, VERMILLION)
        return rows[ROWS["communication"] : ROWS["communication"] + 26].sum()

    slow, fast = (compute("a", SIZE, 2, b, 1000.0, False) for b in (20.0, 200.0))
    shares = [(m[1] - m[0]) / s.optimizer[1] for s in (slow, fast) for m in s.messages]
    assert width(20.0) / width(200.0) == pytest.approx(shares[0] / shares[1], rel=0.1)


def test_controls_redraw():
    timeline = StepTimeline({"small": SIZE, "large": Size(100.0, 5.0, 10**9)})
    before = timeline.image.png
    timeline.n.value = 8
    assert timeline.state.n == 8 and timeline.image.png != before
    timeline.size.value = "large"
    assert timeline.state.alone == 100.0
    timeline.overlap.value = False
    exposed = timeline.state.exposed
    timeline.overlap.value = True
    assert timeline.state.exposed < exposed
    timeline.bandwidth.value, timeline.bucket.value = 50.0, 100.0
    assert timeline.state.bandwidth == 50 and len(timeline.state.messages) == 10
    assert timeline.image.png == render(timeline.state) and "GPUs do the work of" in summary(timeline.state)
