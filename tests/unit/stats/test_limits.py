"""The limits of numbers, with and without missing ones."""

import math

import numpy as np

from trimtab.stats.limits import limits


def test_limits_leave_missing_numbers_out_and_count_them() -> None:
    assert limits(np.array([3.0, 1.0, 2.0])) == (1.0, 3.0, 0)
    assert limits(np.array([3, 1], dtype=np.int8)) == (1.0, 3.0, 0)
    found = limits(np.array([np.nan, 2.0, np.nan, -1.0]))
    assert found == (-1.0, 2.0, 2)
    assert found.finite
    assert found.within(-1.0, 2.0)
    assert not found.within(-0.5, 2.0)
    assert not found.within(-1.0, 1.5)


def test_where_there_is_no_number_there_are_no_limits() -> None:
    for values, missing in ((np.empty(0), 0), (np.full(3, np.nan), 3)):
        found = limits(values)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.missing == missing
        assert not found.finite
        assert not found.within(-math.inf, math.inf)


def test_an_infinite_number_is_a_limit_and_not_finite() -> None:
    found = limits(np.array([1.0, np.inf]))
    assert found == (1.0, math.inf, 0)
    assert not found.finite
