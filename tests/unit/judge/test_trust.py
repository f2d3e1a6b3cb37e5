"""When estimates are no longer believed, and when they are again."""

import math
from collections.abc import Sequence

import pytest

from trimtab.judge.trust import Told, Trust, spread_of

LIMIT = 2.0


def told(real: float, expected: float = 0.3, n: int = 500) -> Told:
    """Labels of a cohort of one stream."""
    return Told(n, real, expected, 0.01, None)


def lived(*cohorts: Sequence[Told | None]) -> Trust:
    """Trust after some cohorts, a day each."""
    trust = Trust()
    for day, streams in enumerate(cohorts):
        trust.take(float(day), streams, LIMIT)
    return trust


def test_labels_as_expected_cost_no_trust() -> None:
    trust = lived(*[[told(0.3), told(0.31), None]] * 50)
    assert trust.since is None
    assert trust.evidence < LIMIT


@pytest.mark.parametrize("real", [0.15, 0.45])
def test_a_stream_whose_labels_contradict_it_costs_trust_on_either_side(real: float) -> None:
    trust = lived(*[[told(0.3), told(0.3), told(real)]] * 10)
    assert trust.since is not None
    assert trust.worst == 2
    assert trust.reason().startswith("labels contradict it: of rows whose chance was about 0.30")
    assert f"{real:.3f} came true" in trust.reason()


def test_a_small_contradiction_of_all_rows_weighs_more_than_one_of_a_group() -> None:
    """A tolerance of .01 overall, of .05 in a group."""
    off, fair = told(0.34, n=5000), told(0.3, n=5000)
    assert lived(*[[off, fair, fair]] * 10).reason() == (
        "labels contradict it: the mean loss is 0.340 (n=10000), 0.300 was expected"
    )
    assert "of all rows 0.340 came true" in lived(*[[fair, off, off]] * 10).reason()
    assert lived(*[[fair, fair, off]] * 10).since is None


def test_trust_comes_back_when_labels_are_as_expected_again() -> None:
    lost: list[Told | None] = [told(0.6)]
    trust = lived(*[lost] * 3)
    assert trust.since == 0.0
    for day in range(3, 30):
        trust.take(float(day), [told(0.3)], LIMIT)
    assert trust.since is None


def test_what_is_told_is_of_the_cohorts_that_contradict() -> None:
    trust = lived(*[[told(0.3)]] * 40, *[[told(0.5)]] * 3)
    assert "0.500 (n=" in trust.reason()


def test_a_stream_without_labels_says_nothing_of_recovery() -> None:
    trust = lived(*[[told(0.3), told(0.9)]] * 3)
    before = trust.since
    for _ in range(30):
        trust.take(9.0, [told(0.3), None], LIMIT)
    assert trust.since == before == 0.0


def test_chances_at_the_edge_are_doubted_on_one_side_only() -> None:
    never: list[Told | None] = [told(0.0, 0.0, n=5000)]
    often: list[Told | None] = [told(0.2, 0.0)]
    assert lived(*[never] * 20).since is None
    assert lived(*[often] * 3).since == 0.0
    assert lived(*[often] * 3, *[never] * 20).since is None


def test_days_that_differ_by_nature_are_no_contradiction() -> None:
    swinging: list[list[Told | None]] = [
        [Told(500, 0.3 + swing, 0.3, 0.01, 0.3)] for swing in (0.1, -0.1) * 20
    ]
    assert lived(*swinging).since is None
    assert spread_of(None) is None
    assert spread_of(0.01) == pytest.approx(2.5758 * math.sqrt(0.01))


def test_a_mean_loss_is_told_in_its_unit_and_a_share_of_rows_is_none() -> None:
    off, fair = told(0.34, n=5000), told(0.3, n=5000)
    mean = lived(*[[off, fair, fair]] * 10).reason(10.0)
    assert "the mean loss is 3.400 (n=10000), 3.000 was expected" in mean
    assert "of all rows 0.340" in lived(*[[fair, off, off]] * 10).reason(10.0)
