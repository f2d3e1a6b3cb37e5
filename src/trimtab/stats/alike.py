"""Two samples of ends: does one end as the other, in each of several strata?

Of two groups of which each unit ends in one of several ways, the evidence that they do so otherwise
is a product over the units: of a group's unit the chance of its end as guessed for the group, over
that as guessed for both, mixed by how many of the stratum are in each. Whatever chances of ends
both groups share, the expectation of the product is 1 at most: so guesses may be as bad as they
like, if they are made before the units are seen. Strata multiply. A stratum that only one group is
in says nothing.

Source: Turner, Ly & Grünwald, *Generic E-variables for exact sequential k-sample tests that allow
for optional stopping*, arXiv 2106.02693, with chances of several ends in place of two.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log_evidence(
    first: ArrayLike, second: ArrayLike, p: ArrayLike, q: ArrayLike
) -> NDArray[np.float64]:
    """The natural logarithm of the evidence (...) of counts of ends (..., strata, ends).

    `p` are the chances of ends that are guessed of the `first` group, `q` of the second, in each
    stratum summing to 1, all above 0.

    >>> log_evidence([[30, 10]], [[10, 30]], [[0.7, 0.3]], [[0.3, 0.7]]).round(2).item()
    9.97
    """
    one, other = (np.asarray(counts, dtype=np.float64) for counts in (first, second))
    mine, theirs = (np.asarray(chances, dtype=np.float64) for chances in (p, q))
    n, m = (counts.sum(axis=-1, keepdims=True) for counts in (one, other))
    mixed = (n * mine + m * theirs) / np.maximum(n + m, 1.0)
    told = (one > 0) | (other > 0)
    mixed = np.where(told, mixed, 1.0)
    gained = np.where(told, one * np.log(mine / mixed) + other * np.log(theirs / mixed), 0.0)
    return np.asarray(gained.sum(axis=(-2, -1)))
