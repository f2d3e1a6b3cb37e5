"""The alarm budget: how much evidence each stream must show, so that false alarms stay rare.

An e-detector with threshold c raises a false alarm once in at least c blocks. With N blocks a year,
A tolerated false alarms a year and stream weights that sum to 1, `c = N / (A * weight)` keeps their
total at A whatever the dependence between streams.
"""

import math
from typing import NamedTuple

from trimtab.domain.verdicts import Tier

YEAR = 365.25 * 86_400.0

TIMES: dict[Tier, float] = {"page": 1.0, "ticket": 2.0, "note": 4.0}
"""False alarms of a tier, in multiples of those of the page tier."""


class Group(NamedTuple):
    """Signals that share a part of their tier's budget: `weight` in proportion to the others."""

    tier: Tier
    weight: float


GROUPS: dict[str, Group] = {
    "errors": Group("page", 0.15),
    "latency": Group("page", 0.10),
    "quality": Group("page", 0.40),
    "upstream": Group("page", 0.35),
    "bias": Group("page", 0.15),
    "workers": Group("ticket", 0.25),
    "callers": Group("ticket", 0.25),
    "prediction": Group("ticket", 0.5),
    "positive_rate": Group("ticket", 0.5),
    "estimate": Group("ticket", 0.5),
    "calibration": Group("note", 0.25),
    "segments": Group("ticket", 0.5),
    "labels": Group("ticket", 0.25),
    "feedback": Group("ticket", 0.25),
    "parity": Group("ticket", 0.5),
    "input": Group("note", 1.0),
    "multivariate": Group("note", 0.5),
}
"""Every group of signals; the group of `input:temp` is `input`. Its streams share alike."""

LEAST = 1.0
"""log10: no alarm on less than ten to one, however large the budget."""


def tier(group: str) -> Tier:
    """Who hears of the group's alarms."""
    return GROUPS[group].tier


def share(group: str) -> float:
    """What the group may spend of its tier's budget."""
    mine = GROUPS[group]
    return mine.weight / sum(each.weight for each in GROUPS.values() if each.tier == mine.tier)


def log10_threshold(group: str, streams: int, per_year: float, block_seconds: float) -> float:
    """log10 of the evidence at which one of the `streams` streams of a group alarms.

    `per_year` are the false alarms tolerated of the page tier.
    """
    blocks = YEAR / block_seconds
    spent = per_year * TIMES[tier(group)] * share(group) / streams
    return max(math.log10(blocks / spent), LEAST)
