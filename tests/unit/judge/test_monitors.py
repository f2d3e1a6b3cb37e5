"""What the monitors say of streams of rows and labels."""

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traffic import (
    BINARY,
    CANDIDATE,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    rows,
    spec,
)

from trimtab.domain.profile import Metric, QualityProfile, ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Datatype, Output, Signature
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.signals.breaks import QUARANTINE
from trimtab.judge.signals.quality import learned_tolerance, quality_zone
from trimtab.judge.watch import Z99

TIMED = profile()
UNTIMED = profile(timed=False)
FIRST = 20
CALM = Change()


class Life:
    """Monitors that live through days, and the incidents that are open."""

    def __init__(self, monitors: Monitors) -> None:
        self.monitors = monitors
        self.incidents: dict[str, Incident] = {}
        self.closed: list[Incident] = []
        self.day = FIRST
        self.surroundings = Surroundings(boundary=FIRST * DAY)
        self.report = MonitorReport(())

    def days(self, changes: Iterable[Change], n: int = 400) -> "Life":
        """Live through one day for each change: rows, then their labels, then the verdict."""
        for change in changes:
            seed, start = self.day, self.day * DAY
            part = changed(rows(n, seed=seed, start=start), change, seed)
            self.monitors.observe(part)
            self.monitors.learn(labelled(part, seed=seed, flip=change.flip))
            self.day += 1
            self.assess(self.day * DAY + 3600.0)
        return self

    def assess(self, clock: float) -> "Life":
        """Judge, and apply what the report says of incidents."""
        open_now = tuple(self.incidents.values())
        self.report = self.monitors.assess(clock, open_now, self.surroundings)
        for incident in (*self.report.opened, *self.report.updated):
            self.incidents[incident.id] = incident
        self.closed += [self.incidents.pop(closed) for closed in self.report.closed]
        return self

    def verdict(self, signal: str) -> Verdict:
        """The verdict of a signal."""
        return next(v for v in self.report.verdicts if v.signal == signal)

    def causes(self) -> list[Cause]:
        """First causes of what is open."""
        return [incident.causes[0].cause for incident in self.incidents.values()]


def start(reference: ReferenceProfile | None = TIMED, **plan: object) -> Life:
    """Monitors of a release that begins to serve on the first day."""
    return Life(Monitors.start(spec(**plan), BINARY, reference, STABLE.digest, FIRST * DAY))


UNTOLD = ("callers", "parity")
"""Signals of what these days do not bring: callers that name themselves, values told later."""


def test_before_any_row_everything_is_unknown() -> None:
    life = start().assess(FIRST * DAY)
    assert {verdict.verdict for verdict in life.report.verdicts} == {"unknown"}
    assert life.monitors.release == STABLE.digest


@pytest.mark.no_cover
def test_ordinary_days_raise_nothing() -> None:
    life = start().days([CALM] * 30)
    watched = [verdict for verdict in life.report.verdicts if verdict.signal not in UNTOLD]
    assert {verdict.verdict for verdict in watched} == {"ok"}
    assert not life.incidents
    assert not life.closed


def test_failures_page_and_are_blamed_on_a_release_that_has_just_begun() -> None:
    life = start().days([Change(failed=0.05)])
    assert life.verdict("errors").verdict == "bad"
    assert life.causes() == [Cause.BAD_RELEASE]


def test_failures_after_good_days_are_not_blamed_on_the_release_but_on_what_workers_share() -> None:
    life = start().days([CALM] * 5 + [Change(failed=0.05)])
    assert life.causes() == [Cause.INFRASTRUCTURE]
    incident = next(iter(life.incidents.values()))
    assert Cause.BAD_RELEASE in [ruled.cause for ruled in incident.ruled_out]


def test_slow_answers_alone_are_infrastructure_and_close_when_they_are_over() -> None:
    life = start().days([CALM] * 5 + [Change(slow=0.2)])
    assert life.causes() == [Cause.INFRASTRUCTURE]
    life.days([CALM] * 2)
    assert not life.incidents
    assert life.closed[0].signals == ("latency",)


def test_answers_of_the_batch_lane_may_take_their_time() -> None:
    life = start().days([CALM] * 5)
    for _ in range(3):
        start_at = life.day * DAY
        part = changed(rows(400, seed=life.day, start=start_at, lane="batch"), Change(slow=0.9))
        life.monitors.observe(part)
        life.days([CALM])
    assert life.verdict("latency").verdict == "ok"
    assert life.verdict("workers").verdict == "ok"
    assert not life.incidents


@pytest.mark.no_cover
def test_labels_turned_around_are_concept_drift_with_the_day_it_began() -> None:
    life = start().days([CALM] * 10 + [Change(flip=0.3)] * 6)
    quality = life.verdict("quality")
    assert quality.verdict == "bad"
    assert quality.since == (FIRST + 10) * DAY
    assert quality.lower is not None
    assert quality.lower > (quality.reference or 0.0)
    incident = next(iter(life.incidents.values()))
    assert incident.tier == "page"
    assert [cause.cause for cause in incident.causes] == [Cause.CONCEPT_DRIFT]
    assert {ruled.cause for ruled in incident.ruled_out} >= {Cause.DATA_DRIFT, Cause.BAD_RELEASE}


@pytest.mark.no_cover
def test_quality_that_recovers_closes_its_incident() -> None:
    life = start().days([CALM] * 5 + [Change(flip=0.3)] * 6 + [CALM] * 20)
    assert not life.incidents
    assert [incident.signals for incident in life.closed] == [("quality", "calibration")]
    assert life.verdict("quality").verdict == "ok"


@pytest.mark.no_cover
def test_moved_inputs_without_harm_are_a_note() -> None:
    life = start().days([CALM] * 3 + [Change(shift=1.5)] * 25)
    incident = next(iter(life.incidents.values()))
    assert (incident.tier, incident.causes[0].cause) == ("note", Cause.DATA_DRIFT)
    assert life.verdict("input:level").verdict == "bad"
    assert life.verdict("quality").verdict == "ok"


@pytest.mark.parametrize(
    "change", [Change(factor=3.6), Change(missing=1.0), Change(missing=1.0, only="left")]
)
def test_a_broken_feed_is_named_within_two_days_and_closes_when_it_is_mended(
    change: Change,
) -> None:
    life = start().days([CALM] * 8 + [change])
    assert life.causes() == [Cause.UPSTREAM_BREAK]
    incident = next(iter(life.incidents.values()))
    assert incident.signals == ("upstream:level",)
    assert incident.first_evidence_at == (FIRST + 8) * DAY
    assert (incident.verdicts[0].scope.get("side") == "left") == (change.only == "left")
    life.days([change] * 4 + [CALM] * 2)
    assert not life.incidents
    assert life.verdict("upstream").verdict == "ok"


@pytest.mark.no_cover
def test_quality_that_falls_while_a_feed_is_broken_is_no_incident_of_its_own() -> None:
    life = start().days([CALM] * 8 + [Change(factor=3.6, flip=0.4)] * 8)
    assert life.causes() == [Cause.UPSTREAM_BREAK]
    assert life.verdict("quality").verdict == "ok"
    assert "were left out" in life.verdict("quality").reason


def test_a_new_text_everywhere_is_a_break_until_it_is_known() -> None:
    life = start().days([CALM] * 8)
    part = rows(400, seed=99, start=life.day * DAY)
    new = Rows(part.fixed, {**part.inputs, "side": np.array(["up"] * 400, object)}, part.outputs)
    life.monitors.observe(new)
    life.assess((life.day + 1) * DAY + 3600.0)
    bad = [verdict for verdict in life.report.verdicts if verdict.verdict == "bad"]
    assert [verdict.signal for verdict in bad] == ["upstream:side"]
    assert "100% impossible or never seen (up)" in bad[0].reason


@pytest.mark.no_cover
def test_a_text_that_takes_longer_to_prove_than_to_learn_is_not_learned_meanwhile() -> None:
    life = start().days([CALM] * 8)
    for _ in range(QUARANTINE + 3):
        texts_of_day(life, CALM, 180)
    assert Cause.UPSTREAM_BREAK in life.causes()
    assert "45% impossible or never seen (up)" in life.verdict("upstream:side").reason


@pytest.mark.no_cover
def test_texts_that_the_reference_never_held_are_a_break_below_a_quarter_of_the_rows() -> None:
    life = start().days([CALM] * 8)
    for _ in range(10):
        texts_of_day(life, CALM, 96)
    assert Cause.UPSTREAM_BREAK in life.causes()
    assert "24% impossible or never seen (up)" in life.verdict("upstream:side").reason


@pytest.mark.no_cover
def test_a_few_texts_that_the_reference_never_held_are_no_break() -> None:
    life = start().days([CALM] * 8)
    for _ in range(10):
        texts_of_day(life, CALM, 24, str(life.day))
    assert Cause.UPSTREAM_BREAK not in life.causes()


@pytest.mark.no_cover
def test_a_number_that_no_longer_changes_is_a_break_until_it_does() -> None:
    life = start().days([CALM] * 8)
    stuck_day(life)
    assert life.causes() == [Cause.UPSTREAM_BREAK]
    assert "100% one and the same number" in life.verdict("upstream:level").reason
    life.days([CALM] * 2)
    assert not life.incidents


@pytest.mark.no_cover
def test_a_number_that_has_one_value_a_day_is_not_stuck() -> None:
    life = start()
    for _ in range(12):
        stuck_day(life)
    assert life.verdict("upstream").verdict == "ok"


def stuck_day(life: Life) -> None:
    """A day of 400 rows that all have the same level."""
    part = rows(400, seed=life.day, start=life.day * DAY)
    level = np.full(400, np.median(part.inputs["level"]))
    life.monitors.observe(Rows(part.fixed, {**part.inputs, "level": level}, part.outputs))
    life.day += 1
    life.assess(life.day * DAY + 3600.0)


@pytest.mark.no_cover
def test_what_other_columns_bring_while_a_feed_is_broken_is_not_learned() -> None:
    """Too few rows to be a break of their own; were they learned, the later one would be missed."""
    life = start().days([CALM] * 8)
    for _ in range(6):
        texts_of_day(life, Change(missing=1.0), 20)
    life.days([CALM] * 3)
    assert life.verdict("upstream").verdict == "ok"
    texts_of_day(life, CALM, 400)
    assert life.verdict("upstream:side").verdict == "bad"


def texts_of_day(life: Life, change: Change, count: int, text: str = "up") -> None:
    """A day of 400 rows, the first `count` of which have a text that was never seen."""
    part = changed(rows(400, seed=life.day, start=life.day * DAY), change, life.day)
    side = part.inputs["side"].copy()
    side[:count] = text
    life.monitors.observe(Rows(part.fixed, {**part.inputs, "side": side}, part.outputs))
    life.day += 1
    life.assess(life.day * DAY + 3600.0)


def test_labels_of_a_closed_cohort_are_late_and_change_no_evidence() -> None:
    life = start(maturity_seconds=0.0)
    part = rows(400, seed=1, start=FIRST * DAY)
    half = part.take(np.arange(200))
    life.monitors.observe(part)
    life.monitors.learn(labelled(half))
    life.assess((FIRST + 1) * DAY + 3600.0)
    before = life.verdict("quality").evidence_log10
    life.monitors.learn(labelled(part.take(np.arange(200, 400))))
    life.assess((FIRST + 1) * DAY + 7200.0)
    assert life.verdict("quality").evidence_log10 == before
    assert "200 came too late" in life.verdict("quality").reason
    assert "labels for 50%" in life.verdict("quality").reason


def test_a_cohort_waits_for_its_labels_until_they_mature() -> None:
    life = start()
    part = rows(400, seed=1, start=FIRST * DAY)
    life.monitors.observe(part)
    life.monitors.learn(labelled(part.take(np.arange(100))))
    life.assess((FIRST + 1) * DAY + 3600.0)
    assert life.verdict("quality").verdict == "unknown"
    life.assess((FIRST + 2) * DAY + 3600.0)
    assert life.verdict("quality").verdict == "ok"


def test_a_cohort_without_labels_says_nothing() -> None:
    life = start()
    life.monitors.observe(rows(400, seed=1, start=FIRST * DAY))
    life.assess((FIRST + 9) * DAY)
    assert life.verdict("quality").verdict == "unknown"


def test_rows_that_come_late_count_in_the_oldest_open_block() -> None:
    life = start().days([CALM])
    life.monitors.observe(rows(40, seed=3, start=FIRST * DAY))
    life.days([CALM])
    assert life.verdict("input:level").n == 400 + 40 + 400


def test_rows_of_others_shadow_copies_and_refusals_are_not_counted() -> None:
    life = start()
    for fixed in (
        {"release": CANDIDATE.digest},
        {"mode": "shadow"},
        {"outcome": "rejected"},
        {"outcome": "shed"},
    ):
        life.monitors.observe(rows(50, start=FIRST * DAY, **fixed))
    life.monitors.learn(labelled(rows(50, start=FIRST * DAY, release=CANDIDATE.digest)))
    life.assess((FIRST + 2) * DAY)
    assert {verdict.n for verdict in life.report.verdicts} == {0}


def test_a_release_without_profile_is_watched_for_what_needs_none() -> None:
    life = start(None).days([CALM])
    signals = [verdict.signal for verdict in life.report.verdicts]
    assert signals == ["callers", "errors", "latency", "workers", "parity"]


def test_quality_can_be_switched_off() -> None:
    life = start(quality="none").days([CALM])
    assert "quality" not in [v.signal for v in life.report.verdicts]


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "error"])
def test_without_time_in_the_reference_rows_are_the_observations(metric: str) -> None:
    life = start(UNTIMED, quality=metric, block_seconds=DAY / 4).days([CALM] * 4)
    watched = [verdict for verdict in life.report.verdicts if verdict.signal not in UNTOLD]
    assert {verdict.verdict for verdict in watched} == {"ok"}
    life.days([Change(flip=0.45)] * 6)
    assert life.verdict("quality").verdict == "bad"


def test_an_auc_needs_both_classes() -> None:
    life = start(quality="roc_auc")
    part = rows(100, seed=5, start=FIRST * DAY)
    label = np.array(["0"] * 100, dtype=object)
    life.monitors.observe(part)
    life.monitors.learn(Labelled(part, label, part.fixed["event_time"]))
    life.assess((FIRST + 1) * DAY + 3600.0)
    assert life.verdict("quality").verdict == "unknown"


def test_a_tolerance_of_the_users_own_counts_from_the_value() -> None:
    auc = QualityProfile(metric="roc_auc", value=0.7, lower=0.6, upper=0.8, n=9)
    loss = QualityProfile(metric="brier", value=0.2, lower=0.1, upper=0.3, n=9)
    assert quality_zone(auc, 0.05).low == pytest.approx(0.65)
    assert quality_zone(auc, None).low == pytest.approx(0.6)
    assert quality_zone(loss, 0.05).high == pytest.approx(0.25)
    assert quality_zone(loss, None).high == pytest.approx(0.3)


def of_reference(metric: Metric, value: float, spread: float | None = None) -> QualityProfile:
    """A metric that the reference knows exactly."""
    return QualityProfile(
        metric=metric, value=value, lower=value, upper=value, n=9000, spread=spread
    )


@pytest.mark.parametrize(
    ("metric", "value", "width"),
    [
        ("error", 0.1, 0.005),
        ("error", 0.3, 0.009),
        ("log_loss", 0.05, 0.0025),
        ("log_loss", 0.2, 0.006),
        ("roc_auc", 0.9, 0.01),
        ("recall", 0.5, 0.01),
    ],
)
def test_a_tolerance_that_nobody_set_is_a_floor_or_a_share_of_a_loss(
    metric: Metric, value: float, width: float
) -> None:
    known = of_reference(metric, value)
    assert learned_tolerance(known) == pytest.approx(width)
    zone = quality_zone(known, None)
    assert zone.excess(value) == pytest.approx(-width)


@pytest.mark.parametrize("metric", ["roc_auc", "error"])
def test_a_tolerance_that_nobody_set_is_no_less_than_what_an_ordinary_week_differs_by(
    metric: Metric,
) -> None:
    deviation = 0.1
    known = of_reference(metric, 0.3, spread=Z99 * deviation)
    assert learned_tolerance(known) == pytest.approx(deviation / 7**0.5)
    assert learned_tolerance(of_reference(metric, 0.3, 0.01)) >= 0.009


def test_a_day_on_which_everything_failed_says_nothing_of_scores() -> None:
    life = start().days([Change(failed=1.0)])
    assert life.verdict("prediction").verdict == "unknown"
    assert life.verdict("latency").verdict == "unknown"


def test_a_day_seen_only_in_part_is_not_compared_with_whole_days() -> None:
    monitors = Monitors.start(spec(), BINARY, TIMED, STABLE.digest, FIRST * DAY + 1.0)
    life = Life(monitors).days([CALM])
    assert life.verdict("input:level").verdict == "unknown"
    assert life.verdict("quality").verdict == "unknown"
    life.days([CALM] * 3).days([CALM], n=100)
    assert life.verdict("input:level").n == 3 * 400


def test_a_regression_is_watched_by_its_scaled_loss() -> None:
    signature = Signature((), (Output("prediction", Datatype.FP64),), "regression")
    truth = np.random.default_rng(0).normal(0.0, 10.0, 2000)
    noise = np.random.default_rng(1).normal(0.0, 1.0, 2000)
    label = np.array([repr(value) for value in truth.tolist()], dtype=object)
    given = Reference(signature, {"x": truth}, {"prediction": truth + noise}, label)
    monitors = Monitors.start(
        spec(quality="auto"), signature, build_profile(given), STABLE.digest, FIRST * DAY
    )
    part = rows(2000, start=FIRST * DAY)
    told = Rows(part.fixed, {"x": truth}, {"prediction": truth + 3.0 * noise})
    monitors.observe(told)
    monitors.learn(Labelled(told, label, part.fixed["event_time"]))
    life = Life(monitors).assess((FIRST + 2) * DAY)
    assert life.verdict("quality").verdict == "bad"
    assert life.verdict("prediction").verdict == "ok"
    assert life.causes() == [Cause.CONCEPT_DRIFT]


def test_a_model_of_another_kind_is_watched_by_its_inputs() -> None:
    other = Signature((), (), "other")
    values = np.random.default_rng(0).normal(0.0, 1.0, 300)
    empty = np.full(300, np.nan)
    profile = build_profile(Reference(other, {"x": values, "y": empty}))
    daily = spec(block_seconds=DAY, segments=())
    monitors = Monitors.start(daily, other, profile, STABLE.digest, FIRST * DAY)
    part = rows(300, start=FIRST * DAY)
    monitors.observe(Rows(part.fixed, {"x": values, "y": empty}, {}))
    life = Life(monitors).assess((FIRST + 2) * DAY)
    words = {verdict.signal: verdict.verdict for verdict in life.report.verdicts}
    assert {words.pop("input:y"), *map(words.pop, UNTOLD)} == {"unknown"}
    assert words == dict.fromkeys(["errors", "latency", "workers", "input:x", "upstream"], "ok")


@pytest.mark.no_cover
def test_what_was_saved_resumes_bit_for_bit() -> None:
    days = [CALM] * 6 + [Change(factor=3.6)] + [CALM] * 2 + [Change(flip=0.4)] * 5
    straight, broken = start().days(days), start()
    for change in days:
        broken.days([change])
        broken.monitors = Monitors.load(broken.monitors.dump())
    assert broken.monitors.dump() == straight.monitors.dump()
    assert broken.report == straight.report


def test_a_foreign_file_is_no_saved_state() -> None:
    with pytest.raises(msgspec.DecodeError):
        Monitors.load(b"{}")


@pytest.mark.no_cover
@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 3))
def test_the_order_of_segments_within_a_block_does_not_matter(order: list[int], seed: int) -> None:
    day = changed(rows(120, seed=seed, start=FIRST * DAY), Change(failed=0.1, missing=0.2), seed)
    truth = labelled(day, seed=seed)

    def dumped(places: Iterable[int]) -> bytes:
        life = start()
        for place in places:
            part = np.arange(place * 20, place * 20 + 20)
            life.monitors.observe(day.take(part))
            life.monitors.learn(
                Labelled(day.take(part), truth.label[part], truth.labelled_at[part])
            )
        life.assess((FIRST + 2) * DAY)
        return life.monitors.dump()

    assert dumped(order) == dumped(range(6))
