"""Segments of which labels no longer come, beside the others."""

import math

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled
from trimtab.judge.signals.awaited import CALLERS, Awaited
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.unlabelled import Compared, Sampled, Shared, Unlabelled, Waiting

KNOWN = profile()
LEFT, RIGHT = ("side", "left"), ("side", "right")


def target(known: ReferenceProfile | None = KNOWN, started: float = 0.0) -> Target:
    """Days whose labels mature within one more."""
    plan = spec(maturity_seconds=DAY, block_seconds=DAY)
    return Target(plan, BINARY, known, STABLE.digest, started)


def in_groups(asked: int, told: int) -> Awaited:
    """Predictions and labels of callers that are all in one group."""
    none = [0] * CALLERS
    return Awaited([asked, *none], [told, *none])


class Days:
    """Cohorts by side, in each of which a quarter of the levels is a quarter of each side."""

    def __init__(self, started: float = 0.0) -> None:
        made = Unlabelled.of(target(started=started))
        assert made is not None
        self.family, self.day = made, 0
        self.names = [made.named(place) for place in range(len(made.segments))]

    def follow(self, cohorts: int, asked: tuple[int, int], told: tuple[int, int]) -> "Days":
        """So many cohorts of predictions and labels on the left and on the right."""
        for _ in range(cohorts):
            callers = in_groups(sum(asked), sum(told))
            counted = Sampled(callers, self._shared(asked), self._shared(told))
            self.family.take({self.day: counted})
            self.day += 1
            self.family.close((self.day + 1) * DAY + 3_600.0, Breaks())
        return self

    def with_job(self, cohorts: int, old: tuple[int, int]) -> "Days":
        """Cohorts as usual, and besides those a job that asks of old rows, which nobody labels."""
        for _ in range(cohorts):
            both = self._shared((100 + old[0], 300 + old[1]))
            callers = in_groups(400, 370).merge(Awaited([0] * CALLERS + [sum(old)], []))
            self.family.take({self.day: Sampled(callers, both, self._shared((90, 280)))})
            self.day += 1
            self.family.close((self.day + 1) * DAY + 3_600.0, Breaks())
        return self

    def _shared(self, sides: tuple[int, int]) -> Shared:
        n = sum(sides)
        by_side = dict(zip((LEFT, RIGHT), sides, strict=True))
        return Shared(n, [by_side.get(name, n // 4) for name in self.names])

    @property
    def lacking(self) -> list[tuple[str, str]]:
        """The segments of which labels are missing."""
        return [self.family.named(place) for place in self.family.broken]


def seen(asked: tuple[int, int], told: tuple[int, int]) -> Waiting:
    """Predictions and labels of a segment, each of so many."""
    return Waiting(0.0, Tally(*asked), Tally(*told))


def test_segments_are_watched_where_quality_is_and_the_reference_knows_what_they_lost() -> None:
    assert Unlabelled.of(target(None)) is None
    assert Unlabelled.of(target(msgspec.structs.replace(KNOWN, segment_losses=None))) is None
    assert Unlabelled.of(target(msgspec.structs.replace(KNOWN, quality=()))) is None
    assert Unlabelled.of(target(msgspec.structs.replace(KNOWN, inputs=KNOWN.inputs[:1]))) is None


def test_rows_are_counted_by_the_segments_that_the_reference_knows() -> None:
    days, given = Days().follow(1, (100, 300), (90, 280)), rows(200)
    counted = days.family.count(given)[0]
    assert (counted.callers.predicted, counted.asked.n, counted.told) == (200, 200, Shared())
    by_name = dict(zip(days.names, counted.asked.of, strict=True))
    assert by_name[LEFT] == sum(given.inputs["side"] == "left")
    assert sum(n for (column, _), n in by_name.items() if column == "level") == 200
    failed = rows(50, outcome="failed")
    assert days.family.count(failed) == {}


def test_labels_are_counted_into_the_cohorts_of_their_predictions() -> None:
    truth = labelled(rows(200, start=0.5 * DAY))
    days = Days().follow(1, (100, 300), (90, 280))
    counted = days.family.learn(Labelled(truth.rows, truth.label, truth.labelled_at))
    assert {number: each.told.n for number, each in counted.items()} == {0: 100, 1: 100}
    assert [each.callers.labelled for each in counted.values()] == [100, 100]
    assert all(not each.callers.asked and not each.asked.n for each in counted.values())


def test_before_it_is_known_how_many_rows_come_few_of_them_are_counted() -> None:
    days, given = Days(), rows(8_000)
    counted = days.family.count(given)[0]
    assert counted.callers.predicted == 8_000
    assert 850 < counted.asked.n < 1_150
    days.family.take({0: counted})
    # The block is over, and its labels may still come.
    days.family.close(1.2 * DAY, Breaks())
    assert days.family.state.sizes == [8_000]
    assert days.family.state.blocks.counts.keys() == {0}
    days.family.close(1.3 * DAY, Breaks())
    assert days.family.state.sizes == [8_000]
    assert 3_800 < days.family.count(given)[0].asked.n <= 8_000


def test_of_many_rows_a_sample_is_counted_the_same_rows_of_both() -> None:
    days = Days().follow(7, (40_000, 40_000), (40_000, 40_000))
    given = rows(10_000, start=20 * DAY)
    asked = days.family.count(given)[20].asked
    told = days.family.learn(labelled(given))[20].told
    assert asked == told
    assert 300 < asked.n < 800


def test_a_sample_that_holds_no_row_counts_none() -> None:
    days = Days().follow(7, (4_000_000, 4_000_000), (4_000_000, 4_000_000))
    given = rows(3, start=20 * DAY)
    counted = days.family.count(given)[20]
    assert (counted.callers.predicted, counted.asked) == (3, Shared())


def test_counts_merge_to_those_of_all() -> None:
    one = Sampled(in_groups(5, 0), Shared(3, [1, 2]))
    other = Sampled(in_groups(4, 2), Shared(4, [2, 0]), Shared(2, [1, 1]))
    assert one.merge(other) == Sampled(in_groups(9, 2), Shared(7, [3, 2]), Shared(2, [1, 1]))
    assert one.merge(other) == other.merge(one)


def test_what_is_missing_is_said_beside_the_others() -> None:
    assert Compared.of(seen((100, 400), (80, 320))).missing == pytest.approx(0.0)
    assert Compared.of(seen((100, 400), (20, 260))).missing == pytest.approx(0.75)
    assert Compared.of(seen((100, 400), (5, 20))).missing == pytest.approx(0.0)
    assert Compared.of(seen((100, 400), (300, 400))).missing == 0.0


def test_a_comparison_is_worth_less_the_fewer_labels_or_others_there_are() -> None:
    worth = [
        Compared.of(seen(*each)).worth
        for each in (
            ((1000, 4000), (1000, 4000)),
            ((1000, 4000), (100, 400)),
            ((100, 4000), (100, 4000)),
            ((3990, 4000), (3990, 4000)),
        )
    ]
    assert worth == sorted(worth, reverse=True)
    assert Compared.of(seen((0, 400), (0, 400))) == Compared()
    assert Compared.of(seen((400, 400), (400, 400))) == Compared()
    assert Compared.of(seen((100, 400), (50, 50))) == Compared()


def test_rows_that_do_not_count_may_all_be_of_the_segment() -> None:
    assert Shared(500, [300]).within(0) == Tally(300, 500)
    assert Shared(500, [300]).within(0, 100) == Tally(200, 400)
    assert Shared(500, [300]).within(0, 400) == Tally(0, 100)


def test_before_there_is_a_past_nothing_is_known() -> None:
    (verdict,) = Days().follow(2, (100, 300), (90, 280)).family.verdicts()
    assert (verdict.signal, verdict.verdict) == ("labels:segments", "unknown")
    assert verdict.reason == "no segment has labels of 3 cohorts yet"


def test_a_segment_whose_labels_stop_is_told_and_no_other() -> None:
    days = Days().follow(8, (100, 300), (90, 280))
    assert days.family.verdicts() == ()
    days.follow(3, (100, 300), (5, 280))
    assert days.lacking == [LEFT]
    (verdict,) = days.family.verdicts()
    assert (verdict.signal, verdict.tier, verdict.verdict) == ("labels:segments", "ticket", "bad")
    assert verdict.scope == {"side": "left"}
    assert verdict.reason == (
        "where side is left, predictions are labelled 5% as often as the others, at least 96% "
        "before"
    )
    assert verdict.since == 8 * DAY
    assert verdict.evidence_log10 is not None
    assert verdict.threshold_log10 is not None
    assert verdict.evidence_log10 >= verdict.threshold_log10


def test_labels_that_stop_of_all_alike_are_missing_of_no_segment() -> None:
    days = Days().follow(8, (100, 300), (90, 280)).follow(6, (100, 300), (18, 56))
    assert days.lacking == []


def test_a_segment_whose_labels_come_again_has_recovered() -> None:
    days = Days().follow(8, (100, 300), (90, 280)).follow(3, (100, 300), (5, 280))
    assert days.follow(6, (100, 300), (90, 280)).lacking == []


@pytest.mark.parametrize("old", [(4_000, 0), (40, 0), (100, 300)])
def test_a_job_over_old_rows_without_labels_is_no_fault_even_if_it_lasts(
    old: tuple[int, int],
) -> None:
    days = Days().follow(8, (100, 300), (90, 280)).with_job(20, old)
    assert days.lacking == []


def test_labels_that_stop_beside_a_job_are_told_where_the_job_is_small() -> None:
    days = Days().follow(8, (100, 300), (90, 280))
    for _ in range(4):
        days.with_job(1, (20, 20)).follow(1, (100, 300), (5, 280))
    assert days.lacking == [LEFT]


def test_a_segment_that_grows_with_its_labels_lacks_none() -> None:
    days = Days().follow(8, (100, 300), (90, 280)).follow(20, (200, 200), (180, 190))
    assert days.lacking == []
    assert days.follow(3, (200, 200), (80, 190)).lacking == [LEFT]


def test_a_segment_that_never_had_a_label_lacks_none() -> None:
    days = Days().follow(12, (100, 300), (0, 280)).follow(12, (250, 150), (0, 140))
    assert days.lacking == []


def test_small_segments_are_judged_by_several_cohorts() -> None:
    days = Days().follow(10, (20, 380), (18, 350))
    left = days.names.index(LEFT)
    assert len(days.family.state.watches[left].recent) == 3
    assert left in days.family.state.waiting
    assert days.follow(12, (20, 380), (0, 350)).lacking == [LEFT]


def test_labels_of_a_cohort_may_come_until_they_have_matured() -> None:
    days = Days().follow(8, (100, 300), (95, 290))
    family = days.family
    for day in range(8, 14):
        family.take(
            {day: Sampled(in_groups(400, 0), Shared(400, [100] * 6), Shared(300, [75] * 6))}
        )
        family.close((day + 1) * DAY + 3_600.0, Breaks())
        assert family.state.blocks.counts.keys() >= {day}
        family.take({day: Sampled(in_groups(0, 400), told=Shared(100, [25] * 6))})
        family.close((day + 2) * DAY + 3_600.0, Breaks())
    assert days.lacking == []


def test_time_that_a_clock_leapt_over_matures_no_label() -> None:
    days = Days()
    days.family.take({0: Sampled(in_groups(400, 0), Shared(400, [100] * 6))})
    days.family.close(3 * DAY, Breaks(ahead=2 * DAY))
    assert days.family.state.blocks.counts.keys() == {0}


def test_the_segment_that_surely_lacks_labels_comes_before_a_part_of_it_and_what_holds_it() -> None:
    days = Days()
    # The first lacks labels, the second is a half of it, the third it and as many others.
    asked, usual, now = (
        [200, 100, 300, 50, 50, 50],
        [190, 95, 285, 47, 47, 47],
        [4, 2, 99, 47, 47, 47],
    )
    for day in range(11):
        told = usual if day < 8 else now
        callers, labels = in_groups(600, 570), Shared(570 if day < 8 else 384, told)
        counted = Sampled(callers, Shared(600, asked), labels)
        days.family.take({day: counted})
        days.family.close((day + 2) * DAY + 3_600.0, Breaks())
    assert days.family.broken[0] == 0
    assert set(days.family.broken) >= {0, 1}
    (verdict,) = days.family.verdicts()
    assert "; also where" in verdict.reason


def test_the_cohort_in_which_a_release_begins_is_not_judged() -> None:
    days = Days(started=1.5 * DAY).follow(2, (100, 300), (5, 280))
    assert all(not watch.recent for watch in days.family.state.watches)
    days.follow(1, (100, 300), (5, 280))
    assert days.family.state.watches[days.names.index(LEFT)].recent


def test_cohorts_without_predictions_or_labels_teach_nothing() -> None:
    days = Days().follow(2, (0, 0), (0, 0)).follow(2, (100, 300), (0, 0))
    assert all(not watch.recent for watch in days.family.state.watches)
    assert not days.family.state.waiting


def test_a_segment_s_evidence_must_be_as_many_times_larger_as_there_are_segments() -> None:
    days = Days().follow(8, (100, 300), (90, 280)).follow(3, (100, 300), (5, 280))
    (verdict,) = days.family.verdicts()
    watch = days.family.state.watches[days.names.index(LEFT)]
    assert verdict.evidence_log10 == watch.evidence - math.log10(len(days.names))
    assert np.isfinite(watch.evidence)
