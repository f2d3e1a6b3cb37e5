"""Scores that no longer come true, and labels that no longer come."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    reference,
    rows,
    spec,
)

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.labels import Labels

FIRST = 20
TIMED = profile()


class Days:
    """Monitors over days of which the labels, or what they say, may change."""

    def __init__(self, known: ReferenceProfile = TIMED, plan: DeploymentSpec | None = None) -> None:
        self.monitors = Monitors.start(plan or spec(), BINARY, known, STABLE.digest, FIRST * DAY)
        self.day = FIRST
        self.incidents: dict[str, Incident] = {}
        self.verdicts: dict[str, Verdict] = {}

    def live(
        self,
        days: int,
        known: float = 1.0,
        scale: float = 1.0,
        flip: float = 0.0,
        late: float = 60.0,
    ) -> "Days":
        """Days with labels for a share of rows, and scores that are pulled to the ends."""
        for _ in range(days):
            part = rows(400, seed=self.day, start=self.day * DAY)
            truth = labelled(part, seed=self.day, flip=flip)
            score = np.clip(0.25 + (part.outputs["score"] - 0.25) * scale, 0.0, 1.0)
            told = Rows(part.fixed, part.inputs, {"score": score})
            self.monitors.observe(told)
            given = Labelled(told, truth.label, part.fixed["event_time"] + late)
            self.monitors.learn(given.take(np.arange(400) < 400 * known))
            self.day += 1
            self.judge((self.day + 1) * DAY + 3600.0)
        return self

    def word(self, signal: str) -> str:
        """The verdict on a signal."""
        return self.verdicts[signal].verdict

    def judge(self, clock: float) -> None:
        """Judge, and follow the incidents."""
        report = self.monitors.assess(clock, tuple(self.incidents.values()), Surroundings(0.0))
        self.verdicts = {verdict.signal: verdict for verdict in report.verdicts}
        for incident in (*report.opened, *report.updated):
            self.incidents[incident.id] = incident
        for closed in report.closed:
            del self.incidents[closed]


@pytest.mark.no_cover
def test_scores_that_come_true_are_calibrated_and_labels_come() -> None:
    days = Days().live(30)
    assert days.word("calibration") == "ok"
    assert days.word("labels") == "ok"
    assert "labels came for 100% of the predictions, after 60 s" in days.verdicts["labels"].reason
    assert not days.incidents


def test_labels_that_are_as_old_as_their_predictions_took_no_time() -> None:
    labels = Days().live(8, late=0.0).verdicts["labels"].reason
    assert "for 100% of the predictions, dated within a second of them; at least" in labels


@pytest.mark.no_cover
def test_scores_that_promise_too_little_are_found_whatever_their_level() -> None:
    days = Days().live(5).live(6, scale=0.2)
    assert days.word("calibration") == "ok"
    days.live(4, flip=0.3)
    assert days.word("calibration") == "bad"
    assert (days.verdicts["calibration"].estimate or 0.0) > 0.03
    assert "label minus score +0.1" in days.verdicts["calibration"].reason


@pytest.mark.no_cover
def test_calibration_that_recovers_is_over() -> None:
    days = Days().live(5).live(6, flip=0.3).live(12)
    assert days.word("calibration") == "ok"


def test_calibration_alone_is_a_changed_world_and_no_moved_inputs() -> None:
    known = msgspec.structs.replace(TIMED, quality=())
    shifted = msgspec.structs.replace(known, score=None, positive_rate=None)
    days = Days(shifted).live(5).live(8, flip=0.3)
    incident = next(iter(days.incidents.values()))
    assert incident.signals == ("calibration",)
    assert incident.tier == "note"
    assert [cause.cause for cause in incident.causes] == [Cause.CONCEPT_DRIFT]


@pytest.mark.no_cover
def test_calibration_belongs_to_the_incident_of_quality_that_fell() -> None:
    days = Days().live(5).live(8, flip=0.3)
    assert days.word("calibration") == "bad"
    assert ["quality" in incident.signals for incident in days.incidents.values()] == [True]


@pytest.mark.no_cover
def test_labels_that_stop_are_a_fault_of_the_labels_until_they_come_again() -> None:
    days = Days(plan=spec(maturity_seconds=DAY)).live(8).live(3, known=0.2)
    assert days.word("labels") == "bad"
    assert "labels came for 20%" in days.verdicts["labels"].reason
    incident = next(iter(days.incidents.values()))
    assert incident.signals == ("labels",)
    assert [cause.cause for cause in incident.causes] == [Cause.LABEL_FAULT]
    days.live(5)
    assert {days.word("labels"), *days.incidents} == {"ok"}


@pytest.mark.no_cover
def test_a_deployment_that_never_had_labels_has_no_fault_of_labels() -> None:
    days = Days().live(12, known=0.0)
    assert days.word("labels") == "unknown"
    assert "no label has come" in days.verdicts["labels"].reason
    assert days.word("calibration") == "unknown"


def test_few_rows_say_nothing_of_labels_or_scores() -> None:
    days = Days()
    for day in range(FIRST, FIRST + 6):
        part = rows(10, seed=day, start=day * DAY)
        days.monitors.observe(part)
        days.monitors.learn(labelled(part, seed=day))
    days.judge((FIRST + 9) * DAY)
    assert days.word("calibration") == "unknown"
    assert days.word("labels") == "unknown"


def test_a_cohort_waits_for_its_labels() -> None:
    days = Days()
    part = rows(400, seed=1, start=FIRST * DAY)
    days.monitors.observe(part)
    days.monitors.learn(labelled(part).take(np.arange(100)))
    days.judge((FIRST + 1) * DAY + 3600.0)
    assert days.word("calibration") == "unknown"
    days.judge((FIRST + 3) * DAY)
    days.monitors.learn(labelled(part).take(np.arange(100, 400)))
    days.judge((FIRST + 4) * DAY)
    assert days.verdicts["calibration"].n == 100


@pytest.mark.no_cover
def test_a_clock_that_leaps_ages_no_cohort() -> None:
    """All labels of a day come in the next one, when the clock has gone on by three more."""
    monitors = Monitors.start(spec(block_seconds=DAY), BINARY, TIMED, STABLE.digest, FIRST * DAY)
    waiting: list[Labelled] = []
    said: dict[bool, str] = {}
    for day in range(FIRST, FIRST + 8):
        part = rows(400, seed=day, start=day * DAY)
        monitors.observe(part)
        for late in waiting:
            monitors.learn(late)
        waiting = [labelled(part, seed=day)]
        monitors.assess((day + 1) * DAY + 7200.0, (), Surroundings())
    for ahead in (True, False):
        other, clock = Monitors.load(monitors.dump()), (FIRST + 8 + 3) * DAY + 7200.0
        report = other.assess(clock, (), Surroundings(ahead=3 * DAY if ahead else 0.0))
        said[ahead] = next(v.verdict for v in report.verdicts if v.signal == "labels")
    assert said == {True: "ok", False: "bad"}


def test_a_broken_feed_says_nothing_of_the_scores() -> None:
    days = Days()
    for day in range(FIRST, FIRST + 12):
        change = Change(factor=3.6, flip=0.4) if day >= FIRST + 8 else Change()
        part = changed(rows(400, seed=day, start=day * DAY), change, day)
        days.monitors.observe(part)
        days.monitors.learn(labelled(part, seed=day, flip=change.flip))
        days.judge((day + 1) * DAY + 3600.0)
    assert days.word("calibration") == "ok"
    assert days.verdicts["calibration"].n == 8 * 400


def test_a_reference_with_few_labels_calibrates_nothing() -> None:
    days = Days(build_profile(reference(days=1, per_day=50, timed=False))).live(3)
    assert "50 labels, 100 are needed" in days.verdicts["calibration"].reason


def test_quality_switched_off_leaves_labels_alone() -> None:
    days = Days(plan=spec(quality="none")).live(2)
    assert {"calibration", "labels", "quality"}.isdisjoint(days.verdicts)


def test_without_time_the_gap_is_known_by_its_rows() -> None:
    known = profile(timed=False)
    assert (known.calibration_rows, known.calibration_spread) == (8000, None)
    days = Days(known, spec(block_seconds=DAY)).live(3)
    assert days.verdicts["calibration"].tolerance == pytest.approx(0.02 + 0.0144, abs=1e-3)


def test_a_reference_without_usable_scores_has_no_calibration() -> None:
    label = np.array(["1", "0"] * 5, dtype=object)
    given = Reference(BINARY, {"x": np.arange(10.0)}, {"score": np.full(10, 7.0)}, label)
    assert build_profile(given).calibration_rows == 0


def answered_low(part: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Predictions in the lowest quarter of the scores."""
    score = part.outputs["score"]
    return np.asarray(score <= np.quantile(score, 0.25), dtype=np.bool_)


def test_labels_that_stop_for_one_answer_are_a_fault_of_the_labels_until_they_come_again() -> None:
    days = Days(plan=spec(maturity_seconds=DAY))
    told = {}
    for day in range(FIRST, FIRST + 24):
        part = rows(400, seed=day, start=day * DAY)
        days.monitors.observe(part)
        stopped = FIRST + 8 <= day < FIRST + 14
        kept = ~answered_low(part) if stopped else np.ones(400, dtype=np.bool_)
        days.monitors.learn(labelled(part, seed=day).take(kept))
        days.judge((day + 2) * DAY + 3600.0)
        told[day] = dict(days.verdicts), list(days.incidents.values())
    verdicts, open_then = told[FIRST + 13]
    missing = verdicts["labels:answers"]
    assert verdicts["labels"].verdict == "ok"
    assert missing.since == (FIRST + 8) * DAY
    assert (missing.estimate or 1.0) < 0.15
    assert "of the predictions that answered up to 0.1" in missing.reason
    assert ["labels:answers"] in [list(each.signals) for each in open_then]
    assert [each.causes[0].cause for each in open_then] == [Cause.LABEL_FAULT]
    verdicts, still_open = told[FIRST + 23]
    assert "labels:answers" not in verdicts
    assert not still_open


def test_labels_that_stop_for_all_answers_are_told_of_once() -> None:
    days = Days(plan=spec(maturity_seconds=DAY)).live(8).live(4, known=0.1)
    assert days.word("labels") == "bad"
    assert "labels:answers" not in days.verdicts


def test_answers_that_cannot_be_told_apart_have_one_part() -> None:
    bare = msgspec.structs.replace(TIMED, score=None)
    part = rows(40, start=FIRST * DAY)
    family = Labels(Target(spec(), BINARY, bare, STABLE.digest, 0.0))
    (counted,) = family.count(part).values()
    assert counted.predicted == 40
    outputs = {"label": np.array(["1"] * 40, dtype=object)}
    without = Rows(part.fixed, part.inputs, outputs)
    (counted,) = Labels(Target(spec(), BINARY, TIMED, STABLE.digest, 0.0)).count(without).values()
    assert sum(counted.asked[4::5]) == 40
