"""How often a watched gap is wrong at the border of its zone, and how often its interval misses."""

from collections.abc import Iterator

import numpy as np
import pytest

from trimtab.judge.gaps import Block, Expected, GapWatch, gap_watch
from trimtab.judge.groups import Sums
from trimtab.judge.watch import Zone
from trimtab.stats.fixed_point import MICRO

pytestmark = pytest.mark.slow

BORDER = 0.05
LIMIT = 2.0


def base_rates(drift: str, rng: np.random.Generator, blocks: int) -> np.ndarray:
    """Rates of the others, block by block."""
    at = np.arange(blocks)
    return {
        "still": np.full(blocks, 0.3),
        "seasons": 0.35 + 0.25 * np.sin(at / 11.0),
        "jumps": rng.choice([0.05, 0.3, 0.7], blocks),
        "low": np.full(blocks, 0.01),
    }[drift]


def blocks_of(
    rng: np.random.Generator, drift: str, n: int, spread: float, count: int
) -> Iterator[tuple[float, Block]]:
    """Blocks whose gap is the border on average, days differing by `spread`; gap and block."""
    for number, base in enumerate(base_rates(drift, rng, count).tolist()):
        own = rng.poisson(n)
        gap = BORDER + float(rng.normal(0.0, spread))
        rate = min(max(base + gap, 0.0), 1.0)
        hits, other = rng.binomial(own, rate), rng.binomial(8 * n, base)
        yield rate - base, Block(number * 86_400.0, part(hits, own), part(other, 8 * n))


def part(hits: int, n: int) -> Sums:
    """Counts as sums."""
    return Sums(int(hits * MICRO), 0, n)


def begun(spread: float) -> GapWatch:
    """A watch that expects the still base."""
    return gap_watch(Zone(-BORDER, BORDER), spread**2, Expected.of(0.35, 0.3), LIMIT)


@pytest.mark.parametrize("spread", [0.0, 0.08])
@pytest.mark.parametrize("n", [3, 40, 600])
@pytest.mark.parametrize("drift", ["still", "seasons", "jumps", "low"])
def test_gaps_at_the_border_alarm_no_more_often_than_promised(
    drift: str, n: int, spread: float
) -> None:
    rng, watch, alarms, count = np.random.default_rng(n), begun(spread), 0, 4_000
    for _, block in blocks_of(rng, drift, n, spread, count):
        watch.take(block)
        if watch.bad:
            alarms, watch = alarms + 1, begun(spread)
    print(f"{drift}, n={n}, spread={spread}: {alarms} in {count}, at most {count / 10**LIMIT:g}")
    assert alarms <= count / 10**LIMIT


@pytest.mark.parametrize("n", [3, 40, 600])
@pytest.mark.parametrize("drift", ["still", "seasons", "jumps", "low"])
def test_the_interval_holds_the_mean_gap_at_all_times(drift: str, n: int) -> None:
    missed, runs = 0, 200
    for seed in range(runs):
        rng, watch = np.random.default_rng(seed), begun(0.0)
        watch.watch.log10_threshold = 1e9
        total, weight, held = 0.0, 0.0, True
        for gap, block in blocks_of(rng, drift, n, 0.03, 60):
            watch.take(block)
            if watch.whole.blocks:
                grown = watch.whole.weight - weight
                total, weight = total + grown * gap, watch.whole.weight
                lower, upper = watch.whole.interval
                held &= lower <= total / weight <= upper
        missed += not held
    print(f"{drift}, n={n}: {missed} of {runs} missed")
    assert missed <= 0.05 * runs
