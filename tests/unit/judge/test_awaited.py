"""Labels are awaited of those for whom labels came before."""

import numpy as np
import pytest
from tests.support.traffic import rows

from trimtab.domain.profile import Coarse
from trimtab.domain.records import Rows
from trimtab.judge.signals.awaited import CALLERS, Awaited, Known, by_caller, part_names


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
    given, one = rows(6), np.zeros(6, dtype=np.int64)
    units = np.array([0, 1, 1, CALLERS, CALLERS + 1, 0], dtype=np.uint64)
    named = Rows({**given.fixed, "unit": units}, given.inputs, given.outputs)
    counts = by_caller(named, one, 1)
    assert counts[:3] == [2, 1, 3]
    assert len(counts) == CALLERS + 1
    bare = {name: each for name, each in given.fixed.items() if name != "unit"}
    nameless = Rows(bare, given.inputs, given.outputs)
    assert by_caller(nameless, one, 1) == [6, *[0] * CALLERS]
    assert sum(by_caller(given.take(np.zeros(6, dtype=np.bool_)), one[:0], 1)) == 0


def test_callers_are_counted_by_the_part_of_their_answers() -> None:
    given = rows(4)
    units = np.array([0, 1, 1, 0], dtype=np.uint64)
    named = Rows({**given.fixed, "unit": units}, given.inputs, given.outputs)
    counts = by_caller(named, np.array([0, 2, 2, 1]), 3)
    assert counts[:9] == [1, 1, 0, 0, 0, 0, 0, 0, 2]
    assert Awaited(counts).predicted == 4


def test_parts_of_the_answers_are_named_by_their_ends_or_classes() -> None:
    assert part_names(Coarse(name="score", cuts=(0.125, 0.5))) == [
        "up to 0.125",
        "above 0.125 up to 0.5",
        "above 0.5",
        "nothing",
    ]
    classes = Coarse(name="label", categories=("cat", "dog"))
    assert part_names(classes) == ["cat", "dog", "none of these", "nothing"]
    assert part_names(Coarse(name="")) == ["none of these", "nothing"]


def in_parts(*callers: tuple[list[int], list[int]]) -> Awaited:
    """Predictions and labels by part of the first groups of callers."""
    size = len(callers[0][0])
    none = [0] * size * (CALLERS + 1 - len(callers))
    asked = [n for each, _ in callers for n in each]
    return Awaited([*asked, *none], [*(n for _, each in callers for n in each), *none])


def test_labels_are_missing_of_the_part_of_the_answers_that_lacks_them() -> None:
    told = Known().by_part(in_parts(([40, 60, 0], [4, 60, 0])))
    assert [n for _, n in told] == [40, 60, 0]
    assert [share for share, _ in told] == pytest.approx([0.9, 0.0, 0.0])
    assert Known().missing(in_parts(([40, 60, 0], [4, 60, 0]))) == pytest.approx((0.36, 100))


def test_of_a_caller_that_nobody_ever_labels_none_is_missing_of_any_part() -> None:
    told = Known()
    told.learn(in_parts(([50, 50], [50, 45]), ([0, 0], [0, 0])))
    shares = told.by_part(in_parts(([50, 50], [50, 45]), ([500, 20], [0, 0])))
    assert shares[0] == (0.0, 50)
    assert shares[1] == pytest.approx((0.1, 50))


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


def test_predictions_that_do_not_count_are_those_of_strangers() -> None:
    told = known((60, 54), (40, 36))
    assert told.strangers(cohort((60, 54), (40, 36), (300, 0))) == pytest.approx(0.75)
    assert told.strangers(cohort((60, 54), (40, 36))) == pytest.approx(0.0)
    assert Known().strangers(cohort((60, 54))) == 0.0


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
