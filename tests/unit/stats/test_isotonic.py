"""Isotonic means of bins, against an independent implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from trimtab.stats.isotonic import isotonic

BINS = st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 50)), min_size=1, max_size=30)


@given(BINS)
def test_means_are_those_of_the_monotone_least_squares_fit(bins: list[tuple[float, int]]) -> None:
    means, weights = (np.array(part, dtype=np.float64) for part in zip(*bins, strict=True))
    peer = IsotonicRegression().fit_transform(np.arange(means.size), means, sample_weight=weights)
    assert isotonic(means * weights, weights) == pytest.approx(peer, abs=1e-9)


@given(BINS)
def test_the_total_is_kept(bins: list[tuple[float, int]]) -> None:
    means, weights = (np.array(part, dtype=np.float64) for part in zip(*bins, strict=True))
    assert float(isotonic(means * weights, weights) @ weights) == pytest.approx(means @ weights)


def test_bins_without_weight_at_the_ends_take_the_nearest_mean() -> None:
    assert isotonic([0.0, 1.0, 3.0, 0.0], [0.0, 4.0, 4.0, 0.0]).tolist() == [0.25, 0.25, 0.75, 0.75]


@pytest.mark.parametrize(
    ("totals", "weights"),
    [([1.0], [1.0, 2.0]), ([1.0], [-1.0]), ([0.0], [0.0]), ([np.nan], [1.0]), ([1.0], [np.nan])],
)
def test_what_is_no_binning_is_refused(totals: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="totals and weights"):
        isotonic(totals, weights)
