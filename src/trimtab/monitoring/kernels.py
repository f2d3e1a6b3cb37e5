"""The innermost loops of counting: one pass over the values of one column of one block.

A comparison with each edge is a vector instruction in numpy; with a score of edges or fewer that is
several times faster than a search per value, and it lets other threads run.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats, Ints

Numbers = NDArray[Any]
"""Whole numbers, truth values as uint8, or floats in which NaN is missing."""

LARGEST_SPAN = 65_536
"""Whole numbers between their least and largest are counted one by one up to this many."""

COMPARED = 24
"""More edges than this are searched for, not compared with."""


def at_most(values: Numbers, edges: Sequence[float]) -> Ints:
    """How many values are at most each of the rising, finite edges; NaN is at most none.

    Exact for every type: an edge is rounded down to the next value that the type can hold.
    """
    if len(edges) > COMPARED:
        return _searched(values, edges)
    found = np.empty(values.size, dtype=np.bool_)
    counts = [
        np.count_nonzero(np.less_equal(values, fitting(edge, values.dtype), out=found))
        for edge in edges
    ]
    return np.array(counts, dtype=np.int64)


def fitting(edge: float, dtype: np.dtype[Any]) -> Any:
    """The largest number of `dtype` that is at most `edge`, as numpy compares without a cast."""
    if dtype.kind != "f":
        return math.floor(edge)
    with np.errstate(over="ignore"):
        rounded = dtype.type(edge)
        # As a plain float, for numpy would round the edge itself to compare it with a narrow one.
        if float(rounded) <= edge:
            return rounded
        return np.nextafter(rounded, dtype.type(-math.inf))


def _searched(values: Numbers, edges: Sequence[float]) -> Ints:
    """NaN sorts last, and so behind every edge."""
    bins = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return np.asarray(np.cumsum(counts)[: len(edges)], dtype=np.int64)


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
