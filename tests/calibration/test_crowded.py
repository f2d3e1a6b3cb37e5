"""How often a number is said to crowd on one value where it does so by nature.

Days of a slow measurement lie close together, each around its own mean, so that one value may hold
most of a day and another one most of the next; prices are one of a few, and which is the usual one
changes from day to day. Both only wander; no value stands still for weeks.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.records import Rows
from trimtab.judge.signals.crowded import Crowded
from trimtab.judge.signals.family import Breaks, Target

pytestmark = pytest.mark.slow

LIMIT = 2.0
DAYS = 4_000


def slow(rng: np.random.Generator, n: int, spread: float, mean: float) -> NDArray[np.float64]:
    """A day of a measurement that is rounded to tenths."""
    return np.round(rng.normal(mean, spread, n), 1)


def prices(rng: np.random.Generator, n: int, most: float) -> NDArray[np.float64]:
    """A day of prices, up to a share of `most` of which is the same one."""
    usual = rng.random(n) < most * rng.random()
    return np.where(usual, rng.integers(0, 5) + 0.99, np.round(rng.normal(10.0, 3.0, n), 2))


@pytest.mark.parametrize("n", [40, 300])
@pytest.mark.parametrize("spread", [0.05, 0.2, 1.0])
def test_days_that_differ_crowd_no_more_than_is_promised(spread: float, n: int) -> None:
    rng, mean = np.random.default_rng([8, n]), 10.0
    found = 0
    family = begun()
    for day in range(DAYS):
        mean = 10.0 + 0.7 * (mean - 10.0) + rng.normal(0.0, 0.3)
        found, family = judged(family, day, slow(rng, n, spread, mean), found)
    print("slow", spread, n, found)
    assert found <= DAYS / 10**LIMIT


@pytest.mark.parametrize("n", [40, 300])
@pytest.mark.parametrize("most", [0.3, 0.7])
def test_prices_that_change_crowd_no_more_than_is_promised(most: float, n: int) -> None:
    rng, found = np.random.default_rng([9, n]), 0
    family = begun()
    for day in range(DAYS):
        found, family = judged(family, day, prices(rng, n, most), found)
    print("prices", most, n, found)
    assert found <= DAYS / 10**LIMIT


KNOWN = profile()


def begun() -> Crowded:
    """A family that alarms at the limit."""
    family = Crowded(Target(spec(), BINARY, KNOWN, STABLE.digest, 0.0), KNOWN)
    family._limit = LIMIT
    return family


def judged(
    family: Crowded, day: int, level: NDArray[np.float64], found: int
) -> tuple[int, Crowded]:
    """Live through a day: how many alarms there were, and the family, a new one after each."""
    made = rows(level.size, seed=day, start=day * DAY)
    family.take(family.count(Rows(made.fixed, {**made.inputs, "level": level}, made.outputs)))
    family.close((day + 1.2) * DAY, Breaks())
    alarmed = any(verdict.verdict == "bad" for verdict in family.verdicts())
    return found + alarmed, begun() if alarmed else family
