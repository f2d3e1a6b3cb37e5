"""Passes over the values of one column of one block: what is missing, its limits, what there is."""

import math
from typing import NamedTuple

import numpy as np

from trimtab.domain.records import Floats
from trimtab.stats.edges import Numbers

LARGEST_SPAN = 65_536
"""Whole numbers between their least and largest are counted one by one up to this many."""


class Limits(NamedTuple):
    """Least and largest value, NaN left out, and how many are NaN; two NaN when all are."""

    low: float
    high: float
    missing: int


def limits(values: Numbers) -> Limits:
    """The limits of at least one value."""
    low = float(values.min())
    if not math.isnan(low):
        return Limits(low, float(values.max()), 0)
    gone = int(np.count_nonzero(np.isnan(values)))
    return Limits(float(np.fmin.reduce(values)), float(np.fmax.reduce(values)), gone)


def distinct_wholes(values: Numbers) -> Floats | None:
    """The different whole numbers, rising; None when they are spread too far to be listed."""
    # Not from `limits`: as a float a large whole number is another one.
    low, high = int(values.min()), int(values.max())
    if high - low >= LARGEST_SPAN:
        return None
    counts = np.bincount(np.subtract(values, low, dtype=np.int64))
    return np.asarray(np.flatnonzero(counts) + low, dtype=np.float64)
