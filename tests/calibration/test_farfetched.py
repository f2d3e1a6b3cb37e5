"""How often callers whose rows are far-fetched by nature are said to make them up."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.prominent import LOOKED_AT, Marked, Marks

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 4_000
CALLERS = 12

Nature = Callable[[int, int, np.random.Generator], float]
"""The share of far-fetched rows of a caller in a block."""


def alike(block: int, caller: int, rng: np.random.Generator) -> float:
    """As of all others."""
    return 0.1


def each_its_own(block: int, caller: int, rng: np.random.Generator) -> float:
    """From a twentieth to a half, by caller."""
    return 0.05 + 0.45 * caller / CALLERS


def in_weeks(block: int, caller: int, rng: np.random.Generator) -> float:
    """Up and down with the day of the week, each caller on another day."""
    return 0.2 + 0.1 * math.sin(2.0 * math.pi * (block + caller) / 7.0)


def in_spells(block: int, caller: int, rng: np.random.Generator) -> float:
    """Days differ: most have few, some many."""
    return float(rng.beta(1.0, 9.0))


@pytest.mark.parametrize("rows", [200, 3_000])
@pytest.mark.parametrize("nature", [alike, each_its_own, in_weeks, in_spells])
def test_callers_that_are_as_ever_make_nothing_up_more_often_than_is_promised(
    nature: Nature, rows: int
) -> None:
    rng, found, told = np.random.default_rng([12, rows]), 0, Marks()
    odds = 1.0 / np.arange(1, CALLERS + 1)
    for block in range(BLOCKS):
        came = {}
        for caller, n in enumerate(rng.multinomial(rows, odds / odds.sum()).tolist()):
            far = int(rng.binomial(n, nature(block, caller, rng)))
            came[caller] = Marked(Tally(far, n), "q")
        told.take(float(block), came, LIMIT)
        found += len(told.broken)
        for group in told.broken:
            del told.watches[group]
    print(nature.__name__, rows, found)
    assert found <= BLOCKS * LOOKED_AT / 10**LIMIT
