"""Paired losses: both questions, both directions, and the interval of the gap."""

import pytest

from trimtab.stats.paired import PairedSequence, PairedTest, Question


def test_a_worse_candidate_is_proven_worse_and_never_promoted() -> None:
    """Mean difference +0.05 against margin 0 and margin 0.02."""
    worse, promote = PairedTest.against(0.0, "worse"), PairedTest.against(0.02, "not_worse")
    for test in (worse, promote):
        test.update_differences([0.3, -0.2, 0.05, 0.05] * 300)
    assert worse.log10_evidence > 2
    assert promote.log10_max < 1
    assert worse.rows == 1200
    assert worse.log_evidence == pytest.approx(worse.log10_evidence * 2.302585093)


def test_an_equal_candidate_is_not_worse_than_the_margin() -> None:
    """Symmetric differences prove non-inferiority and nothing else."""
    worse, promote = PairedTest.against(0.0, "worse"), PairedTest.against(0.05, "not_worse")
    for test in (worse, promote):
        for _ in range(20):
            test.update_differences([0.2, -0.2] * 30)
    assert promote.log10_max > 2
    assert worse.log10_max < 1


def test_blocks_of_two_workers_are_judged_like_one_stream() -> None:
    """Merging before the judgement changes nothing."""
    one, two = PairedTest.against(0.0, "worse"), PairedTest.against(0.0, "worse")
    one.update_differences([0.5, -0.25, 1.0, -1.0])
    two.update(two.block([0.5, -0.25]).merge(two.block([1.0, -1.0])))
    assert one == two


@pytest.mark.parametrize(("margin", "question"), [(0.0, "better"), (1.5, "worse")])
def test_an_impossible_question_is_refused(margin: float, question: Question) -> None:
    """A known question, a margin that a loss can have."""
    with pytest.raises(ValueError, match="question"):
        PairedTest.against(margin, question)


@pytest.mark.parametrize("difference", [-1.1, 1.1, float("nan")])
def test_a_difference_that_no_loss_can_make_is_refused(difference: float) -> None:
    """Losses are in [0, 1], so differences are in [-1, 1]."""
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        PairedTest.against(0.0, "worse").update_differences([difference])


def test_the_interval_of_the_gap_has_the_unit_of_the_loss() -> None:
    """Everything before the first pair, then around the mean difference."""
    gap = PairedSequence.at(0.05)
    assert gap.interval == (-1.0, 1.0)
    assert gap.estimate is None
    gap.update_differences([0.1, -0.1, 0.3] * 1000)
    assert gap.estimate == pytest.approx(0.1, abs=1e-5)
    assert 0.08 < gap.interval.lower < 0.1 < gap.interval.upper < 0.12
