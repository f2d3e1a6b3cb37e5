"""How the acts ended, judged from what was observed: pure functions, one act each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from trimtab.demo.faults import Feed
from trimtab.demo.ledger import Totals
from trimtab.demo.observed import Observed
from trimtab.demo.stage import Exposure, Reproduced
from trimtab.domain.verdicts import Cause
from trimtab.views.shapes import Fact, IncidentView, RunView

DRIFT = frozenset({Cause.CONCEPT_DRIFT, Cause.DATA_DRIFT})
QUIET_START = datetime(2013, 9, 1, 4, tzinfo=UTC)
QUIET_END = datetime(2013, 10, 1, 4, tzinfo=UTC)
"""September: fewer flights were late than in any other month, so the world only looks different."""

_SETTLING = timedelta(days=2)
"""How long after the feed recovered evidence about the break may still come in."""


@dataclass(slots=True)
class Act:
    """One act: its facts, and every fact that was not as it should be."""

    number: int
    title: str
    facts: dict[str, Fact] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the act ended as it should."""
        return not self.missed

    def expect(self, true: bool, otherwise: str) -> None:
        """Note `otherwise` unless it is true."""
        if not true:
            self.missed.append(otherwise)


@dataclass(frozen=True, slots=True)
class Rollback:
    """The bad release's way, in wall epoch seconds and in event epoch seconds.

    `decided` is when the journal recorded the rollback, by `actor`."""

    release: str
    exposure: Exposure
    answered: int
    deployed_clock: float
    decided: float | None
    decided_clock: float | None
    actor: str
    client_failures: int

    @property
    def detect_seconds(self) -> float | None:
        """Wall time from the first request that it was asked to the decision."""
        if self.decided is None or self.exposure.first is None:
            return None
        return max(0.0, self.decided - self.exposure.first)

    @property
    def restore_seconds(self) -> float | None:
        """Wall time from the decision to the last request that it was asked."""
        if self.decided is None or self.exposure.last is None:
            return None
        return max(0.0, self.exposure.last - self.decided)


def judge_replay(act: Act, totals: Totals, wanted: int, refusals: Iterable[str]) -> None:
    """Act 3: every request answered, every label taken."""
    act.expect(totals.requests == wanted, f"{wanted - totals.requests} requests were not sent")
    act.expect(totals.failed == 0, f"{totals.failed} requests failed: {'; '.join(refusals)}")
    lost = totals.labels_due - totals.labels_accepted
    act.expect(lost == 0, f"{lost} labels were not accepted")


def judge_rollback(act: Act, seen: Observed, rollback: Rollback) -> None:
    """Act 4: rolled back by the guard, and no client noticed."""
    outcome, phases = seen.outcome(rollback.release), seen.phases(rollback.release)
    exposure = rollback.exposure
    act.facts |= {
        "release": rollback.release,
        "outcome": outcome,
        "phases": " → ".join(phases),
        "requests_exposed": exposure.requests,
        "requests_failed_on_it": exposure.failed,
        "requests_answered_by_it": rollback.answered,
        "client_failures": rollback.client_failures,
        "detect_seconds": rollback.detect_seconds,
        "restore_seconds": rollback.restore_seconds,
    }
    if rollback.decided_clock is not None:
        hours = (rollback.decided_clock - rollback.deployed_clock) / 3600
        act.facts["event_hours_from_deploy_to_rollback"] = round(hours, 1)
    act.expect(outcome == "rolled_back", f"{rollback.release} ended {outcome}, not rolled back")
    act.expect(
        rollback.actor == "controller", f"it was not the guard but {rollback.actor!r} that ended it"
    )
    act.expect("canary" in phases, "it was never a canary")
    act.expect(
        rollback.client_failures == 0, f"{rollback.client_failures} requests of clients failed"
    )
    act.expect(
        exposure.requests >= rollback.answered,
        "the client got more answers from it than the request log knows",
    )


def judge_drift(act: Act, seen: Observed) -> None:
    """Act 5: an incident by itself, a run because of it, a release that earned its traffic."""
    found = [i for i in seen.incidents if _cause(i) in DRIFT and i.tier != "note"]
    act.facts["quality_incidents"] = "; ".join(map(_told, reversed(found))) or "none"
    act.expect(bool(found), "no quality incident opened")
    ids = {incident.id for incident in found}
    runs = [run for run in seen.runs if run.incident in ids]
    act.facts["retrained"] = "; ".join(_run_told(run, seen) for run in reversed(runs)) or "none"
    if found:
        act.expect(bool(runs), "no run followed")
    promoted = [run.release for run in runs if run.release and earned(seen, run.release)]
    if runs:
        act.expect(
            bool(promoted),
            "no retrained release went from shadow over canary to stable",
        )
    pages = [
        incident.id
        for incident in seen.incidents
        if incident.tier == "page" and QUIET_START <= incident.opened_at < QUIET_END
    ]
    act.facts["pages_in_september"] = len(pages)
    act.expect(not pages, f"September paged: {', '.join(pages)}")


def earned(seen: Observed, release: str) -> bool:
    """Whether `release` was a shadow, then a canary, then stable."""
    phases = seen.phases(release)
    through = all(phase in phases for phase in ("shadow", "canary"))
    stable = seen.stable_since(release) is not None
    return through and stable and seen.outcome(release) != "rolled_back"


def judge_feed(act: Act, seen: Observed, feed: Feed) -> None:
    """Act 6: named as what it is, no retraining because of it, over when it is over."""
    start, end = feed.span.start, feed.span.end
    act.facts |= {"fault": feed.told, "from": _day(start), "until": _day(end)}
    during = [
        incident
        for incident in seen.incidents
        if start <= incident.opened_at < end + _SETTLING and incident.tier != "note"
    ]
    breaks = [incident for incident in during if _cause(incident) == Cause.UPSTREAM_BREAK]
    act.expect(bool(breaks), "no incident named an upstream break")
    drifts = [incident.id for incident in during if _cause(incident) in DRIFT]
    act.expect(not drifts, f"the break was called drift: {', '.join(drifts)}")
    for incident in breaks:
        _judge_break(act, seen, incident, end)


def _judge_break(act: Act, seen: Observed, incident: IncidentView, end: datetime) -> None:
    opened, closed = incident.opened_at, incident.closed_at
    act.facts["incident"] = _told(incident)
    act.facts["detection_hours"] = _hours(opened, incident.first_evidence_at)
    act.facts["ruled_out"] = "; ".join(f"{r.cause}: {r.by}" for r in incident.ruled_out)
    own = [run.id for run in seen.runs if run.incident == incident.id]
    meanwhile = [
        event.summary
        for event in seen.entries("run_requested")
        if event.clock_at and opened < event.clock_at and (not closed or event.clock_at < closed)
    ]
    act.facts["runs_requested_meanwhile"] = len(own) + len(meanwhile)
    act.expect(not own and not meanwhile, f"retraining on broken inputs: {own or meanwhile}")
    act.expect(closed is not None, f"{incident.id} did not close after the feed recovered")
    if closed is not None:
        act.facts["closed_hours_after_recovery"] = _hours(closed, end)
        act.expect(closed > end, f"{incident.id} closed while the feed was broken")


def judge_reproduced(act: Act, made: Reproduced) -> None:
    """Act 7: the same bits, or within what was learned at build."""
    act.facts |= {
        "release": made.release,
        "integrity": made.integrity,
        "environment": made.environment,
        "behaviour": made.behaviour,
        "max_difference": made.max_difference,
        "tolerance": made.tolerance,
        "retrain": made.retrain,
    }
    act.expect(made.integrity == "ok", f"its integrity is {made.integrity}")
    same = made.behaviour in ("bit_identical", "within_tolerance")
    act.expect(same, f"its behaviour is {made.behaviour}")
    equal = made.environment in ("identical", "equivalent")
    act.expect(equal, f"its environment is {made.environment}")


def _cause(incident: IncidentView) -> Cause:
    return incident.causes[0].cause if incident.causes else Cause.UNKNOWN


def _run_told(run: RunView, seen: Observed) -> str:
    if run.release is None:
        return f"{run.id} {run.state} {run.error}".rstrip()
    phases = " → ".join(seen.phases(run.release)) or "not rolled out"
    return f"{run.id} made {run.release}: {phases}, {seen.outcome(run.release) or 'in progress'}"


def _told(incident: IncidentView) -> str:
    delay = _hours(incident.opened_at, incident.first_evidence_at)
    return f"{_day(incident.opened_at)} {_cause(incident).value} of {incident.release} ({delay} h)"


def _hours(later: datetime, earlier: datetime) -> float:
    return round((later - earlier).total_seconds() / 3600, 1)


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M}"
