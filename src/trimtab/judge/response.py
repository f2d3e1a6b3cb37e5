"""What is done about an incident: the action that is right for its first cause."""

import msgspec

from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec, RetrainCause
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState, rollback_target
from trimtab.domain.verdicts import Cause, Incident, RankedCause, Tier
from trimtab.judge.describe import WORSE, group
from trimtab.judge.draft import Draft, Observation, means, storable
from trimtab.judge.replays import everywhere

MOST_AUTOMATIC_ROLLBACKS = 3
OWN: tuple[str, ...] = ("rollout",)
"""Signals of the incidents that the loop opens and closes by itself."""

_ALERTS = {
    Cause.UPSTREAM_BREAK: "alert owner and hold: no retraining and no advance on broken inputs",
    Cause.INFRASTRUCTURE: "alert owner: the machine, a process or what these need, not the model",
    Cause.TRAINING_SERVING_SKEW: "alert owner and hold: roll back the feature source; "
    "no retraining, for the model would learn what it is not served",
    Cause.ENVIRONMENT_MISALIGNMENT: "alert owner: the environment is not the one it was built in",
    Cause.HOSTILE_CLIENT: "hold: what one caller brings counts as evidence for nothing else",
    Cause.LABEL_FAULT: "alert owner: the labels are at fault, not the model",
    Cause.UNKNOWN: "alert owner",
}


def first_cause(incident: Incident) -> Cause:
    """The cause that is acted on."""
    return incident.causes[0].cause if incident.causes else Cause.UNKNOWN


def inputs_broken(state: DeploymentState) -> bool:
    """Whether an upstream break is open."""
    return any(first_cause(incident) == Cause.UPSTREAM_BREAK for incident in state.incidents)


def skewed(state: DeploymentState) -> bool:
    """Whether inputs are known to be served otherwise than training has them."""
    return any(first_cause(incident) == Cause.TRAINING_SERVING_SKEW for incident in state.incidents)


_TAINTED = {
    Cause.UPSTREAM_BREAK: "an upstream break is open",
    Cause.TRAINING_SERVING_SKEW: "inputs are served otherwise than training has them",
    Cause.HOSTILE_CLIENT: "one caller brings what the others do not",
    Cause.LABEL_FAULT: "the labels are at fault",
}
"""Open causes whose data no model should learn from, or that no model mends."""


def retrain_hold(state: DeploymentState) -> str:
    """Why no retraining may start now, in words that stay the same while it lasts; "" when free."""
    open_now = {first_cause(incident) for incident in state.incidents}
    for cause, why in _TAINTED.items():
        if cause in open_now:
            return why
    if state.run is not None:
        return "a run is in progress"
    if state.rollout is not None:
        return "a rollout is in progress"
    if state.offered is not None:
        return f"{state.offered.name} waits to be deployed"
    return ""


def next_run(state: DeploymentState) -> str:
    """Id of the run that would be requested now."""
    return f"{state.spec.name}-run{state.runs + 1}"


def request_run(draft: Draft, cause: str, incident: str | None = None) -> None:
    """Record and queue a pipeline run on the labels known by now."""
    spec, run = draft.state.spec, next_run(draft.state)
    order = start_run(spec, run, draft.clock)
    draft.record(
        e.RunRequested(run, spec.model, cause, draft.clock, incident), reason=f"cause: {cause}"
    )
    draft.request(e.Effect(f"run:{run}", order))


def start_run(spec: DeploymentSpec, run: str, clock: float) -> e.StartRun:
    """The order to start `run` on labels known at `clock`; all labels before event time began."""
    return e.StartRun(run, spec.model, spec.name, clock if clock > 0.0 else None)


def respond(draft: Draft) -> None:
    """Take in what the monitors report, and bring every open incident to its right action."""
    report = draft.seen.monitors
    if report is not None:
        for gone in report.closed:
            _end(draft, gone, report.folded.get(gone, ""))
    for incident in _reported(draft):
        _act(draft, incident)


def _end(draft: Draft, incident: str, host: str) -> None:
    """Close an incident that is over, or that turned out to be part of another one, `host`."""
    known = {i.id: i for i in draft.state.incidents}.get(incident)
    if known is not None and host:
        told = msgspec.structs.replace(known, action=f"none of its own: it is part of {host}")
        draft.record(e.IncidentUpdated(told), known.release, told.action)
    part = f"it is part of {host}: one cause is one incident"
    _close(draft, incident, part if host else "recovery was shown by evidence")


def _reported(draft: Draft) -> tuple[Incident, ...]:
    """Open incidents as the monitors now see them, then new ones; those that hold come first."""
    state, report = draft.state, draft.seen.monitors
    merged = {i.id: i for i in state.incidents if i.signals != OWN}
    if report is not None:
        for incident in report.updated:
            if incident.id in merged:
                merged[incident.id] = _clean(incident, merged[incident.id])
        over = (*state.closed, *report.closed)
        for incident in report.opened:
            if incident.id not in over:
                merged[incident.id] = _clean(incident, merged.get(incident.id))
    return tuple(sorted(merged.values(), key=lambda i: first_cause(i) not in _TAINTED))


def _clean(incident: Incident, known: Incident | None) -> Incident:
    """As it can be stored; what was done about it is the loop's to say, not the monitors'."""
    return msgspec.structs.replace(
        incident,
        verdicts=tuple(storable(verdict) for verdict in incident.verdicts),
        action=known.action if known else "",
        undo=known.undo if known else "",
    )


def _act(draft: Draft, incident: Incident) -> None:
    if _outlived(draft.state, incident):
        _close(draft, incident.id, "the release that caused it serves no more")
        return
    known = {i.id: i for i in draft.state.incidents}.get(incident.id)
    trigger = _trigger(incident)
    hold = _retrain_hold(draft, trigger) if trigger else ""
    action = _retrain_action(draft, incident, hold) if trigger else _action(draft, incident)
    undo = incident.undo if action == incident.action else _undo(draft, action)
    told = msgspec.structs.replace(incident, action=action, undo=undo)
    if known is None:
        draft.record(e.IncidentOpened(told), incident.release, incident.severity)
    elif told != known:
        draft.record(e.IncidentUpdated(told), incident.release, action)
    if trigger and not hold:
        request_run(draft, trigger, incident.id)
    if first_cause(incident) == Cause.BAD_WORKER:
        _relieve(draft, incident, known)


def _outlived(state: DeploymentState, incident: Incident) -> bool:
    """Whether the release it is about serves no more. A feed that is still broken is reported
    again by the monitors of the release that serves now, against that one's own profile."""
    if not incident.release or state.rollout is not None or state.stable is None:
        return False
    return not means(incident.release, state.stable)


def _trigger(incident: Incident) -> RetrainCause | None:
    """What kind of retraining the incident asks for. A note is a change without harm."""
    match first_cause(incident):
        case Cause.CONCEPT_DRIFT if incident.tier != "note":
            return "quality" if any(group(each) in WORSE for each in incident.signals) else "drift"
        case Cause.DATA_DRIFT if incident.tier != "note":
            return "drift"
        case _:
            return None


def _action(draft: Draft, incident: Incident) -> str:
    match first_cause(incident):
        case Cause.DATA_DRIFT:
            return "watch: the inputs changed, no harm is shown"
        case Cause.CONCEPT_DRIFT if incident.tier == "note":
            return "watch: scores come true otherwise, no harm is shown"
        case Cause.BAD_WORKER:
            workers = ", ".join(_differing(incident)) or "the workers that differ"
            return f"replace {workers}; the release itself is sound"
        case Cause.BAD_RELEASE:
            return incident.action or _verdict_on(draft, incident)
        case cause:
            return _ALERTS[cause]


def _differing(incident: Incident) -> list[str]:
    """The workers that the incident blames, as slots are called; none where it is about what they
    do, and another one about them."""
    named = (each.scope["worker"] for each in incident.verdicts if "worker" in each.scope)
    return list(dict.fromkeys(named))


def _relieve(draft: Draft, incident: Incident, known: Incident | None) -> None:
    """Have each worker that is blamed replaced, once: if its successor differs too, people see the
    incident stay open."""
    done = known is not None and first_cause(known) == Cause.BAD_WORKER
    asked = _differing(known) if known is not None and done else []
    for worker in _differing(incident):
        if worker not in asked:
            draft.request(e.Effect(f"relieve:{incident.id}:{worker}", e.Relieve(worker)))


def _verdict_on(draft: Draft, incident: Incident) -> str:
    rollout = draft.state.rollout
    if rollout is not None and means(incident.release, rollout.candidate):
        return "hold: the guard decides about the candidate"
    return "alert owner"


def _retrain_hold(draft: Draft, trigger: RetrainCause) -> str:
    plan = draft.state.spec.retrain
    if trigger not in plan.when:
        return f"retrain.when does not name {trigger}"
    hold = retrain_hold(draft.state)
    last = draft.state.last_run_clock
    if not hold and last is not None and draft.clock - last < plan.cooldown_seconds:
        return "the cooldown has not passed"
    return hold


def _retrain_action(draft: Draft, incident: Incident, hold: str) -> str:
    if not hold:
        return f"retrain: {next_run(draft.state)}"
    if incident.action.startswith("retrain: "):
        return incident.action
    asked = not hold.startswith("retrain.when")
    return f"retrain waits: {hold}" if asked else f"alert owner: {hold}"


def _undo(draft: Draft, action: str) -> str:
    name, stable = draft.state.spec.name, draft.state.stable
    if action.startswith("retrain: ") and stable is not None:
        return f"trimtab rollback {name} --to {stable.name}"
    return ""


def _close(draft: Draft, incident: str, reason: str) -> None:
    known = {i.id: i for i in draft.state.incidents}.get(incident)
    if known is not None:
        draft.record(e.IncidentClosed(incident, draft.clock), known.release, reason)


def explain_rollback(draft: Draft, key: str, left: Standing, why: str) -> None:
    """Leave an incident that says why `left` was taken out, and close it: it serves no more."""
    state = draft.state
    back = f"rolled back to {state.stable.name}" if state.stable else "taken out: nothing serves"
    undo = f"trimtab deploy {state.spec.name} --release {left.name}"
    blamed = [
        incident
        for incident in state.incidents
        if _blames(incident) and incident.signals != OWN and means(incident.release, left)
    ]
    for incident in blamed:
        told = msgspec.structs.replace(incident, action=back, undo=undo)
        draft.record(e.IncidentUpdated(told), left.name, back)
        _close(draft, incident.id, "the release that caused it serves no more")
    if not blamed:
        key = _another(state, key)
        found = msgspec.structs.replace(_found(draft, key, left, why), action=back, undo=undo)
        draft.record(e.IncidentOpened(found), left.name, why)
        _close(draft, key, "the release that caused it serves no more")


def _found(draft: Draft, key: str, left: Standing, why: str) -> Incident:
    seen = draft.seen
    told = seen.guard.verdicts if seen.guard else ()
    bad = tuple(storable(verdict) for verdict in told if verdict.verdict == "bad")
    since = [verdict.since for verdict in bad if verdict.since is not None]
    failure = seen.failed.get(left.digest)
    golden = failure is not None and failure.code == "TT-402"
    cause = Cause.ENVIRONMENT_MISALIGNMENT if golden else Cause.BAD_RELEASE
    return Incident(
        id=key,
        deployment=draft.state.spec.name,
        release=left.name,
        tier="page",
        opened_at=draft.clock,
        first_evidence_at=min(since, default=draft.clock),
        signals=tuple(dict.fromkeys(verdict.signal for verdict in bad)) or ("worker",),
        severity=why,
        causes=(RankedCause(cause, 1, (why,)),),
        verdicts=bad,
        shown=seen.guard.shown if seen.guard else (),
    )


def watch_own(draft: Draft, stranded: str) -> None:
    """Open and close the loop's own incidents: held too long, nowhere to go, too many rollbacks."""
    holding = {incident.id: incident for incident in _conditions(draft, stranded)}
    opened = {i.id for i in draft.state.incidents if i.signals == OWN}
    for key in sorted(opened - holding.keys()):
        _close(draft, key, "it is over")
    for key in sorted(holding.keys() - opened):
        incident = holding[key]
        draft.record(e.IncidentOpened(incident), incident.release, incident.severity)


def _conditions(draft: Draft, stranded: str) -> tuple[Incident, ...]:
    state, seen = draft.state, draft.seen
    name, rollout = state.spec.name, state.rollout
    found = []
    if rollout is not None:
        held = seen.clock - rollout.phase_clock
        if held > state.spec.rollout.max_hold_seconds:
            missing = seen.guard.waiting_for if seen.guard else ""
            key = f"{rollout.id}-held-{rollout.phase}-{rollout.step}"
            why = f"{rollout.candidate.name} is held in {rollout.phase}: " + (
                missing or "there is no evidence that it is not worse"
            )
            action = f"hold; decide with trimtab promote {name} or trimtab abort {name}"
            found.append(_own(draft, key, "ticket", why, action))
    if stranded:
        key = f"{name}-stranded-{state.rollouts}"
        found.append(_own(draft, key, "page", stranded, "hold: there is nothing to roll back to"))
    if state.automatic_rollbacks >= MOST_AUTOMATIC_ROLLBACKS:
        why = f"{state.automatic_rollbacks} automatic rollbacks in a row"
        action = "hold: retrained releases wait for a person; trimtab deploy ends the hold"
        found.append(_own(draft, f"{name}-rollbacks-{state.rollouts}", "page", why, action))
    return tuple(found)


def _another(state: DeploymentState, key: str) -> str:
    """The id of the trouble `key` of the loop itself: another one each time that it comes back, for
    people are told once of each."""
    returned = f"{key}-again-"
    for incident in state.incidents:
        if incident.id == key or incident.id.startswith(returned):
            return incident.id
    times = sum(gone == key or gone.startswith(returned) for gone in state.closed)
    return f"{returned}{times}" if times else key


def _own(draft: Draft, key: str, tier: Tier, why: str, action: str) -> Incident:
    state = draft.state
    blamed = state.rollout.candidate if state.rollout else state.stable
    return Incident(
        id=_another(state, key),
        deployment=state.spec.name,
        release=blamed.name if blamed else "",
        tier=tier,
        opened_at=draft.clock,
        first_evidence_at=draft.clock,
        signals=OWN,
        severity=why,
        causes=(RankedCause(Cause.UNKNOWN, 1, (why,)),),
        action=action,
    )


def ready_target(state: DeploymentState, seen: Observation) -> Standing | None:
    """The rollback target, when it is ready now; a rollback to anything else is refused."""
    target = rollback_target(state)
    return target if seen.up(target) else None


def _blames(incident: Incident) -> bool:
    """Whether another release may do better: this one is bad, or no worker of it is sound."""
    return first_cause(incident) == Cause.BAD_RELEASE or everywhere(incident.signals, incident.tier)


def blamed_on_stable(state: DeploymentState) -> str:
    """The severity of a page that blames the stable release itself, or what it runs in on every
    worker; "" when there is none."""
    for incident in state.incidents:
        page = incident.tier == "page" and incident.signals != OWN
        if page and _blames(incident) and means(incident.release, state.stable):
            return incident.severity or "bad release"
    return ""
