"""Passes over the values of one column of one block: what is missing, its limits, what there is."""

import numpy as np

from trimtab.domain.records import Floats
from trimtab.stats.edges import Numbers

LARGEST_SPAN = 65_536
"""Whole numbers between their least and largest are counted one by one up to this many."""


def missing(values: Numbers) -> int:
    """How many values are NaN."""
    return int(np.count_nonzero(np.isnan(values))) if values.dtype.kind == "f" else 0


def limits(values: Numbers) -> tuple[float, float]:
    """Least and largest value, NaN left out; two NaN when there is none. Needs one value."""
    if values.dtype.kind == "f":
        return float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    return float(values.min()), float(values.max())


def distinct_wholes(values: Numbers) -> Floats | None:
    """The different whole numbers, rising; None when they are spread too far to be listed."""
    low, high = int(values.min()), int(values.max())
    if high - low >= LARGEST_SPAN:
        return None
    counts = np.bincount(np.subtract(values, low, dtype=np.int64))
    return np.asarray(np.flatnonzero(counts) + low, dtype=np.float64)
