"""How often workers that are alike are said to answer otherwise."""

from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.signals.habits import Habit, Habits

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 4_000
COLUMNS, BINS, PARTS = 3, 8, 5

World = Callable[[int, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Requests of a block: their bins (columns, n), and the part of the answer of each."""


def drawn(bins: np.ndarray, odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part for each request, by odds that go with the bin of the first column."""
    law = odds[bins[0] % len(odds)]
    law = law / law.sum(axis=1, keepdims=True)
    beyond = rng.random((len(law), 1)) > np.cumsum(law, axis=1)
    parts: np.ndarray = np.minimum(beyond.sum(axis=1), PARTS - 1)
    return parts


def steady(block: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Answers that go with the first column."""
    bins = rng.integers(0, BINS, (COLUMNS, n))
    odds = 1.0 + 8.0 * np.eye(BINS)[:, :PARTS]
    return bins, drawn(bins, odds, rng)


def restless(block: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Another world every twenty blocks."""
    bins = np.minimum(rng.geometric(0.2 + 0.1 * (block % 7), (COLUMNS, n)), BINS) - 1
    odds = np.random.default_rng(block // 20).random((BINS, PARTS)) ** 3 + 0.01
    return bins, drawn(bins, odds, rng)


def rare(block: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nearly all answers are of one part."""
    bins = rng.integers(0, BINS, (COLUMNS, n))
    odds = np.array([[200.0, 1.0, 0.0, 0.0, 0.0]])
    return bins, drawn(bins, odds, rng)


@pytest.mark.parametrize("n", [20, 300])
@pytest.mark.parametrize("workers", [2, 6])
@pytest.mark.parametrize("world", [steady, restless, rare])
def test_workers_alike_are_named_no_more_often_than_is_promised(
    world: World, workers: int, n: int
) -> None:
    rng, found, habits = np.random.default_rng([11, n, workers]), 0, Habits()
    odds = 1.0 / np.arange(1, workers + 1)
    for block in range(BLOCKS):
        bins, parts = world(block, n, rng)
        dealt = rng.choice(workers, n, p=odds / odds.sum())
        came = {
            f"w{each}": table(bins[:, dealt == each], parts[dealt == each])
            for each in range(workers)
        }
        habits.take(float(block), came, LIMIT)
        for name, habit in habits.workers.items():
            if habit.since is not None:
                found += 1
                habits.workers[name] = Habit.new(came[name])
    print(world.__name__, workers, n, found)
    assert found <= BLOCKS * workers / 10**LIMIT


def table(bins: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Counts (columns, bins, parts)."""
    cells = (np.arange(COLUMNS)[:, None] * BINS + bins) * PARTS + parts
    counts = np.bincount(cells.ravel(), minlength=COLUMNS * BINS * PARTS)
    return counts.reshape(COLUMNS, BINS, PARTS).astype(np.float64)
