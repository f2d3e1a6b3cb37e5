"""Weights of the reference under covariate shift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.stats.density_ratio import DensityRatio


def bins(seed: int, n: int = 400) -> np.ndarray:
    """Two columns in bins, as 0/1 features."""
    generator = np.random.default_rng(seed)
    return np.hstack([np.eye(k)[generator.integers(0, k, n)] for k in (3, 4)])


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(51, 99))
def test_weighted_means_of_the_features_become_those_of_the_live_rows(one: int, two: int) -> None:
    """Without a ridge they are matched exactly, and the weights have mean 1."""
    reference, live = bins(one), bins(two)[:100].mean(axis=0)
    weights = DensityRatio.fit(reference, ridge=0.0).weights(reference, live)
    assert weights.mean() == pytest.approx(1.0)
    assert weights @ reference / len(reference) == pytest.approx(live, abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(51, 99))
def test_inflation_bounds_the_mean_of_squared_weights(one: int, two: int) -> None:
    reference, live = bins(one), bins(two)[:50].mean(axis=0)
    ratio = DensityRatio.fit(reference)
    squares = float((ratio.weights(reference, live) ** 2).mean())
    assert 1.0 <= squares <= ratio.inflation(live) + 1e-9


def test_a_weighted_outcome_is_the_ridge_regression_at_the_live_mean() -> None:
    """The duality that lets sums stand for rows."""
    reference = bins(3)
    live = bins(4)[:50].mean(axis=0)
    outcome = reference @ np.arange(7.0) + 1.0
    weights = DensityRatio.fit(reference, ridge=0.0).weights(reference, live)
    assert (weights * outcome).mean() == pytest.approx(live @ np.arange(7.0) + 1.0, abs=1e-4)


@pytest.mark.parametrize("features", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]])])
def test_features_that_are_no_table_are_refused(features: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite features"):
        DensityRatio.fit(features)


def test_a_live_mean_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="a mean of"):
        DensityRatio.fit(bins(1)).slope([0.5])
