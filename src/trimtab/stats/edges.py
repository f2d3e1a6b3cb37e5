"""Values counted against edges: one pass over them for each edge.

A comparison is a vector instruction in numpy; with a hundred edges or fewer that is several times
faster than a search for each value, and it lets other threads run.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
"""Whole numbers, truth values as uint8, or floats in which NaN is missing."""

COMPARED = 100
"""More edges than this are searched for, not compared with: a byte counts those that are."""

BLOCK = 40_960
"""Values compared with all edges at once: what comes of it fits into a core's second cache."""

FEW = 256
"""Fewer floats than this are searched for too: a pass costs as much whatever it passes over."""


def at_most(values: Numbers, edges: Sequence[float]) -> NDArray[np.int64]:
    """How many values are at most each of the rising, finite edges; NaN is at most none.

    Exact for every type: an edge is rounded down to the next value that the type can hold.
    """
    if len(edges) > COMPARED:
        return _searched(values, edges)
    below, column = _fitted(tuple(edges), values.dtype)
    counts = np.array([0] * below + _at_most(values[:BLOCK], column), dtype=np.int64)
    for start in range(BLOCK, values.size, BLOCK):
        counts[below:] += _at_most(values[start : start + BLOCK], column)
    return counts


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
    below, column = _fitted(tuple(edges.tolist()), values.dtype)
    bins = np.empty(values.size, dtype=np.int8)
    for start in range(0, values.size, BLOCK):
        above = np.greater(values[start : start + BLOCK], column).view(np.int8)
        np.add.reduce(above, axis=0, out=bins[start : start + BLOCK])
    found = bins.astype(np.int64)
    return found + below if below else found


def _at_most(values: Numbers, column: NDArray[Any]) -> list[int]:
    return [int(np.count_nonzero(found)) for found in np.less_equal(values, column)]


@lru_cache(maxsize=4096)
def _fitted(edges: tuple[float, ...], dtype: np.dtype[Any]) -> tuple[int, NDArray[Any]]:
    """How many edges are below all values of a type, and the others in it, one in a row."""
    rounded = [fitting(edge, dtype) for edge in edges]
    if dtype.kind == "f":
        return 0, np.array(rounded, dtype=dtype)[:, np.newaxis]
    least, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
    held = [min(edge, largest) for edge in rounded if edge >= least]
    return len(edges) - len(held), np.array(held, dtype=dtype)[:, np.newaxis]


def fitting(edge: float, dtype: np.dtype[Any]) -> Any:
    """The largest number of `dtype` that is at most `edge`; a whole one may be beyond the type."""
    if dtype == np.float64:
        return edge
    if dtype.kind != "f":
        return math.floor(edge) if math.isfinite(edge) else edge
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
