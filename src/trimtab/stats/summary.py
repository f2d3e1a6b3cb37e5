"""Rows of many numbers by a few: mean, deviation, and projections on fixed random directions.

An embedding whose cloud has moved or turned has moved along nearly every direction, so a few tell.
Directions are of random signs, drawn by the splitmix64 generator from the place of each number
alone: the same in every process and release. Source: Achlioptas, "Database-friendly random
projections" (J. Comput. Syst. Sci., 2003).
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.stats.logspace import FloatArray
from trimtab.stats.moments import AT_ONCE, moments

__all__ = ["projections", "summary"]

DIRECTIONS = 4


def summary(rows: NDArray[Any]) -> tuple[FloatArray, ...]:
    """Return mean, deviation and ``DIRECTIONS`` projections of each row of [rows, numbers].

    Raises ``ValueError`` for another rank.
    """
    return (*moments(rows), *projections(rows))


def projections(rows: NDArray[Any]) -> FloatArray:
    """Return (directions, rows): each row's numbers with the signs of each direction, summed.

    Sums are divided by the root of how many numbers a row has. Numbers that are not finite are left
    out; a row without any other has NaN, and one whose sums leave float64 has none that is finite.

    >>> projections(np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [5.0, 0.0]]
    """
    signs = _signs(rows.shape[1])
    made = np.empty((DIRECTIONS, len(rows)))
    size = max(1, AT_ONCE // max(1, rows.shape[1]))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(rows), size):
            some = np.asarray(rows[start : start + size], dtype=np.float64)
            finite = np.isfinite(some)
            summed = np.where(finite, some, 0.0) @ signs
            summed[~finite.any(axis=1)] = np.nan
            made[:, start : start + size] = summed.T
    return made


@lru_cache(maxsize=8)
def _signs(width: int) -> FloatArray:
    """Directions (width, directions): signs, divided by the root of the width."""
    state = np.arange(1, width * DIRECTIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    signs = np.where(state >> np.uint64(63), 1.0, -1.0).reshape(width, DIRECTIONS)
    signs /= np.sqrt(max(width, 1))
    signs.flags.writeable = False
    return signs
