"""How often callers that repeat rows by nature are said to be stuck."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.signals.prominent import LOOKED_AT
from trimtab.judge.signals.repeats import PLACES, Alike, Repeats

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 2_000
CALLERS = 12

Habit = Callable[[int, int, np.random.Generator], np.ndarray]
"""Which rows a caller sends in a block: the block, how many, and chance."""


def all_different(block: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """No row comes twice."""
    return rng.integers(0, 2**40, rows)


def few_rows(block: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Thirty rows, of which the commonest is a quarter."""
    odds = 1.0 / np.arange(1, 31)
    return rng.choice(30, rows, p=odds / odds.sum())


def in_weeks(block: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """One row is a tenth to a third of all, by the day of the week."""
    share = 0.21 + 0.12 * math.sin(2.0 * math.pi * block / 7.0)
    return np.where(rng.random(rows) < share, 0, rng.integers(1, 2**40, rows))


def in_runs(block: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Each row comes up to eight times in a row."""
    times = rng.integers(1, 9, rows)
    return np.repeat(rng.integers(0, 2**40, rows), times)[:rows]


@pytest.mark.parametrize("rows", [200, 3_000])
@pytest.mark.parametrize("habit", [all_different, few_rows, in_weeks, in_runs])
def test_callers_that_are_as_ever_are_stuck_no_more_than_is_promised(
    habit: Habit, rows: int
) -> None:
    rng, found, repeats = np.random.default_rng([7, rows]), 0, Repeats()
    odds = 1.0 / np.arange(1, CALLERS + 1)
    for block in range(BLOCKS):
        came: dict[int, Alike] = {}
        for caller, n in enumerate(rng.multinomial(rows, odds / odds.sum()).tolist()):
            kinds = (habit(block, n, rng) * 2_654_435_761 + 977 * caller) % PLACES
            for place, times in enumerate(np.bincount(kinds, minlength=PLACES).tolist()):
                if times:
                    came[caller * PLACES + place] = Alike(times, "q")
        repeats.take(float(block), came, LIMIT)
        found += len(repeats.broken)
        for group in repeats.broken:
            del repeats.watches[group]
    print(habit.__name__, rows, found)
    assert found <= BLOCKS * LOOKED_AT / 10**LIMIT
