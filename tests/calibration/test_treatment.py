"""How often the guard is wrong about groups at the border of harm, looked at all the time."""

import numpy as np
import pytest

from trimtab.judge.groups import Sums
from trimtab.judge.treatment import Contest, Harmless
from trimtab.stats.fixed_point import MICRO

pytestmark = pytest.mark.slow

HARMLESS = Harmless(0.05, 0.05)
LIMIT = 2.0
RUNS = 400
WEIGHTS = (100, 500, 2500, 5000)

BORDERS = {"like stable": (0.3, 0.3), "tolerated": (0.05, 0.0), "closing": (0.05, 0.2)}
"""Gaps of the candidate and of stable, none of which is harm."""


def arm(rng: np.random.Generator, n: int, base: float, gap: float) -> tuple[Sums, Sums]:
    """Rows of the group, one in five, and of the others under one release."""
    own = int(rng.binomial(n, 0.2))
    hits, other = rng.binomial(own, base + gap), rng.binomial(n - own, base)
    return Sums(int(hits * MICRO), 0, own), Sums(int(other * MICRO), 0, n - own)


def ever(rng: np.random.Generator, gaps: tuple[float, float], base: str) -> tuple[float, float]:
    """The largest evidence of harm and of no harm over a rollout with a look at every step."""
    contest, worse, not_worse = Contest(), 0.0, 0.0
    for step in range(60):
        rate = {"still": 0.3, "seasons": 0.3 + 0.2 * np.sin(step / 9.0)}[base]
        weight = WEIGHTS[step // 15]
        canary = int(rng.binomial(400, weight / 10_000))
        for candidate, n in ((True, canary), (False, 400 - canary)):
            contest.add(weight, candidate, *arm(rng, n, rate, gaps[0 if candidate else 1]))
        worse = max(worse, contest.worse(HARMLESS))
        not_worse = max(not_worse, contest.not_worse(HARMLESS))
    return worse, not_worse


@pytest.mark.parametrize("base", ["still", "seasons"])
@pytest.mark.parametrize("border", BORDERS)
def test_a_candidate_that_does_no_harm_goes_back_no_more_often_than_promised(
    border: str, base: str
) -> None:
    rng = np.random.default_rng(len(border))
    found = [ever(rng, BORDERS[border], base)[0] >= LIMIT for _ in range(RUNS)]
    assert sum(found) <= 0.01 * RUNS + 2.0


@pytest.mark.parametrize("base", ["still", "seasons"])
@pytest.mark.parametrize("gaps", [(0.05, 0.0), (0.1, 0.05), (-0.05, 0.0)])
def test_harm_at_the_border_is_excluded_no_more_often_than_promised(
    gaps: tuple[float, float], base: str
) -> None:
    rng = np.random.default_rng(7)
    found = [ever(rng, gaps, base)[1] >= -np.log10(0.05 / 2.0) for _ in range(RUNS)]
    assert sum(found) <= 0.05 * RUNS + 4.0


def test_harm_is_found() -> None:
    rng = np.random.default_rng(5)
    assert np.mean([ever(rng, (-0.25, 0.0), "still")[0] >= LIMIT for _ in range(40)]) > 0.9
