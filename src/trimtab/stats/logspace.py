"""Arithmetic on logarithms, for products of bets far outside the range of floats."""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LN10 = math.log(10.0)


def log_sum_exp(values: FloatArray) -> float:
    """Return ``log(sum(exp(values)))``; ``-inf`` when every entry is ``-inf`` or none is given.

    >>> round(log_sum_exp(np.log(np.array([1.0, 2.0, 5.0]))), 12) == round(math.log(8.0), 12)
    True
    """
    peak = float(values.max(initial=-math.inf))
    if peak == -math.inf:
        return peak
    return peak + math.log(float(np.exp(values - peak).sum()))


def log_mean_exp(values: FloatArray) -> float:
    """Return the logarithm of the mean of ``exp(values)``: a mixture with equal weights.

    >>> log_mean_exp(np.zeros(12))
    0.0
    """
    return log_sum_exp(values) - math.log(values.size)


def log_sums_exp(rows: FloatArray) -> FloatArray:
    """Return :func:`log_sum_exp` of each row (R, K), whose entries are finite, to the bit.

    >>> log_sums_exp(np.log(np.array([[1.0, 3.0], [2.0, 2.0]]))).tolist() == [math.log(4.0)] * 2
    True
    """
    peaks = rows.max(axis=1)
    sums = np.exp(rows - peaks[:, None]).sum(axis=1)
    # The logarithm of numpy may differ from this one in the last bit.
    logs = [math.log(each) for each in sums.tolist()]
    return np.asarray(peaks + np.array(logs, dtype=np.float64), dtype=np.float64)


def log_means_exp(rows: FloatArray) -> FloatArray:
    """Return :func:`log_mean_exp` of each row (R, K), whose entries are finite, to the bit.

    >>> log_means_exp(np.zeros((2, 12))).tolist()
    [0.0, 0.0]
    """
    return log_sums_exp(rows) - math.log(rows.shape[1])
