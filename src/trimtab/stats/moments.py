"""Mean and standard deviation of many rows of numbers at once, in bounded memory.

Two passes, the second over deviations from the mean, so that nothing cancels however far from zero
the numbers lie; source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance"
(The American Statistician, 1983).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.stats.logspace import FloatArray

__all__ = ["moments"]

AT_ONCE = 1 << 16
"""Numbers of which copies in float64 are made at a time."""


def moments(rows: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation (divided by the count) of each row of [rows, numbers].

    Numbers that are not finite are left out; a row without any other has NaN for both, and one
    whose sums leave float64 has no finite ones. Raises ``ValueError`` for another rank.

    >>> mean, deviation = moments(np.array([[1, 2, 3, 4], [5, 5, 5, 5]], dtype=np.uint8))
    >>> mean.tolist(), deviation.round(4).tolist()
    ([2.5, 5.0], [1.118, 0.0])
    """
    if rows.ndim != 2:
        raise ValueError(f"rows and their numbers are wanted, not an array of rank {rows.ndim}")
    mean, deviation = np.empty(len(rows)), np.empty(len(rows))
    size = max(1, AT_ONCE // max(1, rows.shape[1]))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for start in range(0, len(rows), size):
            some = slice(start, start + size)
            mean[some], deviation[some] = _of_some(rows[some])
    return mean, deviation


def _of_some(rows: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    count, total, squares = np.zeros((3, len(rows)))
    for part, known in _parts(rows):
        count += known.sum(axis=1)
        total += part.sum(axis=1, where=known)
    mean = total / count
    for part, known in _parts(rows):
        squares += np.square(part - mean[:, None]).sum(axis=1, where=known)
    return mean, np.sqrt(squares / count)


def _parts(rows: NDArray[Any]) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
    """Some numbers of all rows at a time as float64, and which of them count."""
    for start in range(0, rows.shape[1], AT_ONCE):
        part = rows[:, start : start + AT_ONCE].astype(np.float64)
        yield part, np.isfinite(part)
