"""Values counted against edges: one pass over them for each edge.

A comparison is a vector instruction in numpy; with a score of edges or fewer that is several times
faster than a search for each value, and it lets other threads run.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
"""Whole numbers, truth values as uint8, or floats in which NaN is missing."""

COMPARED = 24
"""More edges than this are searched for, not compared with."""

FEW = 256
"""Fewer floats than this are searched for too: a pass costs as much whatever it passes over."""


def at_most(values: Numbers, edges: Sequence[float]) -> NDArray[np.int64]:
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


def between(values: Numbers, edges: Sequence[float], known: int) -> list[int]:
    """How many of the `known` values (those that are not NaN) lie up to the first edge, between
    each two, and beyond the last.

    >>> between(np.array([1.0, 2.0, 2.5, np.nan]), [1.0, 2.0], 3)
    [1, 1, 1]
    """
    below = at_most(values, edges).tolist()
    return [high - low for low, high in zip([0, *below], [*below, known], strict=True)]


def bins_of(values: Numbers, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each value: how many of the rising edges it is above; NaN is above none.

    Exact for every type, as `at_most` is.

    >>> bins_of(np.array([0.5, 1.0, 1.5, 9.0]), np.array([1.0, 2.0])).tolist()
    [0, 0, 1, 2]
    """
    few = values.size < FEW and values.dtype.kind == "f"
    if few or edges.size > COMPARED:
        found = np.searchsorted(edges, values.astype(np.float64), side="left")
        return np.where(np.isnan(values), 0, found)
    bins = np.zeros(values.size, dtype=np.int8)
    above = np.empty(values.size, dtype=np.bool_)
    for edge in edges.tolist():
        bins += np.greater(values, fitting(edge, values.dtype), out=above).view(np.int8)
    return bins.astype(np.int64)


def fitting(edge: float, dtype: np.dtype[Any]) -> Any:
    """The largest number of `dtype` that is at most `edge`, as numpy compares without a cast."""
    if dtype == np.float64:
        return edge
    if dtype.kind != "f":
        return math.floor(edge)
    with np.errstate(over="ignore"):
        rounded = dtype.type(edge)
        # As a plain float, for numpy would round the edge itself to compare it with a narrow one.
        if float(rounded) <= edge:
            return rounded
        return np.nextafter(rounded, dtype.type(-math.inf))


def _searched(values: Numbers, edges: Sequence[float]) -> NDArray[np.int64]:
    """NaN sorts last, and so behind every edge."""
    bins = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return np.asarray(np.cumsum(counts)[: len(edges)], dtype=np.int64)
