"""How often labels are said to repeat the answers where errors are as few as they may be."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, spec

from trimtab.judge.explained import Split
from trimtab.judge.signals.echoes import FEWEST, Echoes
from trimtab.judge.signals.family import Target

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
