"""What a watched signal would show by now: the smallest change that today's traffic can prove.

It is a forecast, not a promise: at a lasting change of that size, evidence is expected to reach the
threshold within the time, starting from none.
"""

import math
from typing import NamedTuple

import numpy as np

from trimtab.judge.watch import Watch, Zone, effective_rows, stakes
from trimtab.stats.logspace import LN10
from trimtab.stats.power import provable_means

DAY = 86_400.0
HORIZONS = (DAY, 7.0 * DAY, 30.0 * DAY)

LATELY = 7
"""Blocks that tell today's traffic, and describe a stream that is not in alarm."""


class Reach(NamedTuple):
    """A change of the mean, in the unit of the signal, and the seconds within which it shows."""

    effect: float
    seconds: float


def reach(watch: Watch, reference: float | None) -> Reach | None:
    """The change that shows within a day, or else a week, or else 30 days.

    It is counted from `reference`; without one, from the middle of the indicator's zone, that
    indicator being meant whose zone is nearest to one half (the median, the commonest category). Of
    two borders the one that shows last is meant. None before the second block, or where not even
    the largest change shows within 30 days.
    """
    points = watch.history[-LATELY:]
    if len(points) < 2:
        return None
    spacing = (points[-1].start - points[0].start) / (len(points) - 1)
    rows = sum(point.n for point in points) // len(points)
    for seconds in HORIZONS:
        blocks = math.floor(seconds / spacing)
        effect = _effect(watch, reference, rows, blocks) if blocks else math.nan
        if not math.isnan(effect):
            return Reach(effect, seconds)
    return None


def _effect(watch: Watch, reference: float | None, rows: int, blocks: int) -> float:
    """The change that shows across every border of the indicator; NaN where one never does."""
    bets = stakes(watch.zones, watch.summed)
    middles = np.array([_middle(zone) for zone in watch.zones])
    chosen = int(np.argmin(np.abs(middles - 0.5)))
    mine = np.flatnonzero(bets.indicator == chosen)
    if not mine.size:
        return math.nan
    seen = effective_rows(bets.m[mine], watch.spread, rows) * blocks
    needed = watch.log10_threshold * LN10 + math.log(bets.on_one.size)
    means = provable_means(bets.on_one[mine], bets.on_zero[mine], seen, needed)
    centre = float(middles[chosen]) if reference is None else reference
    return float(np.abs(means - centre).max())


def _middle(zone: Zone) -> float:
    """Where a zone with two borders has its middle; one with a single border counts by that."""
    ends = [end for end in (zone.low, zone.high) if end is not None]
    return sum(ends) / len(ends)
