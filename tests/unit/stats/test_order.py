"""Numbers in order are what sorting gives, to the sign of zero."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.stats.order import LARGEST_SPAN, in_order, near_wholes

WHOLES = st.integers(-50, 50).map(float)


@example([1e15 + 3.0, 1e15, 1e15 + 3.0])
@example([0.0, -0.0, 2.0])
@example([np.inf, 1.0, -np.inf])
@example([np.inf, np.inf])
@given(st.lists(WHOLES) | st.lists(st.floats(allow_nan=False)))
def test_the_order_is_that_of_a_sort(drawn: list[float]) -> None:
    values = np.array(drawn, dtype=np.float64)
    assert in_order(values).tolist() == np.sort(values).tolist()
    assert np.signbit(in_order(np.abs(values))).sum() == 0


def test_a_zero_below_zero_keeps_its_sign() -> None:
    assert np.signbit(in_order(np.array([3.0, -0.0]))).tolist() == [True, False]


def test_wholes_are_counted_where_they_are_near() -> None:
    assert near_wholes(np.array([5.0, 7.0]))
    assert not near_wholes(np.array([5.5, 7.0]))
    assert not near_wholes(np.array([0.0, float(LARGEST_SPAN)]))
    assert not near_wholes(np.empty(0))
