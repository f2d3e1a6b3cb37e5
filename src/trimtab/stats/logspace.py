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
