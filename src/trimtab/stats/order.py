"""Numbers in their order: by counting where they are whole and near each other, else by sorting."""

import numpy as np
from numpy.typing import NDArray

LARGEST_SPAN = 2**20
"""Whole numbers between their least and largest are counted up to this many."""


def near_wholes(values: NDArray[np.float64]) -> bool:
    """Whether there are values, and all are whole numbers that can be counted one by one."""
    if not values.size:
        return False
    span = float(values.max()) - float(values.min())
    return span < LARGEST_SPAN and bool((np.floor(values) == values).all())


def in_order(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, none of which is NaN, from the least to the largest.

    >>> in_order(np.array([3.0, 1.0, 3.0, -2.0])).tolist()
    [-2.0, 1.0, 3.0, 3.0]
    """
    # A zero below zero keeps its sign where it is sorted.
    if not near_wholes(values) or bool((np.signbit(values) & (values == 0.0)).any()):
        return np.sort(values)
    low = float(values.min())
    counts = np.bincount((values - low).astype(np.int64))
    return np.asarray(np.repeat(np.arange(counts.size) + low, counts), dtype=np.float64)
