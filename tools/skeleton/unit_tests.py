"""gptlib.NAME: the moving average against its definition, and what it refuses."""

import pytest
import torch

from gptlib.NAME import deviation_left, smooth


def test_a_constant_stays_what_it_is():
    assert smooth(torch.full((5,), 2.0), keep=0.9).tolist() == pytest.approx([2.0] * 5)


def test_nothing_kept_is_the_losses_themselves():
    losses = torch.tensor([4.0, 2.0, 3.0])
    assert smooth(losses, keep=0.0).tolist() == [4.0, 2.0, 3.0]
    assert smooth(losses, keep=0.5).tolist() == [4.0, 3.0, 3.0]
    assert losses.tolist() == [4.0, 2.0, 3.0]


def test_the_more_is_kept_the_less_noise_is_left():
    assert [deviation_left(keep) for keep in (0.0, 0.6, 0.8)] == pytest.approx([1.0, 0.5, 1 / 3])


@pytest.mark.parametrize("keep", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(keep):
    with pytest.raises(ValueError, match=f"keep is {keep}: it must be at least 0 and below 1"):
        smooth(torch.zeros(2), keep)
    with pytest.raises(ValueError, match=f"keep is {keep}"):
        deviation_left(keep)
