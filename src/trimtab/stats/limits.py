"""The limits of a column of numbers: most columns of most blocks need no more to be judged."""

import math
from typing import NamedTuple

import numpy as np

from trimtab.stats.edges import Numbers


class Limits(NamedTuple):
    """Least and largest value, NaN left out, and how many are NaN; two NaN where nothing is."""

    low: float
    high: float
    missing: int

    def within(self, low: float, high: float) -> bool:
        """Whether there are values, and all of them lie between two numbers.

        >>> Limits(1.0, 2.0, 0).within(1.0, 3.0)
        True
        """
        return low <= self.low and self.high <= high

    @property
    def finite(self) -> bool:
        """Whether there are values, and all are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def limits(values: Numbers) -> Limits:
    """The limits of values of any type.

    >>> limits(np.array([2.0, np.nan, 1.0]))
    Limits(low=1.0, high=2.0, missing=1)
    """
    if not values.size:
        return Limits(math.nan, math.nan, 0)
    low = float(values.min())
    if not math.isnan(low):
        return Limits(low, float(values.max()), 0)
    gone = int(np.count_nonzero(np.isnan(values)))
    return Limits(float(np.fmin.reduce(values)), float(np.fmax.reduce(values)), gone)
