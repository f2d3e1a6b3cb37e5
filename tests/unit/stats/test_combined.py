"""Intervals from several sources of error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimtab.stats.combined import (
    Part,
    combined_interval,
    jackknife_variance,
    student_quantile,
)


@given(st.floats(0.51, 0.9999), st.floats(0.5, 1e5))
def test_quantiles_are_those_of_students_t(level: float, freedom: float) -> None:
    peer = float(stats.t.ppf(level, freedom))
    assert student_quantile(level, freedom) == pytest.approx(peer, rel=1e-6, abs=1e-9)


def test_many_degrees_of_freedom_give_the_normal_quantile() -> None:
    assert student_quantile(0.995, math.inf) == pytest.approx(2.5758293035489)


@given(st.floats(1.0, 50.0), st.floats(0.01, 10.0))
def test_a_single_part_gives_its_own_interval(freedom: float, variance: float) -> None:
    found = combined_interval(1.0, [Part(variance, freedom)], 0.9)
    peer = stats.t.interval(0.9, freedom, 1.0, math.sqrt(variance))
    assert found == pytest.approx(peer, rel=1e-6)


def test_without_error_the_interval_is_the_value() -> None:
    assert combined_interval(0.3, []) == (0.3, 0.3)


def test_the_jackknife_of_a_mean_is_its_squared_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=30)
    without = (values.sum() - values) / 29
    assert jackknife_variance(without) == pytest.approx(values.var(ddof=1) / 30)
    assert jackknife_variance([0.5]) == 0.0


@pytest.mark.parametrize(("parts", "confidence"), [([Part(-1.0)], 0.9), ([], 1.0)])
def test_impossible_parts_are_refused(parts: list[Part], confidence: float) -> None:
    with pytest.raises(ValueError, match="variances"):
        combined_interval(0.0, parts, confidence)


@pytest.mark.parametrize(("level", "freedom"), [(0.4, 1.0), (1.0, 1.0), (0.9, 0.0)])
def test_impossible_quantiles_are_refused(level: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="level"):
        student_quantile(level, freedom)
