"""A few labels and many predictions: means that are as valid as the labels, and sharper.

An audit labels rows by chance. With a predicted loss f for every row, ``lam * mean_others(f) +
mean_labelled(Y - lam * f)`` has the right mean whatever f is; the better f, the smaller the
variance, and ``lam`` tuned on the data never makes it worse than the labels alone (asymptotically).

Looked at all the time: with each row labelled with known chance pi, ``Z = f + labelled / pi * (Y -
f)`` has the mean of Y whatever f is, and is bounded; :func:`betting_interval` inverts bets on it.

Sources: Angelopoulos, Duchi & Zrnic, PPI++, arXiv 2311.01453; Waudby-Smith & Ramdas, JRSS-B 2024
(arXiv 2010.09686), section 4 and appendix B (mixtures of stakes); Csillag, Struchiner & Goedert,
Prediction-powered e-values, ICML 2025.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.bets import BetGrid, unit_values
from trimtab.stats.logspace import FloatArray, log_mean_exp
from trimtab.stats.sequences import Interval

LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Powered:
    """A mean with its variance; ``weight`` is how far the predictions were trusted (0 to 1)."""

    value: float
    variance: float
    weight: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts per cell (C,) of rows with the same predicted loss, and what the labelled ones lost.

    ``rows`` are all rows, ``labelled`` those of them with a label, ``lost`` and ``squares`` the
    sums of their losses and squared losses; ``predicted`` is the predicted loss. Sums of two audits
    with the same cells add up. Labels must have come by chance, independent of the loss.

    >>> audit = Audit(*map(np.array, ([0.1, 0.6], [900, 100], [90, 10], [9.0, 6.0], [9.0, 6.0])))
    >>> powered = audit.mean()
    >>> round(powered.value, 4), round(powered.weight, 4)
    (0.15, 0.9)
    """

    predicted: FloatArray
    rows: FloatArray
    labelled: FloatArray
    lost: FloatArray
    squares: FloatArray

    def mean(self) -> Powered | None:
        """Return the prediction-powered mean loss; ``None`` with fewer than two labels."""
        n, every = float(self.labelled.sum()), float(self.rows.sum())
        if n < 2.0:
            return None
        mean_y, mean_f = float(self.lost.sum()) / n, float(self.labelled @ self.predicted) / n
        centred = self.predicted - mean_f
        var_y = float(self.squares.sum()) / n - mean_y**2
        var_f = float(self.labelled @ centred**2) / n
        cov = float(self.lost @ centred) / n
        ratio = n / max(every - n, 1e-12)
        weight = min(max(cov / (var_f * (1.0 + ratio)), 0.0), 1.0) if var_f > 0.0 else 0.0
        others = self.rows - self.labelled
        mean_others = float(others @ self.predicted) / max(float(others.sum()), 1e-12)
        moved = weight * (mean_others - mean_f) if every > n else 0.0
        rest = max(var_y - 2.0 * weight * cov + weight**2 * var_f, 0.0)
        variance = rest / (n - 1.0) + (weight**2 * var_f / (every - n) if every > n else 0.0)
        return Powered(mean_y + moved, variance, weight)


def betting_interval(
    values: ArrayLike, counts: ArrayLike, alpha: float = 0.05, stakes: int = 12
) -> Interval:
    """Return the confidence sequence for the mean of a signal in [0, 1] that takes few values.

    ``counts[j]`` rows had ``values[j]``; counts of several workers add up, and the interval depends
    on nothing else, so it may be looked at after every row: it misses the running conditional mean,
    if that is constant, with probability at most ``alpha`` over all time. (0, 1) without rows.
    Raises ``ValueError`` when a value is outside [0, 1], a count negative, or alpha not in (0, 1).

    >>> [round(end, 3) for end in betting_interval([0.0, 0.5, 1.0], [700, 200, 100])]
    [0.167, 0.236]
    """
    points, rows = unit_values(values), np.asarray(counts, dtype=np.float64)
    if points.shape != rows.shape or not bool((rows >= 0.0).all()) or not 0.0 < alpha < 1.0:
        raise ValueError(f"need a count >= 0 per value and 0 < alpha < 1, not {rows}, {alpha!r}")
    if not float(rows.sum()) > 0.0:
        return Interval(0.0, 1.0)
    mean = float(points @ rows) / float(rows.sum())

    def kept(m: float) -> bool:
        sides = (BetGrid(m, "above", stakes), BetGrid(m, "below", stakes))
        logs = [log_mean_exp(np.log1p(np.outer(g.stakes, points - g.m)) @ rows) for g in sides]
        return float(np.logaddexp(logs[0], logs[1])) - LN2 < math.log(1.0 / alpha)

    return Interval(_end(kept, mean, 0.0), _end(kept, mean, 1.0))


def audit_values(predicted: ArrayLike, loss: ArrayLike, rate: float) -> tuple[FloatArray, Interval]:
    """Return Z scaled to [0, 1], and the ends that 0 and 1 stand for, in the unit of the loss.

    ``predicted`` and ``loss`` are in [0, 1], the loss NaN where a row was not labelled; ``rate`` is
    the chance of a label. The mean of Z is that of the loss of all rows.

    >>> scaled, ends = audit_values([0.2, 0.2], [math.nan, 1.0], 0.5)
    >>> [round(float(z), 6) for z in ends.lower + scaled * (ends.upper - ends.lower)]
    [0.2, 1.8]
    """
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"need 0 < rate <= 1, not {rate!r}")
    f, y = unit_values(predicted), np.asarray(loss, dtype=np.float64)
    z = f + np.where(np.isnan(y), 0.0, (y - f) / rate)
    ends = Interval(1.0 - 1.0 / rate, 1.0 / rate)
    return (z - ends.lower) / (ends.upper - ends.lower), ends


def _end(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    if kept(outside):
        return outside
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside
