"""Sums of logarithms, row by row."""

import numpy as np
import pytest

from trimtab.stats.logspace import log_mean_exp, log_means_exp, log_sum_exp, log_sums_exp


@pytest.mark.parametrize("width", [1, 2, 7, 8, 20])
def test_rows_are_summed_to_the_bit_as_each_by_itself(width: int) -> None:
    rows = np.random.default_rng(width).normal(0.0, 300.0, (500, width))
    assert log_sums_exp(rows).tolist() == [log_sum_exp(row) for row in rows]
    assert log_means_exp(rows).tolist() == [log_mean_exp(row) for row in rows]


def test_of_no_row_there_is_no_sum() -> None:
    assert log_sums_exp(np.zeros((0, 8))).tolist() == []
