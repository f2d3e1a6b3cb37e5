"""Passes over the values of one column of one block: what there is."""

import numpy as np

from trimtab.domain.records import Floats
from trimtab.stats.edges import Numbers

LARGEST_SPAN = 65_536
"""Whole numbers between their least and largest are counted one by one up to this many."""


def distinct_wholes(values: Numbers) -> Floats | None:
    """The different whole numbers, rising; None when they are spread too far to be listed."""
    # Not from their limits: as a float a large whole number is another one.
    low, high = int(values.min()), int(values.max())
    if high - low >= LARGEST_SPAN:
        return None
    counts = np.bincount(np.subtract(values, low, dtype=np.int64))
    return np.asarray(np.flatnonzero(counts) + low, dtype=np.float64)
