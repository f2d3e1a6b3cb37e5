"""The alarm budget: how much evidence each stream must show, so that false alarms stay rare.

An e-detector with threshold c raises a false alarm once in at least c blocks. With N blocks a year,
A tolerated false alarms a year and stream weights that sum to 1, `c = N / (A * weight)` keeps their
total at A whatever the dependence between streams.
"""

import math

from trimtab.domain.verdicts import Tier

YEAR = 365.25 * 86_400.0

TIMES: dict[Tier, float] = {"page": 1.0, "ticket": 2.0, "note": 4.0}
"""False alarms of a tier, in multiples of those of the page tier."""

WEIGHTS = {
    "errors": 0.15,
    "latency": 0.10,
    "quality": 0.40,
    "upstream": 0.35,
    "prediction": 0.5,
    "positive_rate": 0.5,
    "input": 1.0,
}
"""Share of its tier's budget that each group of streams may spend."""

LEAST = 1.0
"""log10: no alarm on less than ten to one, however large the budget."""


def log10_threshold(tier: Tier, weight: float, per_year: float, block_seconds: float) -> float:
    """log10 of the evidence at which a stream alarms that has `weight` of the tier's budget."""
    blocks = YEAR / block_seconds
    return max(math.log10(blocks / (per_year * TIMES[tier] * weight)), LEAST)
