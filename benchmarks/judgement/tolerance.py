"""What a tolerance costs: alarms over three harmless years, and rows to see three points more.

The census in the order of its years, against 2015; each year shuffled, as its file has no order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from judgement.alarms import Delays, delay
from judgement.errors import target, trimtab
from judgement.streams import census, shuffled
from trimtab.domain.deployment import MonitorPlan
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.quality import quality_zone

TOLERANCES: tuple[float | None, ...] = (0.0, 0.0025, 0.005, 0.01, None)
"""None is the default."""

DOSE = 0.03


@dataclass(frozen=True)
class Line:
    """A tolerance: alarms in so many passes over the years, and delays of faults put into them."""

    tolerance: float | None
    border: float
    alarms: int
    rows: int
    delays: Delays


def lines(passes: int) -> Iterator[Line]:
    """Each tolerance on the same passes and faults, one fault a pass."""
    reference, live = census()
    value = float((reference["y_true"] != reference["y_pred"]).mean())
    errors = [wrong(seed) for seed in range(passes)]
    for tolerance in TOLERANCES:
        plan = MonitorPlan(quality="error", quality_tolerance=tolerance)
        watched = target(value, len(reference), plan)
        quiet = [trimtab(each, watched) for each in errors]
        late = [
            delay(trimtab(flipped(each, since, seed), watched, since), since)
            for seed, (each, since) in enumerate(zip(errors, begins(passes), strict=True))
        ]
        border = border_of(watched)
        yield Line(tolerance, border, sum(map(len, quiet)), passes * len(live), Delays(tuple(late)))


def wrong(seed: int) -> np.ndarray:
    """Errors of the three years."""
    rows = shuffled(census()[1], "year", seed)
    return (rows["y_true"] != rows["y_pred"]).to_numpy()


def begins(passes: int) -> Sequence[int]:
    """Random rows of the first two years."""
    return np.random.default_rng(3).integers(10_000, 140_000, passes).tolist()


def flipped(errors: np.ndarray, since: int, seed: int) -> np.ndarray:
    """With three points more of errors from row `since` on."""
    flip = np.random.default_rng(seed).random(errors.size) < DOSE / (1.0 - 2.0 * errors.mean())
    flip[:since] = False
    return np.asarray(errors ^ flip)


def border_of(watched: Target) -> float:
    """The error above which there is harm."""
    assert watched.profile is not None
    zone = quality_zone(watched.profile.quality[0], watched.spec.monitor.quality_tolerance)
    return zone.border("above")
