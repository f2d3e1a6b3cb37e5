"""Screens that are read from the journal alone: history, incidents, runs, traffic over time.

Each is made of the entries that it is about, which `loop.history` finds; `names` are those of
releases by digest, `earlier` where older ones are.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from itertools import dropwhile

import msgspec

from trimtab import errors
from trimtab.domain import events as e
from trimtab.domain.events import kind_of
from trimtab.domain.names import short
from trimtab.domain.plurals import many
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.domain.state import DeploymentState, apply
from trimtab.domain.verdicts import Concentration, Incident, Shown
from trimtab.views.sample_shapes import ConcentrationView, SampleView, SignalSamplesView
from trimtab.views.seen import begun, maybe, moment, named
from trimtab.views.shapes import (
    CauseView,
    EventView,
    HistoryView,
    IncidentView,
    RuledOutView,
    RunsView,
    RunView,
    SharePoint,
    TrafficView,
    WhyView,
)
from trimtab.views.status import build_verdict, candidate_weight
from trimtab.views.words import plain


def build_history(
    entries: Sequence[e.Entry], names: Mapping[str, str], earlier: int | None = None
) -> HistoryView:
    """Entries, oldest first."""
    return HistoryView(tuple(build_event(entry, names) for entry in entries), earlier)


def build_event(entry: e.Entry, names: Mapping[str, str]) -> EventView:
    """One entry, with a sentence for a person."""
    return EventView(
        seq=entry.seq,
        at=moment(entry.at),
        kind=kind_of(entry.event),
        actor=entry.actor,
        deployment=entry.deployment,
        release=named(entry.release, names),
        reason=entry.reason,
        evidence=entry.evidence,
        hash=entry.hash,
        clock_at=maybe(_clock(entry.event)),
        summary=summary(entry.event),
    )


def _clock(event: e.AnyEvent) -> float | None:
    clock = getattr(event, "clock", None)
    if clock is None and isinstance(event, e.IncidentOpened):
        return event.incident.opened_at
    return clock


def summary(event: e.AnyEvent) -> str:
    """What happened, in a few words."""
    match event:
        case e.ReleaseRegistered(release=release):
            return f"{release.name} registered ({short(release.digest)})"
        case e.SpecApplied():
            return "configuration applied"
        case e.IncidentOpened(incident=incident) | e.IncidentUpdated(incident=incident):
            word = "opened" if isinstance(event, e.IncidentOpened) else "updated"
            return f"incident {incident.id} {word}: {plain(_first_cause(incident))}"
        case e.IncidentClosed(incident=gone):
            return f"incident {gone} closed"
        case e.RunRequested() | e.RunSucceeded() | e.RunFailed():
            return _run_summary(event)
        case e.Scaled():
            return _scale_summary(event)
        case _:
            return _rollout_summary(event)


def _run_summary(event: e.RunRequested | e.RunSucceeded | e.RunFailed) -> str:
    match event:
        case e.RunRequested(run=run, cause=cause):
            return f"retraining {run} requested ({cause})"
        case e.RunSucceeded(run=run, release=release, seconds=seconds):
            return f"{run} made {release.name} in {seconds:.0f} s"
        case e.RunFailed(run=run, error=error):
            return f"{run} failed: {error}"


def _scale_summary(event: e.Scaled) -> str:
    name, count = event.release.name, event.workers
    if count == 0:
        return f"{name} falls asleep: {event.before} to {many(0, 'worker')}"
    verb = "wakes" if event.before == 0 else "grows" if count > event.before else "shrinks"
    return f"{name} {verb}: {event.before} to {many(count, 'worker')}"


def _rollout_summary(event: e.AnyEvent) -> str:
    match event:
        case e.RolloutStarted(candidate=candidate, strategy=strategy):
            return f"rollout of {candidate.name} started ({strategy})"
        case e.RolloutAdvanced(phase=phase, weight=weight):
            share = f" at {weight / TOTAL_WEIGHT * 100:.3g}%" if phase == "canary" else ""
            return f"rollout entered {phase}{share}"
        case e.RolloutPaused():
            return "rollout paused"
        case e.RolloutResumed():
            return "rollout resumed"
        case e.RolloutEnded(candidate=candidate, outcome=outcome):
            return f"{candidate.name} {outcome.replace('_', ' ')}"
        case e.Proven(release=release):
            return f"{release.name} is proven"
        case e.RolledBackTo(left=left, to=to):
            return f"rolled back from {left.name} to {to.name}"
        case _:
            return kind_of(event).replace("_", " ")


def _first_cause(incident: Incident) -> str:
    return str(incident.causes[0].cause) if incident.causes else "unknown"


def known_incidents(entries: Sequence[e.Entry]) -> tuple[Incident, ...]:
    """Every incident that entries tell of as it was last recorded, oldest first.

    One that began before the deployment's clock did is dated by the journal's own clock."""
    known: dict[str, Incident] = {}
    found: dict[str, float] = {}
    for entry in entries:
        match entry.event:
            case e.IncidentOpened(incident=incident) | e.IncidentUpdated(incident=incident):
                at = found.setdefault(incident.id, entry.at)
                known[incident.id] = _dated(incident, at)
            case e.IncidentClosed(incident=gone, clock=clock) if gone in known:
                closed = clock if begun(clock) else entry.at
                known[gone] = msgspec.structs.replace(known[gone], closed_at=closed)
            case _:
                pass
    return tuple(known.values())


def _dated(incident: Incident, at: float) -> Incident:
    opened = incident.opened_at if begun(incident.opened_at) else at
    first = incident.first_evidence_at if begun(incident.first_evidence_at) else opened
    return msgspec.structs.replace(incident, opened_at=opened, first_evidence_at=first)


def build_why(
    entries: Sequence[e.Entry],
    names: Mapping[str, str],
    scalings: Sequence[e.Entry] = (),
    earlier: int | None = None,
) -> WhyView:
    """The incidents that `entries` tell of, and changes of worker counts, newest first."""
    known = sorted(known_incidents(entries), key=lambda each: each.opened_at, reverse=True)
    return WhyView(
        tuple(build_incident(incident, names) for incident in known),
        tuple(build_event(entry, names) for entry in reversed(scalings)),
        earlier,
    )


def build_one(entries: Sequence[e.Entry], names: Mapping[str, str], only: str) -> WhyView:
    """The one incident that `entries` tell of. Raises `NotFound` TT-612 when they tell of none."""
    return WhyView((build_incident(known_incident(entries, "explain", only), names),))


def known_incident(entries: Sequence[e.Entry], operation: str, only: str) -> Incident:
    """The incident `only`, of which `entries` tell. Raises `NotFound` TT-612 when they do not."""
    for incident in known_incidents(entries):
        return incident
    raise errors.NotFound(
        errors.NO_SUCH_INCIDENT, operation, only, "no incident has that id", hint="trimtab why"
    )


def build_incident(incident: Incident, names: Mapping[str, str]) -> IncidentView:
    """An incident for people and machines."""
    return IncidentView(
        id=incident.id,
        deployment=incident.deployment,
        release=named(incident.release, names),
        opened_at=moment(incident.opened_at),
        first_evidence_at=moment(incident.first_evidence_at),
        closed_at=maybe(incident.closed_at),
        tier=incident.tier,
        signals=incident.signals,
        severity=incident.severity,
        causes=tuple(CauseView(c.cause, c.rank, c.evidence) for c in incident.causes),
        ruled_out=tuple(RuledOutView(r.cause, r.by) for r in incident.ruled_out),
        action=incident.action,
        undo=incident.undo,
        bound=incident.bound,
        verdicts=tuple(build_verdict(verdict, names) for verdict in incident.verdicts),
        shown=tuple(build_shown(shown) for shown in incident.shown),
        concentration=build_concentration(incident.concentration),
    )


def build_shown(shown: Shown) -> SignalSamplesView:
    """A bad signal in rows."""
    return SignalSamplesView(
        signal=shown.signal,
        said=shown.said,
        column=shown.column,
        of=shown.of,
        share=shown.share,
        samples=tuple(
            SampleView(each.request_id, each.row, moment(each.at), each.value)
            for each in shown.samples
        ),
        cut=shown.cut,
    )


def build_concentration(found: Concentration | None) -> ConcentrationView | None:
    """The segment that most of the harm lies in."""
    if found is None:
        return None
    return ConcentrationView(
        column=found.column,
        value=found.value,
        share=found.share,
        lower=found.lower,
        upper=found.upper,
        rows_ratio=found.rows,
        before=found.before,
        since=found.since,
    )


def build_runs(entries: Sequence[e.Entry], earlier: int | None = None) -> RunsView:
    """Pipeline runs, newest first."""
    runs: dict[str, RunView] = {}
    for entry in entries:
        match entry.event:
            case e.RunRequested() as asked:
                runs[asked.run] = _requested(entry, asked)
            case e.RunSucceeded(run=run, release=release, seconds=seconds) if run in runs:
                runs[run] = msgspec.structs.replace(
                    runs[run], state="succeeded", release=release.name, seconds=seconds
                )
            case e.RunFailed(run=run, error=error) if run in runs:
                runs[run] = msgspec.structs.replace(runs[run], state="failed", error=error)
            case _:
                pass
    return RunsView(tuple(reversed(runs.values())), earlier)


def _requested(entry: e.Entry, asked: e.RunRequested) -> RunView:
    return RunView(
        id=asked.run,
        deployment=entry.deployment,
        model=asked.model,
        cause=asked.cause,
        state="running",
        requested_at=moment(entry.at),
        incident=asked.incident,
    )


def build_traffic(
    entries: Sequence[e.Entry],
    deployment: DeploymentState,
    now: float | None = None,
    *,
    whole: bool = True,
) -> TrafficView:
    """Set shares on the deployment's clock, by the entries about them; `now` is that clock.

    What was set before the clock began is what held when it did. Unless they are the `whole` of
    them, shares are told from where on it is known what served."""
    events = [entry.event for entry in entries]
    if not whole:
        events = list(dropwhile(_within, events))
    state = _before(events, deployment, whole)
    points: list[SharePoint] = []
    before: dict[str, float] = {}
    for event in events:
        state = apply(state, event)
        clock = getattr(event, "clock", None)
        if clock is None or (state.stable is None and not whole):
            continue
        shares = shares_of(state)
        if not begun(clock):
            before = shares
            continue
        if before and not points:
            points.append(SharePoint(moment(clock), before))
        if shares and (not points or shares != points[-1].shares):
            points.append(SharePoint(moment(clock), shares, _note(event)))
    if before and not points and now is not None and begun(now):
        points.append(SharePoint(moment(now), before))
    return TrafficView(deployment.spec.name, tuple(points), _end(points, now))


def _within(event: e.AnyEvent) -> bool:
    """Whether an event may be of a rollout that began before it."""
    return not isinstance(event, e.RolloutStarted | e.RolledBackTo)


def _before(
    events: Sequence[e.AnyEvent], deployment: DeploymentState, whole: bool
) -> DeploymentState:
    """What is known of the deployment before the first of `events`: nothing served, or in a part
    of its history what serves now, if nothing in that part replaced it."""
    blank = DeploymentState(spec=deployment.spec)
    if whole or reduce(apply, events, blank).stable is not None:
        return blank
    return msgspec.structs.replace(blank, stable=deployment.stable)


def _end(points: Sequence[SharePoint], now: float | None) -> datetime | None:
    until = maybe(now)
    if not points:
        return until
    return max(until, points[-1].at) if until else points[-1].at


def shares_of(state: DeploymentState) -> dict[str, float]:
    """Each release's set share of the deployment's traffic, candidate last."""
    rollout = state.rollout
    weight = candidate_weight(rollout) if rollout and rollout.phase != "bake" else 0
    shares = {}
    if state.stable is not None:
        shares[state.stable.name] = (TOTAL_WEIGHT - weight) / TOTAL_WEIGHT
    if rollout is not None and weight:
        shares[rollout.candidate.name] = weight / TOTAL_WEIGHT
    return shares


def _note(event: e.AnyEvent) -> str:
    if isinstance(event, e.RolledBackTo):
        return "rolled back"
    if isinstance(event, e.RolloutEnded):
        return event.outcome.replace("_", " ")
    return ""
