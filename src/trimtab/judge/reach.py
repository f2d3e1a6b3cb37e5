"""What a watched signal would show by now: the smallest change that today's traffic can prove.

It is a forecast, not a promise: at a lasting change of that size, evidence is expected to reach the
threshold within the time, starting from none.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from trimtab.judge.watch import PREPARED, Watch, Zone, stakes, worth
from trimtab.stats.logspace import LN10
from trimtab.stats.power import provable_mean

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
    asked = _asked(watch.zones)
    needed = watch.log10_threshold * LN10 + math.log(asked.stakes)
    centre = asked.middle if reference is None else reference
    found = math.nan
    for m, on_one, on_zero in asked.bets:
        seen = worth(m, watch.spread, rows) * blocks
        effect = abs(provable_mean(on_one, on_zero, seen, needed) - centre)
        if math.isnan(effect):
            return math.nan
        found = effect if math.isnan(found) else max(found, effect)
    return found


class _Asked(NamedTuple):
    """The indicator of a watch that is meant: the middle of its zone, its bets (border, gains on
    one, gains on zero), and how many stakes all indicators have."""

    middle: float
    bets: tuple[tuple[float, tuple[float, ...], tuple[float, ...]], ...]
    stakes: int


@lru_cache(PREPARED)
def _asked(zones: tuple[Zone, ...]) -> _Asked:
    bets = stakes(zones)
    middles = [_middle(zone) for zone in zones]
    chosen = min(range(len(zones)), key=lambda i: abs(middles[i] - 0.5))
    mine = np.flatnonzero(bets.indicator == chosen).tolist()
    return _Asked(
        middles[chosen],
        tuple(
            (float(bets.m[i]), tuple(bets.on_one[i].tolist()), tuple(bets.on_zero[i].tolist()))
            for i in mine
        ),
        max(bets.on_one.size, 1),
    )


def _middle(zone: Zone) -> float:
    """Where a zone with two borders has its middle; one with a single border counts by that."""
    ends = [end for end in (zone.low, zone.high) if end is not None]
    return sum(ends) / len(ends)
