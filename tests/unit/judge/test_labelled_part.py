"""What labels of a part of the predictions say of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.judge.audit import asked
from trimtab.judge.labelled_part import Audited, Outcomes, Priced, powered
from trimtab.stats.fixed_point import MICRO

IDS = [f"id-{number}" for number in range(20_000)]


def test_a_share_of_predictions_is_asked_for_and_always_the_same() -> None:
    chosen = asked("d", IDS, [0] * len(IDS), 0.05)
    assert chosen.mean() == pytest.approx(0.05, abs=0.006)
    assert (chosen == asked("d", IDS, [0] * len(IDS), 0.05)).all()


def test_rows_and_deployments_are_chosen_apart() -> None:
    mine = asked("d", IDS, [0] * len(IDS), 0.5)
    for other in (asked("e", IDS, [0] * len(IDS), 0.5), asked("d", IDS, [1] * len(IDS), 0.5)):
        assert (mine & other).mean() == pytest.approx(0.25, abs=0.02)


@given(st.floats(0.001, 1.0), st.floats(0.001, 1.0))
def test_a_larger_share_holds_the_smaller(one: float, other: float) -> None:
    less, more = (asked("d", IDS[:200], [0] * 200, rate) for rate in sorted((one, other)))
    assert not (less & ~more).any()


def test_a_share_of_one_is_all_and_odd_ids_are_hashed_too() -> None:
    assert asked("d", ["", "\ud800", "x" * 256], [0, 0, 9], 1.0).all()


def told(labelled: list[int], hits: list[int]) -> Outcomes:
    """Outcomes of two cells."""
    micro = [int(each * MICRO) for each in hits]
    return Outcomes(labelled, micro, micro)


PRICED = Priced(np.ones(2), np.zeros(2), np.array([0.1, 0.6]), np.array([900.0, 100.0]))


def test_outcomes_of_parts_add_up() -> None:
    one, other = told([3, 0], [1, 0]), told([1, 2], [0, 2])
    assert one.merge(other) == told([4, 2], [1, 2])
    assert one.merge(Outcomes()) == one
    assert one.n == 3


def test_labels_as_if_by_chance_give_a_mean_with_its_interval() -> None:
    found = powered(0.0, PRICED, told([90, 10], [9, 6]))
    assert found is not None
    assert found.value == pytest.approx(0.15)
    assert found.lower < 0.15 < found.upper
    assert found.part == "by labels for 100 of 1,000 rows of the first event"
    assert powered(0.0, PRICED, told([0, 0], [0, 0])) is None


SUREST = Priced(np.ones(3), np.zeros(3), np.array([0.05, 0.5, 0.9]), np.array([9e3, 200, 200]))
"""Of many rows that hardly lose anything, and of some that may; labels are of these alone."""


def test_where_labels_are_of_other_rows_nothing_is_said_that_no_row_can_lose() -> None:
    assert powered(0.0, SUREST, told([0, 200, 200], [0, 0, 80])) is None


def test_a_mean_that_may_be_below_nothing_is_told_with_an_interval_that_holds_it() -> None:
    found = powered(0.0, SUREST, told([0, 20, 20], [0, 7, 15]))
    assert found is not None
    assert 0.0 == found.lower == found.value < found.upper


def test_an_audit_says_what_it_lacks_then_a_mean_and_how_complete_it_is() -> None:
    audit = Audited()
    assert audit.powered("error") is None
    audit.take({"error": PRICED}, told([18, 2], [2, 1]), 20, 0.02)
    assert audit.powered("error") is None
    assert audit.missing == "the audit has 20 labels, at least 30 are needed"
    audit.take({"error": PRICED}, told([18, 1], [2, 1]), 20, 0.02)
    found = audit.powered("error")
    assert found is not None
    assert found.lower <= found.value <= found.upper
    assert found.part == "by an audit of 39 rows (98% of those asked for), at any time"
    assert audit.powered("roc_auc") is None


def test_a_cohort_in_which_too_few_answered_is_no_evidence() -> None:
    audit = Audited()
    audit.take({"error": PRICED}, told([10, 0], [1, 0]), 20, 0.02)
    assert audit.missing == "the audit waits for labels: 95% of those asked for are needed"
    audit.take({"error": PRICED}, told([0, 0], [0, 0]), 0, 0.02)
    assert audit.unheard == 20
    audit.take({"error": PRICED}, told([36, 4], [4, 2]), 40, 0.04)
    found = audit.powered("error")
    assert found is not None
    assert "20 more in blocks that are short of labels" in found.part
