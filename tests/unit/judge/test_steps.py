"""Labels that leap at the threshold: the truth does not."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, spec

from trimtab.domain.profile import EstimateProfile
from trimtab.judge.signals.breaks import CLUSTERS
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.steps import STEEPER, Sides, Steps, StepWatch, near

PROFILE = profile(timed=False)
LIMIT = 3.0


def learned(chance: tuple[float, ...], held: int = 200) -> EstimateProfile:
    """Cells of these chances, half of them below the threshold, with so many rows each."""
    rows = (tuple(held for _ in chance),)
    return EstimateProfile(
        metrics=("error",),
        sides=("no", "yes"),
        cuts=(0.5,) * (len(chance) // 2 - 1),
        chance=chance,
        rows=rows,
        hits=((0.0,) * len(chance),),
        group=(0,) * len(chance),
    )


KNOWN = learned((0.05, 0.4, 0.6, 0.95))
ROWS = np.array([100.0, 40.0, 40.0, 20.0])


def steps() -> Steps:
    plan = spec(quality="brier", block_seconds=DAY)
    return Steps(Target(plan, BINARY, PROFILE, STABLE.digest, 0.0), KNOWN, LIMIT)


def fed(watch: StepWatch, days: range, below: float, above: float) -> StepWatch:
    """The watch after days on which such shares of the rows near the threshold came true."""
    family = steps()
    for day in days:
        family.take(watch, day * DAY, ROWS, ROWS * np.array([0.0, below, above, 1.0]))
        watch = msgspec.msgpack.decode(msgspec.msgpack.encode(watch), type=StepWatch)
    return watch


def test_labels_that_go_by_the_decision_are_told_with_what_was_expected() -> None:
    watch = fed(StepWatch(), range(5), 0.05, 0.95)
    (found,) = steps().verdicts(watch)
    assert (found.signal, found.verdict, found.tier) == ("feedback:echoed", "bad", "ticket")
    assert found.reason == (
        "95% of the labels just above the threshold are positive and 5% just below it, where "
        "scores let 60% and 40% be expected since the first event: labels repeat the answers"
    )
    assert found.estimate == pytest.approx(0.95)
    assert found.reference == pytest.approx(0.6)
    assert found.n == 5 * 80
    assert found.since == 0.0
    assert found.evidence_log10 >= found.threshold_log10 == LIMIT


@pytest.mark.parametrize(("below", "above"), [(0.4, 0.6), (0.1, 0.2), (0.8, 0.9), (0.6, 0.4)])
def test_days_on_which_more_or_fewer_rows_come_true_on_both_sides_are_no_leap(
    below: float, above: float
) -> None:
    watch = fed(StepWatch(), range(100), below, above)
    assert not steps().verdicts(watch)
    assert watch.log10_evidence < 1.0


def test_the_leap_is_told_since_the_evidence_rose() -> None:
    watch = fed(fed(StepWatch(), range(10), 0.4, 0.6), range(10, 15), 0.05, 0.95)
    assert watch.since == 10 * DAY


def test_labels_that_are_as_they_were_end_it() -> None:
    watch = fed(StepWatch(), range(5), 0.05, 0.95)
    assert fed(msgspec.structs.replace(watch), range(5, 7), 0.05, 0.95).since == 0.0
    watch = fed(watch, range(5, 25), 0.4, 0.6)
    assert watch.since is None
    assert not steps().verdicts(watch)
    assert fed(watch, range(25, 30), 0.05, 0.95).since == 25 * DAY


def test_a_side_without_rows_and_labels_of_one_class_say_nothing() -> None:
    watch = StepWatch()
    steps().take(watch, 0.0, np.array([9.0, 9.0, 0.0, 9.0]), np.zeros(4))
    steps().take(watch, 0.0, np.array([9.0, 0.0, 9.0, 9.0]), np.zeros(4))
    steps().take(watch, 0.0, ROWS, np.zeros(4))
    assert watch == StepWatch()


def test_many_rows_of_a_cohort_count_as_few_that_are_alike() -> None:
    table = Sides(1000.0, 900.0, 600.0, 10.0, 1.0, 4.0).table
    assert (table.first, table.first_hits) == (CLUSTERS, round(0.9 * CLUSTERS))
    assert (table.second, table.second_hits) == (10, 1)


def test_the_usual_odds_ratio_is_that_of_the_expected_shares() -> None:
    assert Sides(10.0, 0.0, 6.0, 10.0, 0.0, 4.0).usual == pytest.approx(2.25)
    assert STEEPER == 2.0


def test_near_are_the_cells_whose_odds_are_about_those_at_the_threshold() -> None:
    below, above = near(KNOWN)
    assert below.tolist() == [False, True, False, False]
    assert above.tolist() == [False, False, True, False]


def test_near_goes_by_the_odds_at_the_threshold_wherever_that_is() -> None:
    below, above = near(learned((0.01, 0.08, 0.1, 0.5)))
    assert below.tolist() == [False, True, False, False]
    assert above.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    "profile", [learned((0.05, 0.4, 0.6, 0.95), 99), learned((0.0, 0.0, 1.0, 1.0))]
)
def test_too_few_rows_near_the_threshold_are_none(profile: EstimateProfile) -> None:
    below, above = near(profile)
    assert not (below | above).any()
