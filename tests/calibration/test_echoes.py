"""How often labels are said to repeat the answers where errors are as few as they may be, or the
truth leaps at the threshold by as much as it may."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, spec

from trimtab.domain.profile import EstimateProfile
from trimtab.judge.explained import Split
from trimtab.judge.signals.echoes import FEWEST, Echoes
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.steps import STEEPER, Steps, StepWatch

pytestmark = pytest.mark.slow

LIMIT = 2.0
DAYS = 4_000
KNOWN = profile(timed=False)


@pytest.mark.parametrize("n", [30, 1000])
@pytest.mark.parametrize("usual", [(0.02, 0.02), (0.1, 0.3), (0.45, 0.45)])
def test_half_of_the_errors_expected_echo_no_more_than_is_promised(
    usual: tuple[float, float], n: int
) -> None:
    """Rows of a day are easier or harder than those of others, as is known from their scores."""
    rng, found = np.random.default_rng([10, n]), 0
    echoes, watch = begun(), None
    splits: list[Split] = []
    for day in range(DAYS):
        expected = rng.uniform(*usual)
        real = rng.binomial(n, FEWEST * expected) / n
        splits = [*splits, Split(day * DAY, n, expected, real)][-60:]
        watch = echoes.take(watch, splits[-1])
        if echoes.verdicts(watch, splits):
            found += 1
            watch, splits = None, []
    print(usual, n, found)
    assert found <= DAYS / 10**LIMIT


def begun() -> Echoes:
    """Labels that are held at fault at the limit."""
    plan = spec(quality="error", block_seconds=DAY)
    echoes = Echoes(Target(plan, BINARY, KNOWN, STABLE.digest, 0.0))
    echoes._limit = LIMIT
    return echoes


CHANCES = np.array([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
"""Of the cells, half of which are below the threshold."""

PARTS = 4
"""Sources of a day's rows, each of which has a time of its own."""


@pytest.mark.parametrize("n", [60, 2000])
@pytest.mark.parametrize(("day", "part"), [(0.0, 0.0), (1.5, 0.0), (1.0, 0.7)])
def test_twice_the_odds_ratio_expected_leaps_no_more_than_is_promised(
    day: float, part: float, n: int
) -> None:
    """Days, and parts of days, differ by log-odds of these standard deviations."""
    rng, found, watch = np.random.default_rng([11, n]), 0, StepWatch()
    steps = Steps(Target(spec(), BINARY, KNOWN, STABLE.digest, 0.0), learned(), LIMIT)
    usual = np.log(CHANCES / (1.0 - CHANCES))
    steeper = np.where(CHANCES > 0.5, 0.5, -0.5) * np.log(STEEPER)
    for number in range(DAYS):
        rows, hits = np.zeros(CHANCES.size), np.zeros(CHANCES.size)
        common = rng.normal(0.0, day)
        for _ in range(PARTS):
            odds = np.exp(usual + steeper + common + rng.normal(0.0, part))
            came = rng.multinomial(n // PARTS, np.full(CHANCES.size, 1.0 / CHANCES.size))
            rows, hits = rows + came, hits + rng.binomial(came, odds / (1.0 + odds))
        steps.take(watch, number * DAY, rows, hits)
        if watch.since is not None:
            found, watch = found + 1, StepWatch()
    print(day, part, n, found)
    assert found <= DAYS / 10**LIMIT


def learned() -> EstimateProfile:
    """Cells of these chances, well known."""
    return EstimateProfile(
        metrics=("error",),
        sides=("no", "yes"),
        cuts=(),
        chance=tuple(CHANCES.tolist()),
        rows=((1000,) * CHANCES.size,),
        hits=(),
        group=(),
    )
