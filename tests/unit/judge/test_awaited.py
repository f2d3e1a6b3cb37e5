"""Labels are awaited of those for whom labels came before."""

import numpy as np
import pytest
from tests.support.traffic import rows

from trimtab.domain.records import Rows
from trimtab.judge.signals.awaited import CALLERS, Awaited, Known, by_caller


def cohort(*groups: tuple[int, int]) -> Awaited:
    """Predictions and labels of the first groups of callers."""
    none = [0] * (CALLERS + 1 - len(groups))
    return Awaited([n for n, _ in groups] + none, [n for _, n in groups] + none)


def known(*groups: tuple[int, int], times: int = 3) -> Known:
    """What is known after some cohorts alike."""
    told = Known()
    for _ in range(times):
        told.learn(cohort(*groups))
    return told


def test_callers_are_counted_by_group_and_those_without_a_name_together() -> None:
    given = rows(6)
    units = np.array([0, 1, 1, CALLERS, CALLERS + 1, 0], dtype=np.uint64)
    counts = by_caller(Rows({**given.fixed, "unit": units}, given.inputs, given.outputs))
    assert counts[:3] == [2, 1, 3]
    assert len(counts) == CALLERS + 1
    bare = {name: each for name, each in given.fixed.items() if name != "unit"}
    assert by_caller(Rows(bare, given.inputs, given.outputs)) == [6, *[0] * CALLERS]
    assert sum(by_caller(given.take(np.zeros(6, dtype=np.bool_)))) == 0


def test_counts_merge_to_those_of_all() -> None:
    one, other = cohort((3, 0), (5, 0)), Awaited([], cohort((2, 2), (4, 4)).told, 60)
    both = one.merge(other)
    assert (both.predicted, both.labelled, both.seconds) == (8, 6, 60)
    assert both == other.merge(one)
    assert Awaited().merge(one) == one


def test_before_anything_is_known_all_predictions_count() -> None:
    assert Known().missing(cohort((30, 15), (10, 0))) == (0.625, 40)
    assert Known().missing(Awaited(cohort((40, 0)).asked)) == (1.0, 40)


@pytest.mark.parametrize("asked", [100, 10_000])
def test_of_a_caller_for_whom_no_label_ever_came_none_is_missing(asked: int) -> None:
    told = known((60, 54), (40, 36))
    assert told.missing(cohort((60, 54), (40, 36), (asked, 0))) == pytest.approx((0.1, 100))


def test_a_caller_that_asks_many_times_as_much_counts_as_twice_of_it() -> None:
    told = known((90, 90), (10, 10))
    assert told.missing(cohort((90, 90), (1000, 0))) == pytest.approx((20 / 110, 110))


def test_labels_that_no_longer_come_for_callers_that_are_known_are_missing() -> None:
    told = known((60, 30), (40, 20))
    assert told.missing(cohort((60, 6), (40, 4))) == pytest.approx((0.9, 100))
    assert told.missing(cohort((60, 30), (40, 0))) == pytest.approx((0.7, 100))


def test_where_nobody_is_known_any_more_all_predictions_count() -> None:
    told = known((60, 60))
    assert told.missing(cohort((0, 0), (50, 40))) == pytest.approx((0.2, 50))
    assert told.missing(cohort((3, 3), (50, 40))) == pytest.approx((10 / 53, 53))


def test_cohorts_without_a_label_teach_nothing_and_labels_beyond_predictions_are_none() -> None:
    told = known((60, 0))
    assert told.recent == []
    assert told.missing(cohort((60, 70))) == (0.0, 60)
