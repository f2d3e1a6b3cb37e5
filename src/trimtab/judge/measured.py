"""A quality of the reference: a number with its 99 % interval, by days or by rows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trimtab.stats.confidence import clopper_pearson

FEWEST_DAYS = 5
"""Below this many days nothing is learned about how days differ: rows are then the observations."""

Z99 = 2.5758


class Measured(NamedTuple):
    """A quality with its 99 % interval, and the spread of days."""

    value: float
    lower: float
    upper: float
    spread: float | None = None


def of_days(measured: Sequence[float | None]) -> Measured | None:
    """Quality as the mean over days, because that is what live days are compared with.

    None with too few days on which it is defined.
    """
    daily = np.array([value for value in measured if value is not None])
    if daily.size < FEWEST_DAYS:
        return None
    value = float(daily.mean())
    # Cornish–Fisher: the quantile of Student's t from that of the normal distribution.
    t = Z99 * (1.0 + (Z99**2 + 1.0) / (4.0 * (daily.size - 1)))
    half = t * float(daily.std(ddof=1)) / math.sqrt(daily.size)
    return Measured(
        value, value - half, value + half, float(np.quantile(np.abs(daily - value), 0.99))
    )


def of_trials(value: float, trials: int) -> Measured:
    """A share of 0/1 trials (Clopper–Pearson)."""
    interval = clopper_pearson(round(value * trials), trials, 0.99)
    return Measured(value, interval.lower, interval.upper)


def of_f1(value: float, trials: int) -> Measured:
    """F1 by the share J of true positives in all that were decided or are positive: 2J / (1 + J).

    `trials` are those of F1, where a mistake is half a trial.
    """
    true = value * trials
    interval = clopper_pearson(round(true), round(true + 2.0 * (trials - true)), 0.99)
    lower, upper = (2.0 * share / (1.0 + share) for share in (interval.lower, interval.upper))
    return Measured(value, lower, upper)


def of_rows(value: float, deviation: float, n: int) -> Measured:
    """A mean of `n` rows that deviate by so much (normal approximation)."""
    half = Z99 * deviation / math.sqrt(n)
    return Measured(value, value - half, value + half)
