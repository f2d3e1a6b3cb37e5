"""Alarms against the truth: rates with their interval, delays, what was missed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2


@dataclass(frozen=True)
class Rate:
    """False alarms over a time in which nothing was wrong."""

    alarms: int
    years: float

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of a Poisson rate a year (Garwood, Biometrika 1936)."""
        low = chi2.ppf(0.025, 2 * self.alarms) / 2.0 if self.alarms else 0.0
        return low / self.years, chi2.ppf(0.975, 2 * self.alarms + 2) / 2.0 / self.years

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.alarms / self.years:.3g} ({low:.2g}–{high:.2g})"


@dataclass(frozen=True)
class Delays:
    """Rows from a fault to its alarm, one for each injection; None where it never came."""

    rows: tuple[int | None, ...]

    @property
    def missed(self) -> float:
        """Share of the faults without an alarm."""
        return sum(each is None for each in self.rows) / len(self.rows)

    def quantile(self, share: float) -> float:
        """That of all faults, those that were missed at the end; `inf` when it is one of them."""
        known = np.array([np.inf if each is None else each for each in self.rows])
        return float(np.quantile(known, share, method="inverted_cdf"))

    def __str__(self) -> str:
        """Median and 90 % quantile."""
        both = (self.quantile(share) for share in (0.5, 0.9))
        return " / ".join("never" if np.isinf(each) else f"{each:,.0f}" for each in both)


def delay(alarms: Sequence[int], since: int) -> int | None:
    """Rows from `since` to the first alarm at or after it."""
    late = [each - since for each in alarms if each >= since]
    return min(late) if late else None
