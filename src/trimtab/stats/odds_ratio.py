"""Two groups of yes and no: the odds ratio, whatever is common to both.

Given how many of both groups together said yes, how many of the first did follows Fisher's
noncentral hypergeometric distribution, which knows the odds ratio alone: what raises or lowers the
odds of both groups cancels. Its likelihood ratio rises with the yeses of the first group, so that
of a larger odds ratio over that of a border is an e-value for every odds ratio up to the border.

Source: Fisher, The logic of inductive inference, JRSS 1935; Fog, Calculation methods for Wallenius'
noncentral hypergeometric distribution, Comm. Stat. 2008 (also of Fisher's).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    """Trials and yeses of two groups."""

    first: int
    first_hits: int
    second: int
    second_hits: int

    @property
    def tells(self) -> bool:
        """Whether there is more than one way in which the yeses could be dealt to the groups."""
        hits = self.first_hits + self.second_hits
        return max(0, hits - self.second) < min(self.first, hits)

    def log_likelihood(self, odds_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the chance of this table given its margins, at each odds ratio (positive).

        >>> Table(2, 2, 2, 0).log_likelihood(np.log([np.e])).shape
        (1,)
        >>> bool(np.isclose(np.exp(Table(1, 1, 3, 0).log_likelihood(np.array([3.0])))[0], 0.5))
        True
        """
        hits = self.first_hits + self.second_hits
        least, most = max(0, hits - self.second), min(self.first, hits)
        dealt = range(least, most + 1)
        ways = [_log_ways(self.first, k) + _log_ways(self.second, hits - k) for k in dealt]
        of_each = np.array(dealt) * np.log(odds_ratio)[:, None] + np.array(ways)
        peak = of_each.max(axis=1)
        whole = peak + np.log(np.exp(of_each - peak[:, None]).sum(axis=1))
        return np.asarray(of_each[:, self.first_hits - least] - whole)


def _log_ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
