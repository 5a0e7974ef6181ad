"""The law: what was put in comes out, the best size is the best, and what cannot be fitted is refused."""

import numpy as np
import pytest

from gptlib.law import Law, bootstrap, coefficients, compute_optimal, fit_law

PUT_IN = Law(1.2, 40.0, 0.34, 60.0, 0.28)


@pytest.fixture
def runs():
    """Weights and tokens of four budgets and four sizes."""
    budgets, ratios = (1e13, 3e13, 9e13, 3e14), (80, 30, 12, 5)
    sizes = [((C / 6 / ratio) ** 0.5, (C / 6 * ratio) ** 0.5) for C in budgets for ratio in ratios]
    return np.array(sizes).T


def test_a_law_without_noise_is_found(runs):
    found = fit_law(*runs, PUT_IN.loss(*runs))
    for name in ("E", "A", "alpha", "B", "beta"):
        assert getattr(found, name) == pytest.approx(getattr(PUT_IN, name), rel=1e-3)
    assert found.exponent == pytest.approx(0.28 / 0.62, rel=1e-3)


def test_lists_are_taken_as_well(runs):
    lists = [x.tolist() for x in (*runs, PUT_IN.loss(*runs))]
    assert fit_law(*lists) == fit_law(*runs, PUT_IN.loss(*runs))


def test_the_coefficients_are_those_of_least_squares(runs):
    """Against numpy's solver, for one pair of exponents."""
    N, D = runs
    losses = PUT_IN.loss(N, D) * np.exp(np.random.default_rng(0).normal(0, 0.01, len(N)))
    (found,), (error,) = coefficients([(0.3, 0.35)], N, D, losses)
    X = np.stack([np.ones(len(N)), N**-0.3, D**-0.35], axis=1) / losses[:, None]
    right, (residual,), *_ = np.linalg.lstsq(X, np.ones(len(N)), rcond=None)
    assert found == pytest.approx(right, rel=1e-5) and error == pytest.approx(residual, rel=1e-6)


def test_negative_coefficients_are_no_law(runs):
    N, D = runs
    (_, error) = coefficients([(0.3, 0.3)], N, D, 5 - 40 / N**0.3 + 60 / D**0.3)
    assert error[0] == np.inf


def test_the_best_size_is_the_lowest_on_a_grid():
    for flops in (1e10, 1e15):
        N, D = compute_optimal(PUT_IN, flops)
        assert 6 * N * D == pytest.approx(flops)
        grid = N * np.geomspace(0.1, 10, 2001)
        assert abs(grid[PUT_IN.loss(grid, flops / 6 / grid).argmin()] / N - 1) < 0.01


def test_the_bootstrap_repeats_itself_and_has_the_truth(runs):
    losses = PUT_IN.loss(*runs) * np.exp(np.random.default_rng(0).normal(0, 0.003, 16))
    laws = bootstrap(*runs, losses, 40)
    assert laws == bootstrap(*runs, losses, 40) != bootstrap(*runs, losses, 40, seed=1)
    low, high = np.percentile([law.loss(1e7, 2e8) for law in laws], [5, 95])
    assert low < PUT_IN.loss(1e7, 2e8) < high


def test_what_cannot_be_fitted_is_said(runs):
    with pytest.raises(ValueError, match="5 runs: a law of five numbers takes at least 6"):
        fit_law(*runs[:, :5], PUT_IN.loss(*runs[:, :5]))
    with pytest.raises(ValueError, match="no law with positive"):
        fit_law(*runs, 1 + np.log(runs[0]) / 10 + np.log(runs[1]) / 10)
