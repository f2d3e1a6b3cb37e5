"""Mean and deviation of rows are numpy's, whatever the type, in any pieces and beside gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trimtab.stats import moments as module
from trimtab.stats.moments import moments

NUMBERS = st.sampled_from([np.uint8, np.int16, np.float16, np.float32, np.float64])


@given(
    NUMBERS.flatmap(
        lambda kind: hnp.arrays(
            kind,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
            elements=hnp.from_dtype(np.dtype(kind), min_value=-100, max_value=100)
            if np.dtype(kind).kind == "f"
            else None,
        )
    )
)
def test_they_are_those_of_numpy(rows: np.ndarray) -> None:
    mean, deviation = moments(rows)
    wide = rows.astype(np.float64)
    assert np.allclose(mean, wide.mean(axis=1))
    assert np.allclose(deviation, wide.std(axis=1), atol=1e-9)


def test_pieces_of_rows_and_of_numbers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(1e6, 1.0, (7, 50))
    whole = moments(rows)
    for size in (7, 120):
        monkeypatch.setattr(module, "AT_ONCE", size)
        assert np.allclose(moments(rows), whole)


def test_what_is_not_finite_is_left_out_and_nothing_at_all_is_nan() -> None:
    mean, deviation = moments(np.array([[1.0, np.nan, 3.0, np.inf], [np.nan] * 4]))
    assert (mean[0], deviation[0]) == (2.0, 1.0)
    assert np.isnan([mean[1], deviation[1]]).all()


def test_numbers_that_leave_float64_together_give_no_number_and_no_warning() -> None:
    mean, deviation = moments(np.full((1, 3), 1.7e308))
    assert not np.isfinite([mean[0], deviation[0]]).any()


def test_there_may_be_no_rows() -> None:
    assert [each.size for each in moments(np.empty((0, 4)))] == [0, 0]


def test_another_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 3"):
        moments(np.zeros((2, 2, 2)))
