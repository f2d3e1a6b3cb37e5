"""Bounds on a mean or a distribution: exact for a fixed sample, or valid at all times at once.

Fixed sample: Clopper–Pearson for counts (Clopper & Pearson, Biometrika 1934) and the half width of
Dvoretzky, Kiefer & Wolfowitz with Massart's constant (1990) for a distribution function. Use them
where the sample size was not chosen by looking, such as for the reference in a release.
All times: :class:`RateSequence` for 0/1 signals and :class:`MeanSequence` for real ones.
"""

import math
from collections.abc import Callable

from trimtab.stats.exact import binomial_tail
from trimtab.stats.sequences import Interval, MeanBlock, MeanSequence, RateSequence

__all__ = [
    "Interval",
    "MeanBlock",
    "MeanSequence",
    "RateSequence",
    "clopper_pearson",
    "dkw_half_width",
    "rate_lower",
    "rate_upper",
]


def rate_upper(successes: int, trials: int, delta: float) -> float:
    """Return the rate that exceeds the true one with probability >= 1 - delta (one-sided).

    1.0 without trials. Raises ``ValueError`` unless 0 <= successes <= trials and 0 < delta < 1.

    >>> round(rate_upper(0, 100, 0.05), 12) == round(1 - 0.05 ** (1 / 100), 12)
    True
    """
    _check(successes, trials, delta)
    if successes == trials:
        return 1.0
    # Seeing at most this many has the complementary tail 1 - P(X >= s + 1), which falls with p.
    return _last(lambda p: binomial_tail(trials - successes, trials, 1.0 - p) > delta)


def rate_lower(successes: int, trials: int, delta: float) -> float:
    """Return the rate that is below the true one with probability >= 1 - delta (one-sided).

    0.0 without trials; raises as :func:`rate_upper`.

    >>> round(rate_lower(100, 100, 0.05), 12) == round(0.05 ** (1 / 100), 12)
    True
    """
    return 1.0 - rate_upper(trials - successes, trials, delta)


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the two-sided exact interval of a rate; (0, 1) without trials.

    >>> [round(end, 5) for end in clopper_pearson(5, 100)]
    [0.01643, 0.11283]
    """
    delta = (1.0 - confidence) / 2.0
    return Interval(rate_lower(successes, trials, delta), rate_upper(successes, trials, delta))


def dkw_half_width(n: int, delta: float) -> float:
    """Return r such that sup |F_n - F| <= r with probability >= 1 - delta; 1.0 without rows.

    Raises ``ValueError`` unless n >= 0 and 0 < delta < 1.

    >>> round(dkw_half_width(2000, 0.05), 5)
    0.03037
    """
    _check(0, n, delta)
    return min(math.sqrt(math.log(2.0 / delta) / (2.0 * n)), 1.0) if n else 1.0


def _check(successes: int, trials: int, delta: float) -> None:
    if not 0 <= successes <= trials or not 0.0 < delta < 1.0:
        raise ValueError(
            "need 0 <= successes <= trials and 0 < delta < 1, "
            f"not {successes!r}, {trials!r}, {delta!r}"
        )


def _last(kept: Callable[[float], bool]) -> float:
    """Return the end of the kept stretch of [0, 1], rounded outwards."""
    inside, outside = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside
