"""What a watched signal would show by now: the smallest change that today's traffic can prove.

It is a forecast, not a promise: at a lasting change of that size, evidence is expected to reach the
threshold within the time, starting from none.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from trimtab.judge.watch import Staked, Watch, Zone, stakes, worth
from trimtab.stats.logspace import LN10
from trimtab.stats.power import Gains

DAY = 86_400.0
HORIZONS = (DAY, 7.0 * DAY, 30.0 * DAY)

PREPARED = 1 << 14
"""Watches whose bets are kept at hand; those of the others are laid again."""

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
    rows = sum([point.n for point in points]) // len(points)
    asked = _asked(watch.zones)
    centre = asked.middle if reference is None else reference
    needed = watch.log10_threshold * LN10 + asked.cost
    worths = [worth(m, watch.spread, rows) for m in asked.borders]
    for seconds in HORIZONS:
        blocks = math.floor(seconds / spacing)
        effect = _effect(asked, [each * blocks for each in worths], needed, centre)
        if not math.isnan(effect):
            return Reach(effect, seconds)
    return None


def _effect(asked: "_Asked", rows: list[float], needed: float, centre: float) -> float:
    """The change that shows across every border of the indicator; NaN where one never does."""
    found = math.nan
    for gains, seen in zip(asked.gains, rows, strict=True):
        effect = abs(gains.provable_mean(seen, needed) - centre) if seen else math.nan
        if math.isnan(effect):
            return math.nan
        found = effect if math.isnan(found) else max(found, effect)
    return found


class _Asked(NamedTuple):
    """The indicator of a watch that is meant: the middle of its zone, its borders, what the bets on
    them gain, and the logarithm of how many stakes all indicators have."""

    middle: float
    borders: tuple[float, ...]
    gains: tuple[Gains, ...]
    cost: float


@lru_cache(PREPARED)
def _asked(zones: tuple[Zone, ...]) -> _Asked:
    bets = stakes((Staked(zones, None),))
    middles = [_middle(zone) for zone in zones]
    chosen = min(range(len(zones)), key=lambda i: abs(middles[i] - 0.5))
    mine = np.flatnonzero(bets.indicator == chosen).tolist()
    return _Asked(
        middles[chosen],
        tuple(bets.m[mine].tolist()),
        tuple(Gains.of(bets.on_one[i].tolist(), bets.on_zero[i].tolist()) for i in mine),
        math.log(max(bets.on_one.size, 1)),
    )


def _middle(zone: Zone) -> float:
    """Where a zone with two borders has its middle; one with a single border counts by that."""
    ends = [end for end in (zone.low, zone.high) if end is not None]
    return sum(ends) / len(ends)
