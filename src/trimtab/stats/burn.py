"""Burn rate of an error budget over paired windows, with an exactness gate for low traffic.

``burn(W) = bad(W) / total(W) / (1 - objective)``: 1 spends the budget exactly over its period. A
rule fires when the burn of its long and of its short window both reach the threshold ``share *
period / W`` (the short one lets it stop soon after recovery), and when so many bad events would be
improbable at just the threshold rate: ``P(Poisson(threshold (1 - objective) total) >= bad)`` at
most 1 %. Without that gate a single failure at ten requests an hour is a burn of 100.

Source: Beyer et al., The Site Reliability Workbook, chapter 5 (windows and thresholds).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.exact import poisson_tail

Level = Literal["page", "ticket"]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MONTH = 30 * DAY


@dataclass(frozen=True, slots=True)
class BurnRule:
    """One pair of windows (seconds) and the share of the period's budget whose loss fires it."""

    level: Level
    long_seconds: float
    short_seconds: float
    budget_share: float

    def threshold(self, period_seconds: float) -> float:
        """Return the burn that spends the share within the long window.

        >>> round(RULES[0].threshold(MONTH), 9)
        14.4
        """
        return self.budget_share * period_seconds / self.long_seconds


RULES = (
    BurnRule("page", HOUR, 5 * MINUTE, 0.02),
    BurnRule("page", 6 * HOUR, 30 * MINUTE, 0.05),
    BurnRule("ticket", DAY, 2 * HOUR, 0.10),
    BurnRule("ticket", 3 * DAY, 6 * HOUR, 0.10),
)


@dataclass(frozen=True, slots=True)
class Objective:
    """A service objective: share of good events in (0, 1), and the period of its budget.

    ``improbable`` is the gate's probability.
    """

    good: float
    period_seconds: float = MONTH
    improbable: float = 0.01

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless the share is in (0, 1) and the period positive."""
        if not 0.0 < self.good < 1.0 or not self.period_seconds > 0.0:
            raise ValueError(f"need a share in (0, 1) and a period > 0, not {self!r}")


@dataclass(frozen=True, slots=True)
class BurnReading:
    """What one rule saw: burns of both windows, counts of the long one, and the gate's tail."""

    rule: BurnRule
    threshold: float
    long_burn: float
    short_burn: float
    bad: int
    total: int
    tail: float
    fires: bool


def burn_readings(
    bad: ArrayLike,
    total: ArrayLike,
    bucket_seconds: float,
    objective: Objective,
    rules: tuple[BurnRule, ...] = RULES,
) -> tuple[BurnReading, ...]:
    """Judge every rule on counts per bucket, oldest first; both arrays have one length.

    Windows are whole buckets (at least one) up to the newest; where there are fewer, all are used.
    Raises ``ValueError`` when shapes differ, a bucket breaks 0 <= bad <= total, or the bucket has
    no length.

    >>> outage = burn_readings([0] * 59 + [600], [600] * 60, MINUTE, Objective(0.999))
    >>> [(reading.rule.level, reading.fires) for reading in outage[:1]]
    [('page', True)]
    >>> quiet = burn_readings([0] * 59 + [1], [0] * 59 + [10], MINUTE, Objective(0.999))
    >>> round(quiet[0].long_burn, 9), quiet[0].fires
    (100.0, False)
    """
    hits, all_ = np.asarray(bad, dtype=np.int64), np.asarray(total, dtype=np.int64)
    if hits.ndim != 1 or hits.shape != all_.shape or not bucket_seconds > 0.0:
        raise ValueError(f"need one bad and one total per bucket, not {hits.shape}, {all_.shape}")
    if bool(((hits < 0) | (hits > all_)).any()):
        raise ValueError("every bucket needs 0 <= bad <= total")
    history = _History(hits, all_, bucket_seconds)
    return tuple(_judge(rule, history, objective) for rule in rules)


@dataclass(frozen=True, slots=True)
class _History:
    bad: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    total: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    bucket_seconds: float

    def last(self, seconds: float) -> tuple[int, int]:
        buckets = max(round(seconds / self.bucket_seconds), 1)
        return int(self.bad[-buckets:].sum()), int(self.total[-buckets:].sum())


def _judge(rule: BurnRule, history: _History, objective: Objective) -> BurnReading:
    threshold = rule.threshold(objective.period_seconds)
    budget = 1.0 - objective.good
    bad, total = history.last(rule.long_seconds)
    long_burn = _burn(bad, total, budget)
    short_burn = _burn(*history.last(rule.short_seconds), budget)
    tail = poisson_tail(bad, threshold * budget * total)
    fires = min(long_burn, short_burn) >= threshold and tail <= objective.improbable
    return BurnReading(rule, threshold, long_burn, short_burn, bad, total, tail, fires)


def _burn(bad: int, total: int, budget: float) -> float:
    return bad / total / budget if total else 0.0
