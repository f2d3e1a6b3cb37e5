"""Whether an act ended as it should, by tables of what was observed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from trimtab.demo.faults import Feed
from trimtab.demo.ledger import Totals
from trimtab.demo.observed import Moment, Observed
from trimtab.demo.outcomes import (
    Act,
    Rollback,
    judge_drift,
    judge_feed,
    judge_replay,
    judge_reproduced,
    judge_rollback,
)
from trimtab.demo.stage import Exposure, Reproduced
from trimtab.domain.verdicts import Cause
from trimtab.examples.flights.faults import Span
from trimtab.views.shapes import CauseView, EventView, IncidentView, RunView

BAD, NEW = "m@2", "m@3"


def day(month: int, number: int) -> datetime:
    """Noon of a day of 2013."""
    return datetime(2013, month, number, 12, tzinfo=UTC)


FEED = Feed("metric_units", Span(day(11, 8), day(11, 18)))


def moment(**facts: Any) -> Moment:
    """A change in which the first release serves, unless told otherwise."""
    return Moment(**{"wall": 0.0, "clock": 0.0, "state": "healthy", "stable": "m@1", **facts})


def event(seq: int, kind: str, **facts: Any) -> EventView:
    """An entry of the journal."""
    told: dict[str, Any] = {"actor": "controller", "release": "", "summary": "", "clock_at": None}
    rest: dict[str, Any] = {"deployment": "d", "reason": "", "evidence": {}, "hash": ""}
    return EventView(seq=seq, at=day(4, 20), kind=kind, **{**told, **rest, **facts})


def incident(cause: Cause, opened: datetime, **facts: Any) -> IncidentView:
    """A page about the first release, whose evidence began as it opened."""
    told: dict[str, Any] = {
        "id": f"i-{cause}-{opened:%m%d}",
        "deployment": "d",
        "release": "m@1",
        "opened_at": opened,
        "first_evidence_at": opened,
        "closed_at": None,
        "tier": "page",
        "signals": ("quality",),
        "severity": "",
        "causes": (CauseView(cause, 1, ()),),
        "ruled_out": (),
        "action": "",
        "undo": "",
    }
    return IncidentView(**(told | facts))


def run(release: str | None = NEW, incident: str | None = "i-concept_drift-0620") -> RunView:
    """A run that made `release`."""
    rest: dict[str, Any] = {"deployment": "d", "model": "m", "cause": "quality"}
    rest["state"] = "succeeded" if release else "failed"
    return RunView(id="r1", requested_at=day(6, 20), release=release, incident=incident, **rest)


def rollback(**changed: Any) -> Rollback:
    """A rollback as it should be."""
    facts: dict[str, Any] = {
        "release": BAD,
        "exposure": Exposure(40, 3, 100.0, 103.2),
        "answered": 37,
        "deployed_clock": 0.0,
        "decided": 103.0,
        "decided_clock": 7200.0,
        "actor": "controller",
        "client_failures": 0,
    }
    return Rollback(**(facts | changed))


def seen_rollback(outcome: str, *phases: str) -> Observed:
    """The bad release's way through `phases` to `outcome`."""
    changes = [moment(candidate=BAD, phase=phase) for phase in phases]
    return Observed([*changes, moment(ended=(BAD, outcome))])


WAY = ("preparing", "shadow", "canary")


@pytest.mark.parametrize(
    ("seen", "facts", "missed"),
    [
        (seen_rollback("rolled_back", *WAY), {}, []),
        (seen_rollback("promoted", *WAY), {}, ["m@2 ended promoted, not rolled back"]),
        (
            Observed([moment(candidate=BAD, phase="canary")]),
            {},
            ["m@2 ended None, not rolled back"],
        ),
        (seen_rollback("rolled_back", *WAY), {"actor": "ann"}, ["not the guard but 'ann'"]),
        (seen_rollback("rolled_back", "preparing"), {}, ["it was never a canary"]),
        (seen_rollback("rolled_back", *WAY), {"client_failures": 2}, ["2 requests of clients"]),
        (seen_rollback("rolled_back", *WAY), {"answered": 41}, ["more answers from it"]),
    ],
)
def test_a_bad_release_is_rolled_back_by_the_guard_and_no_client_notices(
    seen: Observed, facts: dict[str, Any], missed: list[str]
) -> None:
    """Everything else is said to be missed."""
    act = Act(4, "a bad release")
    judge_rollback(act, seen, rollback(**facts))
    assert len(act.missed) == len(missed)
    assert all(part in text for part, text in zip(missed, act.missed, strict=True))
    assert act.facts["requests_exposed"] == 40
    assert act.facts["detect_seconds"] == pytest.approx(3.0)
    assert act.facts["restore_seconds"] == pytest.approx(0.2)
    assert act.facts["event_hours_from_deploy_to_rollback"] == 2.0


def test_a_phase_that_only_the_journal_saw_counts() -> None:
    """Polls may miss a short one."""
    seen = seen_rollback("rolled_back", "preparing", "shadow")
    seen.events = [
        event(1, "rollout_advanced", release=BAD, summary="rollout entered canary at 5%")
    ]
    assert seen.phases(BAD) == WAY
    assert seen.phases("m@9") == ()


def drifting(
    *found: IncidentView, runs: tuple[RunView, ...] = (run(),), way: Any = WAY
) -> Observed:
    """Incidents, runs, and the new release's way to stable."""
    changes = [moment(candidate=NEW, phase=phase) for phase in way]
    served = [moment(stable=NEW, phase="bake", candidate=NEW)] if "canary" in way else []
    return Observed([*changes, *served], [], found, runs)


DRIFT = incident(Cause.CONCEPT_DRIFT, day(6, 20))


@pytest.mark.parametrize(
    ("seen", "missed"),
    [
        (drifting(DRIFT), []),
        (drifting(), ["no quality incident opened"]),
        (drifting(incident(Cause.DATA_DRIFT, day(6, 20), tier="note")), ["no quality incident"]),
        (drifting(DRIFT, runs=()), ["no run followed"]),
        (drifting(DRIFT, runs=(run(incident=None),)), ["no run followed"]),
        (drifting(DRIFT, runs=(run(release=None),)), ["no retrained release went"]),
        (drifting(DRIFT, way=("preparing", "shadow")), ["no retrained release went"]),
        (drifting(DRIFT, way=("preparing", "canary")), ["no retrained release went"]),
        (
            drifting(DRIFT, incident(Cause.CONCEPT_DRIFT, day(9, 12))),
            ["September paged: i-concept_drift-0912"],
        ),
        (drifting(DRIFT, incident(Cause.UNKNOWN, day(9, 12), tier="ticket")), []),
    ],
)
def test_when_the_world_changes_an_incident_leads_to_a_release_that_earns_its_traffic(
    seen: Observed, missed: list[str]
) -> None:
    """By itself, over shadow and canary, and without a page in September."""
    act = Act(5, "the world changes")
    judge_drift(act, seen)
    assert len(act.missed) == len(missed)
    assert all(part in text for part, text in zip(missed, act.missed, strict=True))


def test_a_retrained_release_that_was_taken_back_has_not_earned_anything() -> None:
    """A rollback in bake ends it."""
    seen = drifting(DRIFT)
    seen.changes.append(moment(ended=(NEW, "rolled_back")))
    act = Act(5, "the world changes")
    judge_drift(act, seen)
    assert not act.ok


BREAK = incident(Cause.UPSTREAM_BREAK, day(11, 9), closed_at=day(11, 20))


def opened_at(moment: datetime) -> list[EventView]:
    """A run that was asked for at `moment`."""
    return [event(1, "run_requested", clock_at=moment, summary="retraining r2 requested")]


@pytest.mark.parametrize(
    ("seen", "missed"),
    [
        (lambda: Observed(incidents=[BREAK]), []),
        (Observed, ["no incident named an upstream break"]),
        (
            lambda: Observed(incidents=[BREAK, incident(Cause.DATA_DRIFT, day(11, 10))]),
            ["the break was called drift"],
        ),
        (
            lambda: Observed(incidents=[incident(Cause.UPSTREAM_BREAK, day(11, 9))]),
            ["did not close"],
        ),
        (
            lambda: Observed(
                incidents=[incident(Cause.UPSTREAM_BREAK, day(11, 9), closed_at=day(11, 12))]
            ),
            ["closed while the feed was broken"],
        ),
        (
            lambda: Observed(incidents=[BREAK], events=opened_at(day(11, 12))),
            ["retraining on broken inputs"],
        ),
        (lambda: Observed(incidents=[BREAK], events=opened_at(day(11, 25))), []),
        (lambda: Observed(incidents=[BREAK], runs=[run(incident=BREAK.id)]), ["retraining on"]),
        (
            lambda: Observed(incidents=[incident(Cause.UPSTREAM_BREAK, day(10, 25))]),
            ["no incident"],
        ),
    ],
)
def test_a_broken_feed_is_named_is_not_learned_from_and_ends_with_its_recovery(
    seen: Callable[[], Observed], missed: list[str]
) -> None:
    """An incident of another time is not about this break."""
    act = Act(6, "an upstream break")
    judge_feed(act, seen(), FEED)
    assert len(act.missed) == len(missed)
    assert all(part in text for part, text in zip(missed, act.missed, strict=True))


@pytest.mark.parametrize(
    ("totals", "missed"),
    [
        (Totals(9, 12, 0, 3, 10, 10), 0),
        (Totals(8, 12, 0, 3, 10, 10), 1),
        (Totals(9, 12, 1, 3, 10, 10), 1),
        (Totals(9, 12, 0, 3, 10, 9), 1),
    ],
)
def test_the_replay_is_whole_when_nothing_failed_and_no_label_was_lost(
    totals: Totals, missed: int
) -> None:
    """Requests that were sent again are no failure."""
    act = Act(3, "replay")
    judge_replay(act, totals, 9, ["x: status 500"])
    assert len(act.missed) == missed


@pytest.mark.parametrize(
    ("integrity", "environment", "behaviour", "ok"),
    [
        ("ok", "identical", "bit_identical", True),
        ("ok", "equivalent", "within_tolerance", True),
        ("ok", "identical", "divergent", False),
        ("tampered", "identical", "bit_identical", False),
        ("ok", "drifted", "bit_identical", False),
    ],
)
def test_a_release_is_reproduced_when_it_behaves_the_same_in_the_same_environment(
    integrity: str, environment: str, behaviour: str, ok: bool
) -> None:
    """To the bit, or within the tolerance learned at build."""
    made = Reproduced(
        release="m@1", integrity=integrity, environment=environment, behaviour=behaviour
    )
    act = Act(7, "reproduce")
    judge_reproduced(act, made)
    assert act.ok is ok
    assert act.facts["behaviour"] == behaviour
