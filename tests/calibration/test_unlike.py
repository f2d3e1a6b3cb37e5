"""How often callers of whom answers come true as by nature are said to have opposite labels."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.prominent import LOOKED_AT
from trimtab.judge.signals.unlike import Unlike

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 4_000
CALLERS = 12

Nature = Callable[[int, int, np.random.Generator], float]
"""The share of labels of a caller that are unlike the answers in a block."""


def at_the_border(block: int, caller: int, rng: np.random.Generator) -> float:
    """Half of all, the most that is allowed."""
    return 0.5


def each_its_own(block: int, caller: int, rng: np.random.Generator) -> float:
    """From a twentieth to more than a half, by caller."""
    return 0.05 + 0.6 * caller / CALLERS


def in_weeks(block: int, caller: int, rng: np.random.Generator) -> float:
    """Up and down with the day of the week, each caller on another day."""
    return 0.4 + 0.15 * math.sin(2.0 * math.pi * (block + caller) / 7.0)


def in_spells(block: int, caller: int, rng: np.random.Generator) -> float:
    """Days differ: most have few, some many."""
    return float(rng.beta(2.0, 8.0))


@pytest.mark.parametrize("labels", [200, 3_000])
@pytest.mark.parametrize("nature", [at_the_border, each_its_own, in_weeks, in_spells])
def test_callers_that_are_as_ever_are_said_to_lie_no_more_often_than_is_promised(
    nature: Nature, labels: int
) -> None:
    rng, found, told = np.random.default_rng([13, labels]), 0, Unlike()
    odds = 1.0 / np.arange(1, CALLERS + 1)
    for block in range(BLOCKS):
        came = {}
        for caller, n in enumerate(rng.multinomial(labels, odds / odds.sum()).tolist()):
            came[caller] = Tally(int(rng.binomial(n, nature(block, caller, rng))), n)
        told.take(float(block), came, LIMIT)
        found += len(told.broken)
        for group in told.broken:
            del told.watches[group]
    print(nature.__name__, labels, found)
    assert found <= BLOCKS * LOOKED_AT / 10**LIMIT
