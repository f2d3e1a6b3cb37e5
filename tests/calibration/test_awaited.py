"""How often labels of a part of the answers, or of a segment, are said to be missing that are as
they always were."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, spec

from trimtab.judge.signals.awaited import CALLERS, Awaited
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.labels import Labels
from trimtab.judge.signals.unlabelled import Sampled, Shared, Unlabelled

pytestmark = pytest.mark.slow

BLOCKS = 4_000
PER_YEAR = 4.0

Nature = Callable[[int, int, np.random.Generator], float]
"""The chance that a prediction of a part of the answers gets its label, in a cohort."""


def nearly_all(cohort: int, part: int, rng: np.random.Generator) -> float:
    """As of most services."""
    return 0.95


def by_answer(cohort: int, part: int, rng: np.random.Generator) -> float:
    """Few of what is declined are ever labelled, nearly all of the rest."""
    return (0.15, 0.4, 0.8, 0.95, 0.95)[part]


def by_week(cohort: int, part: int, rng: np.random.Generator) -> float:
    """Fewer on two days of the week, each part on others."""
    return 0.6 if (cohort + part) % 7 < 2 else 0.8


def by_day(cohort: int, part: int, rng: np.random.Generator) -> float:
    """Days differ."""
    return float(rng.beta(18.0, 2.0))


@pytest.mark.parametrize("rows", [100, 3_000])
@pytest.mark.parametrize("nature", [nearly_all, by_answer, by_week, by_day])
def test_labels_that_come_as_ever_are_missing_of_no_answer_more_often_than_is_promised(
    nature: Nature, rows: int
) -> None:
    plan = spec(block_seconds=DAY, maturity_seconds=DAY, false_alarms_per_year=PER_YEAR)
    family = Labels(Target(plan, BINARY, profile(), STABLE.digest, 0.0))
    rng, found = np.random.default_rng([14, rows]), 0
    nobody = [0] * len(family.state.parts) * CALLERS
    for cohort in range(BLOCKS):
        asked = rng.multinomial(rows, (0.3, 0.25, 0.25, 0.2, 0.0))
        chances = [nature(cohort, part, rng) for part in range(asked.size)]
        told = rng.binomial(asked, chances).tolist()
        family.take({cohort: Awaited([*asked.tolist(), *nobody], [*told, *nobody])})
        family.close((cohort + 3) * DAY, Breaks())
        bad = [each for each in family.verdicts() if each.verdict == "bad"]
        if bad:
            found += 1
            family.state = Labels(Target(plan, BINARY, profile(), STABLE.digest, 0.0)).state
            family.state.blocks.first = cohort + 1
    allowed = 2.0 * PER_YEAR * 0.25 / 3.5 * BLOCKS / 365.25
    print(nature.__name__, rows, found, math.ceil(allowed))
    assert found <= allowed


CELLS = np.array([(0.2, 0.05), (0.1, 0.15), (0.15, 0.1), (0.05, 0.2)])
"""The predictions of each quarter of the levels, and side."""


@pytest.mark.parametrize("rows", [100, 3_000])
@pytest.mark.parametrize("nature", [nearly_all, by_answer, by_week, by_day])
def test_labels_that_come_as_ever_are_missing_of_no_segment_more_often_than_is_promised(
    nature: Nature, rows: int
) -> None:
    plan = spec(block_seconds=DAY, maturity_seconds=DAY, false_alarms_per_year=PER_YEAR)
    target = Target(plan, BINARY, profile(), STABLE.digest, 0.0)
    family, rng, found = _family(target), np.random.default_rng([15, rows]), 0
    for cohort in range(BLOCKS):
        asked = rng.multinomial(rows, CELLS.ravel()).reshape(CELLS.shape)
        chances = [[nature(cohort, quarter, rng)] for quarter in range(len(CELLS))]
        both = [_by_segment(each, family) for each in (asked, rng.binomial(asked, chances))]
        one, other = ([each.n, *[0] * CALLERS] for each in both)
        family.take({cohort: Sampled(Awaited(one, other), *both)})
        family.close((cohort + 3) * DAY, Breaks())
        if family.broken:
            found += 1
            family = _family(target)
            family.state.blocks.first = cohort + 1
    allowed = 2.0 * PER_YEAR * 0.25 / 3.5 * BLOCKS / 365.25
    print(nature.__name__, rows, found, math.ceil(allowed))
    assert found <= allowed


def _family(target: Target) -> Unlabelled:
    family = Unlabelled.of(target)
    assert family is not None
    return family


def _by_segment(cells: np.ndarray, family: Unlabelled) -> Shared:
    """Rows by quarter of the levels, and by side, in the order of the segments."""
    quarters = iter(cells.sum(axis=1).tolist())
    sides = dict(zip(("left", "right"), cells.sum(axis=0).tolist(), strict=True))
    names = [family.named(place) for place in range(len(family.segments))]
    of = [next(quarters) if column == "level" else sides[value] for column, value in names]
    return Shared(int(cells.sum()), of)
