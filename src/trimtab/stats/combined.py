"""One interval from several independent sources of error, each known by so many degrees of freedom.

The variances add; the degrees of freedom of the sum are those of Welch and Satterthwaite, and the
interval is that of Student's t.

Sources: Satterthwaite, Biometrics Bulletin 1946; Welch, Biometrika 1947; the delete-a-group
jackknife: Kott, Journal of Official Statistics 2001.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.exact import incomplete_beta
from trimtab.stats.logspace import FloatArray
from trimtab.stats.sequences import Interval

PRECISION = 1e-10
"""Steps of a smaller part of a quantile are not made any more."""


class Part(NamedTuple):
    """A variance, in squared units of the estimate, and how well it is known (may be inf)."""

    variance: float
    freedom: float = math.inf


def combined_interval(value: float, parts: Sequence[Part], confidence: float = 0.95) -> Interval:
    """Return the two-sided interval around ``value`` for the sum of the parts' errors.

    Raises ``ValueError`` when a variance is negative or the confidence is not in (0, 1).

    >>> [round(end, 3) for end in combined_interval(0.5, [Part(0.03), Part(0.01)])]
    [0.108, 0.892]
    """
    if any(part.variance < 0.0 for part in parts) or not 0.0 < confidence < 1.0:
        raise ValueError(f"need variances >= 0 and 0 < confidence < 1, not {parts}, {confidence}")
    total = sum(part.variance for part in parts)
    if total == 0.0:
        return Interval(value, value)
    spread = sum(part.variance**2 / part.freedom for part in parts)
    freedom = total**2 / spread if spread > 0.0 else math.inf
    half = student_quantile(0.5 + confidence / 2.0, freedom) * math.sqrt(total)
    return Interval(value - half, value + half)


def student_quantile(level: float, freedom: float) -> float:
    """Return the quantile of Student's t for ``level`` in [0.5, 1); beyond 1e6 the normal one.

    >>> round(student_quantile(0.975, 4.0), 4), round(student_quantile(0.975, math.inf), 4)
    (2.7764, 1.96)
    """
    if not 0.5 <= level < 1.0 or not freedom > 0.0:
        raise ValueError(f"need 0.5 <= level < 1 and freedom > 0, not {level!r}, {freedom!r}")

    if freedom > 1e6:
        return _normal_quantile(level)
    log_peak = math.lgamma((freedom + 1.0) / 2.0) - math.lgamma(freedom / 2.0)
    peak = math.exp(log_peak - 0.5 * math.log(freedom * math.pi))

    def upper_tail(t: float) -> float:
        return 0.5 * incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))

    def density(t: float) -> float:
        return peak * math.exp(-0.5 * (freedom + 1.0) * math.log1p(t * t / freedom))

    # Never above it: tails of t are heavier than the normal one.
    return _solved(upper_tail, density, 1.0 - level, _normal_quantile(level))


@lru_cache
def _normal_quantile(level: float) -> float:
    def density(z: float) -> float:
        return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)

    return _solved(lambda z: 0.5 * math.erfc(z / math.sqrt(2.0)), density, 1.0 - level, 0.0)


def _solved(
    tail: Callable[[float], float], density: Callable[[float], float], target: float, start: float
) -> float:
    """Where a tail is `target`, from a start below. The tail of a density that falls is convex, so
    that Newton's steps come nearer from below."""
    place, step = start, math.inf
    while step > PRECISION * place:
        step = (tail(place) - target) / density(place)
        place += step
    return place


def jackknife_variance(replicates: ArrayLike) -> FloatArray:
    """Return the variance of estimates (...) from their G values, each without one group of the
    data (G, ...).

    With groups of days, what rows of a day share is counted. 0.0 for fewer than two.

    >>> round(float(jackknife_variance([0.4, 0.5, 0.6])), 6)
    0.013333
    """
    values = np.asarray(replicates, dtype=np.float64)
    if len(values) < 2:
        return np.zeros(values.shape[1:])
    around = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(around * (len(values) - 1) / len(values), dtype=np.float64)
