"""How verdicts become incidents, and what is said to be their cause."""

from typing import Any

import msgspec
import pytest

from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.budget import tier
from trimtab.judge.causes.case import Calibration, Case
from trimtab.judge.describe import day, group
from trimtab.judge.explained import Explained
from trimtab.judge.incidents import reconcile
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.tie import Tie

DAY = 86_400.0


def case(**changed: Any) -> Case:
    given: dict[str, Any] = {
        "deployment": "d",
        "release": "sha256:" + "a" * 64,
        "clock": 10 * DAY,
        "block_seconds": DAY,
        "started": 0.0,
        "surroundings": Surroundings(),
        "explained": None,
        "calibration": None,
        "labels": "labels for 97%",
        "opened": 0,
        "false_alarms": 12.0,
    }
    return Case(**(given | changed))


def verdict(signal: str, word: Any = "bad", since: float = 8 * DAY) -> Verdict:
    return Verdict(
        signal=signal,
        tier=tier(group(signal)),
        verdict=word,
        reason=f"{signal} is {word}",
        release="r",
        since=since,
    )


def opened(report: MonitorReport) -> Incident:
    assert len(report.opened) == 1
    return report.opened[0]


def causes(incident: Incident) -> list[Cause]:
    return [cause.cause for cause in incident.causes]


def test_verdicts_of_one_kind_are_one_incident_with_a_stable_id() -> None:
    first = opened(reconcile(case(), [verdict("errors"), verdict("input:x", "ok")], ()))
    assert first.id == "d-aaaaaaaaaaaa-service-1"
    again = reconcile(case(opened=1), [verdict("errors")], (first,))
    assert (again.opened, again.updated, again.closed) == ((), (), ())
    more = reconcile(case(opened=1), [verdict("errors"), verdict("latency")], (first,))
    assert [incident.id for incident in more.updated] == [first.id]
    assert more.updated[0].signals == ("errors", "latency")
    over = reconcile(case(opened=1), [verdict("errors", "ok")], more.updated)
    assert over.closed == (first.id,)


def test_incidents_of_other_releases_and_of_the_loop_are_left_alone() -> None:
    first = opened(reconcile(case(), [verdict("errors")], ()))
    assert reconcile(case(release="other"), [], (first,)).closed == ()
    own = opened(reconcile(case(), [verdict("errors")], ()))
    foreign = msgspec.structs.replace(own, signals=("worker",))
    assert reconcile(case(), [], (foreign,)).closed == ()


def test_an_incident_says_how_often_one_like_it_may_be_a_false_alarm() -> None:
    page = opened(reconcile(case(), [verdict("errors")], ()))
    note = opened(reconcile(case(), [verdict("input:x")], ()))
    assert page.bound == "at most 12 pages a year of d are false alarms, on average"
    assert note.bound.startswith("at most 48 notes a year")


def test_a_break_is_neither_why_other_columns_drift_nor_ruled_out() -> None:
    report = reconcile(case(), [verdict("input:y"), verdict("upstream:x")], ())
    (drift,) = (each for each in report.opened if "-drift-" in each.id)
    assert Cause.UPSTREAM_BREAK not in causes(drift)
    assert Cause.UPSTREAM_BREAK not in {each.cause for each in drift.ruled_out}


def test_a_break_may_be_why_groups_are_apart() -> None:
    report = reconcile(case(), [verdict("bias:selection"), verdict("upstream:x")], ())
    (bias,) = (each for each in report.opened if "-bias-" in each.id)
    assert causes(bias)[0] is Cause.UPSTREAM_BREAK


def test_quality_that_was_open_before_a_break_stays_its_own_incident() -> None:
    quality = opened(reconcile(case(), [verdict("quality")], ()))
    both = [verdict("quality"), verdict("upstream:x")]
    report = reconcile(case(opened=1), both, (quality,))
    assert causes(opened(report)) == [Cause.UPSTREAM_BREAK]
    assert report.closed == ()
    (known,) = report.updated
    assert known.id == quality.id
    assert causes(known)[0] is Cause.UPSTREAM_BREAK, "the feed was found broken after its effect"
    joined = opened(reconcile(case(), both, ()))
    assert joined.signals == ("upstream:x", "quality")


def test_calibration_that_recovers_last_keeps_the_incident_of_its_quality_open() -> None:
    both = [verdict("quality"), verdict("calibration")]
    first = opened(reconcile(case(), both, ()))
    left = [verdict("quality", "ok"), verdict("calibration"), verdict("input:x")]
    report = reconcile(case(opened=1), left, (first,))
    assert [incident.signals for incident in report.opened] == [("input:x",)]
    assert (report.updated, report.closed) == ((), ())
    over = reconcile(case(opened=1), [verdict("calibration", "ok")], (first,))
    assert over.closed == (first.id,)


def test_calibration_that_was_no_part_of_an_incident_of_quality_is_one_of_its_own() -> None:
    first = opened(reconcile(case(), [verdict("quality")], ()))
    report = reconcile(case(opened=1), [verdict("calibration")], (first,))
    assert opened(report).signals == ("calibration",)
    assert report.closed == (first.id,)


def test_a_golden_set_that_fails_comes_first_whatever_else_is_seen() -> None:
    around = Surroundings(golden_failures=("w1",))
    incident = opened(reconcile(case(surroundings=around), [verdict("quality")], ()))
    assert causes(incident)[0] is Cause.ENVIRONMENT_MISALIGNMENT


@pytest.mark.parametrize("signal", ["upstream:x", "labels", "input:x"])
def test_what_is_decided_before_a_worker_is_asked_is_not_blamed_on_the_environment(
    signal: str,
) -> None:
    around = Surroundings(golden_failures=("w1",))
    incident = opened(reconcile(case(surroundings=around), [verdict(signal)], ()))
    assert Cause.ENVIRONMENT_MISALIGNMENT not in causes(incident)


@pytest.mark.parametrize(
    ("around", "since", "expected"),
    [
        (Surroundings(), 8 * DAY, [Cause.UNKNOWN]),
        (Surroundings(host_pressure=()), 8 * DAY, [Cause.UNKNOWN]),
        (Surroundings(host_pressure=("no memory",)), 8 * DAY, [Cause.INFRASTRUCTURE]),
        (Surroundings(starved=("no processor",)), 8 * DAY, [Cause.INFRASTRUCTURE]),
        (Surroundings(restarts=3), DAY, [Cause.INFRASTRUCTURE, Cause.BAD_RELEASE]),
        (Surroundings(candidate=True), 8 * DAY, [Cause.INFRASTRUCTURE]),
        (Surroundings(boundary=7 * DAY), 8 * DAY, [Cause.BAD_RELEASE, Cause.INFRASTRUCTURE]),
    ],
)
def test_failures_are_blamed_on_what_changed(
    around: Surroundings, since: float, expected: list[Cause]
) -> None:
    found = opened(reconcile(case(surroundings=around), [verdict("errors", since=since)], ()))
    assert causes(found) == expected


@pytest.mark.parametrize(
    ("signal", "word", "expected"),
    [
        ("resources:memory", "bad", Cause.INFRASTRUCTURE),
        ("resources:memory", "ok", Cause.UNKNOWN),
    ],
)
def test_failures_are_blamed_on_memory_by_the_verdict_on_it_alone(
    signal: str, word: Any, expected: Cause
) -> None:
    memory = Verdict(signal=signal, tier="ticket", verdict=word, reason="it grows", release="r")
    report = reconcile(case(), [verdict("errors"), memory], ())
    service = next(each for each in report.opened if each.signals == ("errors",))
    assert causes(service) == [expected]
    told = any(memory.reason in cause.evidence for cause in service.causes)
    assert told is (expected is Cause.INFRASTRUCTURE)


@pytest.mark.parametrize(
    ("words", "since", "expected"),
    [
        ({"workers": "ok", "callers": "ok", "upstream": "ok"}, 8 * DAY, Cause.INFRASTRUCTURE),
        ({"workers": "ok", "callers": "unknown", "upstream": "ok"}, 8 * DAY, Cause.INFRASTRUCTURE),
        ({"workers": "ok", "upstream": "ok"}, DAY, Cause.BAD_RELEASE),
        ({"workers": "unknown", "upstream": "ok"}, 8 * DAY, Cause.UNKNOWN),
        ({"workers": "ok", "upstream": "unknown"}, 8 * DAY, Cause.UNKNOWN),
        ({"workers": "ok", "upstream:x": "bad"}, 8 * DAY, Cause.UNKNOWN),
    ],
)
def test_failures_of_all_workers_alike_are_blamed_on_what_they_share(
    words: dict[str, Any], since: float, expected: Cause
) -> None:
    beside = [verdict(signal, word) for signal, word in words.items()]
    report = reconcile(case(), [verdict("errors", since=since), *beside], ())
    service = next(each for each in report.opened if each.signals == ("errors",))
    assert causes(service)[0] is expected
    compared = {f"{signal} is ok" for signal, word in words.items() if word == "ok"}
    if expected is Cause.INFRASTRUCTURE:
        assert compared < {*service.causes[0].evidence}


MOVED = [verdict("quality"), verdict("input:x")]
STILL = [verdict("quality"), verdict("input:x", "ok")]
SHIFTED, HELD = Calibration(0.09, 0.01), Calibration(0.015, 0.01)


@pytest.mark.parametrize(
    ("verdicts", "calibration", "expected"),
    [
        (STILL, None, [Cause.CONCEPT_DRIFT]),
        (MOVED, None, [Cause.DATA_DRIFT]),
        (STILL, SHIFTED, [Cause.CONCEPT_DRIFT]),
        (STILL, HELD, [Cause.CONCEPT_DRIFT]),
        (MOVED, SHIFTED, [Cause.CONCEPT_DRIFT, Cause.DATA_DRIFT]),
        (MOVED, HELD, [Cause.DATA_DRIFT, Cause.CONCEPT_DRIFT]),
    ],
)
def test_calibration_tells_concept_drift_from_harder_inputs(
    verdicts: list[Verdict], calibration: Calibration | None, expected: list[Cause]
) -> None:
    report = reconcile(case(calibration=calibration), verdicts, ())
    assert causes(report.opened[0]) == expected


HARDER = Explained("roc_auc", 0.8, 0.7, 0.69)
OTHERWISE = Explained("roc_auc", 0.8, 0.79, 0.69)


@pytest.mark.parametrize(
    ("verdicts", "told", "expected"),
    [
        (STILL, OTHERWISE, [Cause.CONCEPT_DRIFT]),
        (MOVED, OTHERWISE, [Cause.CONCEPT_DRIFT, Cause.DATA_DRIFT]),
        (STILL, HARDER, [Cause.DATA_DRIFT, Cause.CONCEPT_DRIFT]),
        (MOVED, HARDER, [Cause.DATA_DRIFT, Cause.CONCEPT_DRIFT]),
    ],
)
def test_the_larger_part_of_the_fall_says_whether_the_world_or_its_inputs_changed(
    verdicts: list[Verdict], told: Explained, expected: list[Cause]
) -> None:
    """Whatever the scores of so few rows say."""
    for calibration in (None, SHIFTED, HELD):
        report = reconcile(case(explained=told, calibration=calibration), verdicts, ())
        assert causes(report.opened[0]) == expected
        assert str(told) in " ".join(report.opened[0].causes[0].evidence)


LOST = Tie(n=10_000, spread=400.0, joint=40.0)
ELSEWHERE = Explained("error", 0.1, 0.1, 0.3, LOST.merge(Tie(promised=2_000.0, came=2_010.0)))
EVEN = Explained("error", 0.1, 0.1, 0.3, LOST.merge(Tie(promised=5_000.0, came=5_010.0)))


@pytest.mark.parametrize(
    ("verdicts", "told", "started", "expected"),
    [
        (STILL, ELSEWHERE, 0.0, [Cause.LABEL_FAULT, Cause.CONCEPT_DRIFT]),
        (STILL, EVEN, 0.0, [Cause.CONCEPT_DRIFT, Cause.LABEL_FAULT]),
        (MOVED, ELSEWHERE, 0.0, [Cause.CONCEPT_DRIFT, Cause.DATA_DRIFT]),
        (STILL, ELSEWHERE, 8 * DAY, [Cause.CONCEPT_DRIFT, Cause.BAD_RELEASE]),
    ],
)
def test_labels_that_belong_to_other_rows_are_at_fault_where_nothing_else_moved(
    verdicts: list[Verdict], told: Explained, started: float, expected: list[Cause]
) -> None:
    """As many positive as negative could as well be a world whose answers turn around."""
    report = reconcile(case(explained=told, started=started), verdicts, ())
    assert causes(report.opened[0]) == expected


TURNED = Tie(10_000, 2_000.0, 7_400.0, spread=400.0, joint=-360.0, sure=6_000.0, turned=5_400.0)
OPPOSED = Explained("error", 0.1, 0.1, 0.8, LOST.merge(TURNED), (LOST, TURNED))
BROKEN = [verdict("quality"), verdict("parity:x")]


@pytest.mark.parametrize(
    ("verdicts", "started", "expected"),
    [
        (STILL, 0.0, Cause.LABEL_FAULT),
        (MOVED, 0.0, Cause.LABEL_FAULT),
        ([*STILL, verdict("calibration", since=0.0)], 0.0, Cause.LABEL_FAULT),
        (STILL, 8 * DAY, Cause.CONCEPT_DRIFT),
        (BROKEN, 0.0, Cause.TRAINING_SERVING_SKEW),
    ],
)
def test_labels_that_say_the_opposite_are_at_fault_whatever_rows_come(
    verdicts: list[Verdict], started: float, expected: Cause
) -> None:
    """Unless the release has just begun to serve, or its inputs are read otherwise."""
    given = [msgspec.structs.replace(each, scope={"column": "x"}) for each in verdicts]
    report = reconcile(case(explained=OPPOSED, started=started), given, ())
    fallen = next(each for each in report.opened if "quality" in each.signals)
    assert causes(fallen)[0] is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [(OTHERWISE, Cause.CONCEPT_DRIFT), (HARDER, Cause.DATA_DRIFT), (None, Cause.CONCEPT_DRIFT)],
)
def test_a_segment_alone_is_an_incident_of_quality_with_the_same_causes(
    told: Explained | None, expected: Cause
) -> None:
    found = opened(reconcile(case(explained=told), [verdict("segments")], ()))
    assert found.id == "d-aaaaaaaaaaaa-quality-1"
    assert (found.tier, found.signals, causes(found)[0]) == ("ticket", ("segments",), expected)
    assert "segments is bad" in found.causes[0].evidence
    more = reconcile(case(opened=1), [verdict("segments"), verdict("quality")], (found,))
    assert (more.updated[0].tier, more.updated[0].signals) == ("page", ("segments", "quality"))


def test_a_segment_that_fell_while_a_feed_is_broken_belongs_to_that() -> None:
    joined = opened(reconcile(case(), [verdict("segments"), verdict("upstream:x")], ()))
    assert (joined.signals, causes(joined)) == (("upstream:x", "segments"), [Cause.UPSTREAM_BREAK])


def test_quality_that_was_low_from_the_first_day_may_be_the_release() -> None:
    found = opened(reconcile(case(), [verdict("quality", since=0.0)], ()))
    assert causes(found) == [Cause.CONCEPT_DRIFT, Cause.BAD_RELEASE]
    part = opened(reconcile(case(), [verdict("segments", since=0.0)], ()))
    assert causes(part) == [Cause.CONCEPT_DRIFT, Cause.BAD_RELEASE]


@pytest.mark.parametrize(
    ("signal", "since", "expected"),
    [
        ("errors", 8, [Cause.HOSTILE_CLIENT, Cause.INFRASTRUCTURE]),
        ("upstream:x", 8, [Cause.HOSTILE_CLIENT, Cause.UPSTREAM_BREAK]),
        # What the caller brings has been left out for some days.
        ("input:x", 5, [Cause.DATA_DRIFT, Cause.HOSTILE_CLIENT]),
    ],
)
def test_a_caller_in_alarm_is_why_what_it_was_compared_by_is_bad(
    signal: str, since: float, expected: list[Cause]
) -> None:
    around = Surroundings(restarts=1)
    bad = [verdict(signal), verdict("callers:7", since=since * DAY)]
    report = reconcile(case(surroundings=around), bad, ())
    found = next(each for each in report.opened if each.signals[0] == signal)
    assert causes(found) == expected


def test_the_tier_of_an_incident_never_falls() -> None:
    ticket = opened(reconcile(case(), [verdict("prediction")], ()))
    note = reconcile(case(opened=1), [verdict("prediction"), verdict("input:x")], (ticket,))
    assert note.updated[0].tier == "ticket"


def test_the_time_before_the_first_event_is_not_told_as_a_date() -> None:
    assert day(0.0) == "the first event"
    assert day(86_400.0 * 365.25 * 40) == "2010-01-01 00:00"
    assert day(-86_400.0) == "1969-12-31 00:00"


def differing(column: str, word: Any = "bad") -> Verdict:
    """A verdict on the values of a column."""
    told = verdict(f"parity:{column}", word)
    return msgspec.structs.replace(told, scope={"column": column}, n=100)


def of_column(signal: str) -> Verdict:
    """A bad verdict about one column."""
    return msgspec.structs.replace(verdict(signal), scope={"column": signal.partition(":")[2]})


def test_values_that_differ_from_those_of_training_are_skew_and_no_drift() -> None:
    incident = opened(reconcile(case(), [differing("x"), differing("y", "ok")], ()))
    assert incident.id == "d-aaaaaaaaaaaa-parity-1"
    assert causes(incident) == [Cause.TRAINING_SERVING_SKEW]
    assert incident.causes[0].evidence[0] == "parity:x is bad"
    assert "1 of 2 columns" in incident.causes[0].evidence[1]
    assert Cause.DATA_DRIFT in [each.cause for each in incident.ruled_out]


def test_skew_is_told_before_a_golden_set_since_no_worker_was_asked() -> None:
    around = Surroundings(golden_failures=("w1",))
    incident = opened(reconcile(case(surroundings=around), [differing("x")], ()))
    assert causes(incident) == [Cause.TRAINING_SERVING_SKEW]


@pytest.mark.parametrize("signal", ["input:x", "upstream:x", "prediction", "quality"])
def test_trouble_that_skew_explains_has_it_as_its_first_cause(signal: str) -> None:
    bad = verdict(signal) if ":" not in signal else of_column(signal)
    known = opened(reconcile(case(), [bad], ()))
    report = reconcile(case(opened=1), [bad, differing("x")], (known,))
    (updated,) = report.updated
    assert causes(updated)[0] is Cause.TRAINING_SERVING_SKEW


@pytest.mark.parametrize("signal", ["input:y", "upstream:y", "errors", "labels", "callers"])
def test_trouble_elsewhere_is_not_put_down_to_skew(signal: str) -> None:
    bad = verdict(signal) if ":" not in signal else of_column(signal)
    report = reconcile(case(), [bad, differing("x")], ())
    other = next(each for each in report.opened if "parity" not in each.id)
    assert Cause.TRAINING_SERVING_SKEW not in causes(other)


def test_quality_that_falls_while_values_differ_is_part_of_that_incident() -> None:
    incident = opened(reconcile(case(), [differing("x"), verdict("quality")], ()))
    assert incident.signals == ("parity:x", "quality")
    assert incident.tier == "page"
    assert causes(incident)[0] is Cause.TRAINING_SERVING_SKEW


def test_a_further_metric_alone_is_an_incident_of_quality() -> None:
    found = opened(reconcile(case(), [verdict("quality", "ok"), verdict("quality:recall")], ()))
    assert found.signals == ("quality:recall",)
    assert causes(found) == [Cause.CONCEPT_DRIFT]
    assert "quality:recall is bad" in found.causes[0].evidence[0]


def test_what_was_estimated_by_any_metric_is_evidence_once() -> None:
    expected = msgspec.structs.replace(verdict("estimate:recall", "ok"), estimate=0.5)
    quiet = opened(reconcile(case(), [verdict("prediction"), expected], ()))
    assert quiet.causes[0].evidence[-1] == "estimate: estimate:recall is ok"
    loud = opened(reconcile(case(), [verdict("estimate:recall"), expected], ()))
    assert "estimate: estimate:recall is ok" not in loud.causes[0].evidence
