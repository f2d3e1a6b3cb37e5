"""The state that the journal folds to: `evolve(state, event)`, pure and total."""

from collections.abc import Iterable
from functools import reduce

import msgspec

from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.rollout import Outcome, Rollout, Standing
from trimtab.domain.verdicts import Incident

REMEMBERED = 256
"""How many closed incidents a deployment remembers by id."""

FOLD = 2
"""Raised when the same entries fold to another state: what was kept under another number is not
believed, and the journal is replayed."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline run of a deployment's model."""

    id: str
    model: str
    cause: str
    requested_clock: float
    incident: str | None = None


class EndedRollout(msgspec.Struct, frozen=True):
    """How the last rollout ended, for `deploy --wait` and the status screen."""

    id: str
    candidate: Standing
    outcome: Outcome
    clock: float


class Scale(msgspec.Struct, frozen=True):
    """How many workers a release was given, and when: epoch seconds of the host."""

    workers: int
    at: float


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything decided about one deployment. `proven` is oldest first, without repeats."""

    spec: DeploymentSpec
    stable: Standing | None = None
    serving_since: float | None = None
    """The deployment's clock when stable last changed."""
    rollout: Rollout | None = None
    last_rollout: EndedRollout | None = None
    rollouts: int = 0
    """Rollouts ever started: the number of the newest id."""
    proven: tuple[Standing, ...] = ()
    previous: Standing | None = None
    """The proven release that served before stable: the rollback target, kept resident."""
    automatic_rollbacks: int = 0
    """In a row: since a release was proven or a person deployed."""
    incidents: tuple[Incident, ...] = ()
    """Open incidents."""
    closed: tuple[str, ...] = ()
    """Ids of incidents closed lately: a report that comes twice must not open them again."""
    run: Run | None = None
    runs: int = 0
    """Runs ever requested: the number of the newest id."""
    last_run_clock: float | None = None
    offered: Standing | None = None
    """What the last run made, until a rollout of anything starts, or it serves."""
    rejected: tuple[str, ...] = ()
    """Digests the guard rolled back; they need an explicit order to be tried again."""
    scales: dict[str, Scale] = {}
    """By digest, what was decided by demand; a release that is not in it has `scale.min`."""


class SystemState(msgspec.Struct, frozen=True):
    """All deployments by name and the sequence number the state was folded up to."""

    deployments: dict[str, DeploymentState] = {}
    seq: int = 0


def replay(entries: Iterable[e.Entry], start: SystemState | None = None) -> SystemState:
    """Fold entries into state: `replay(journal) = state`."""
    return reduce(evolve, entries, start or SystemState())


def evolve(state: SystemState, entry: e.Entry) -> SystemState:
    """The state after one recorded entry. Entries of unknown deployments change only `seq`."""
    current = state.deployments.get(entry.deployment)
    if current is None and isinstance(entry.event, e.SpecApplied):
        current = DeploymentState(spec=entry.event.spec)
    if current is None:
        return SystemState(state.deployments, entry.seq)
    changed = apply(current, entry.event)
    return SystemState({**state.deployments, entry.deployment: changed}, entry.seq)


def rollback_target(state: DeploymentState) -> Standing | None:
    """The release to go back to: proven, not stable, not put aside by the guard."""
    usable = [
        release
        for release in state.proven
        if release != state.stable and release.digest not in state.rejected
    ]
    if state.previous in usable:
        return state.previous
    return usable[-1] if usable else None


def workers_of(state: DeploymentState, release: Standing) -> int:
    """How many workers the release should have while it serves or is about to; 0 when it sleeps."""
    plan, found = state.spec.scale, state.scales.get(release.digest)
    if found is None:
        return plan.min
    sleeps = plan.idle == "zero" and state.rollout is None and release == state.stable
    if found.workers == 0 and sleeps:
        return 0
    return max(plan.min, min(plan.max, found.workers))


def asleep(state: DeploymentState) -> bool:
    """Whether the deployment has no workers until a request comes."""
    return state.stable is not None and workers_of(state, state.stable) == 0


def apply(state: DeploymentState, event: e.AnyEvent) -> DeploymentState:
    """The deployment's state after `event`."""
    match event:
        case e.SpecApplied(spec=spec):
            return msgspec.structs.replace(state, spec=spec)
        case (
            e.RolloutStarted()
            | e.RolloutAdvanced()
            | e.RolloutPaused()
            | e.RolloutResumed()
            | e.RolloutEnded()
            | e.Proven()
            | e.RolledBackTo()
        ):
            return _apply_rollout(state, event)
        case e.Scaled():
            return _scaled(state, event)
        case e.IncidentOpened() | e.IncidentUpdated() | e.IncidentClosed():
            return _apply_incident(state, event)
        case e.RunRequested() | e.RunSucceeded() | e.RunFailed():
            return _apply_run(state, event)
        case _:
            return state


RolloutEvent = (
    e.RolloutStarted
    | e.RolloutAdvanced
    | e.RolloutPaused
    | e.RolloutResumed
    | e.RolloutEnded
    | e.Proven
    | e.RolledBackTo
)


def _apply_rollout(state: DeploymentState, event: RolloutEvent) -> DeploymentState:
    replace = msgspec.structs.replace
    match event:
        case e.RolloutStarted():
            return _started(state, event)
        case e.RolloutAdvanced():
            return _advanced(state, event)
        case e.RolloutPaused() | e.RolloutResumed():
            paused = isinstance(event, e.RolloutPaused)
            rollout = replace(state.rollout, paused=paused) if state.rollout else None
            return replace(state, rollout=rollout)
        case e.RolloutEnded():
            return _ended(state, event)
        case e.Proven(release=release):
            return replace(
                state,
                proven=(*_without(state.proven, release), release),
                rejected=_dropped(state.rejected, release.digest),
                automatic_rollbacks=0,
            )
        case _:
            return _reverted(state, event)


def _started(state: DeploymentState, event: e.RolloutStarted) -> DeploymentState:
    rollout = Rollout(
        id=event.rollout,
        candidate=event.candidate,
        previous=state.stable,
        strategy=event.strategy,
        phase="preparing",
        step=0,
        weight=0,
        paused=False,
        started_clock=event.clock,
        phase_clock=event.clock,
    )
    kept = {digest: scale for digest, scale in state.scales.items() if digest in _resident(state)}
    state = msgspec.structs.replace(
        state, rollout=rollout, rollouts=state.rollouts + 1, offered=None, scales=kept
    )
    if event.automatic:
        return state
    return msgspec.structs.replace(
        state,
        automatic_rollbacks=0,
        rejected=_dropped(state.rejected, event.candidate.digest),
    )


def _advanced(state: DeploymentState, event: e.RolloutAdvanced) -> DeploymentState:
    """Entering `bake` is the promotion: the candidate becomes stable, the old one `previous`.

    An old stable that was never proven is not kept: it could not be a rollback target."""
    if state.rollout is None or state.rollout.id != event.rollout:
        return state
    rollout = msgspec.structs.replace(
        state.rollout,
        phase=event.phase,
        step=event.step,
        weight=event.weight,
        phase_clock=event.clock,
    )
    if event.phase != "bake" or state.rollout.phase == "bake":
        return msgspec.structs.replace(state, rollout=rollout)
    return msgspec.structs.replace(
        state,
        rollout=rollout,
        stable=rollout.candidate,
        serving_since=event.clock,
        previous=state.stable if state.stable in state.proven else state.previous,
        offered=None if state.offered == rollout.candidate else state.offered,
        scales=_inherited(state, state.stable, rollout.candidate),
    )


def _resident(state: DeploymentState) -> set[str]:
    """Digests of the releases that have workers beside a candidate."""
    return {release.digest for release in (state.stable, rollback_target(state)) if release}


def _inherited(state: DeploymentState, left: Standing | None, heir: Standing) -> dict[str, Scale]:
    """The scales once `heir` serves instead of `left`: it never begins with fewer workers."""
    found = state.scales.get(left.digest) if left else None
    if found is None or workers_of(state, heir) >= found.workers:
        return state.scales
    return {**state.scales, heir.digest: found}


def _scaled(state: DeploymentState, event: e.Scaled) -> DeploymentState:
    scale = Scale(event.workers, event.at)
    return msgspec.structs.replace(state, scales={**state.scales, event.release.digest: scale})


def _ended(state: DeploymentState, event: e.RolloutEnded) -> DeploymentState:
    rolled_back = event.outcome == "rolled_back"
    digest = event.candidate.digest
    rejected = _dropped(state.rejected, digest)
    return msgspec.structs.replace(
        state,
        rollout=None,
        last_rollout=EndedRollout(event.rollout, event.candidate, event.outcome, event.clock),
        rejected=(*rejected, digest) if rolled_back else state.rejected,
        automatic_rollbacks=state.automatic_rollbacks + int(rolled_back and event.automatic),
    )


def _reverted(state: DeploymentState, event: e.RolledBackTo) -> DeploymentState:
    """A rollback in bake is counted where its rollout ends, any other is counted here.

    A release that the guard put aside is no target any more, until a person goes back to it; one
    that a person left is."""
    rejected = _dropped(state.rejected, event.to.digest)
    if event.automatic:
        rejected = (*_dropped(rejected, event.left.digest), event.left.digest)
    targets = [
        release for release in _without(state.proven, event.to) if release.digest not in rejected
    ]
    left = event.left if event.left in targets else None
    return msgspec.structs.replace(
        state,
        stable=event.to,
        serving_since=event.clock,
        previous=left or (targets[-1] if targets else None),
        offered=None if state.offered == event.to else state.offered,
        rejected=rejected,
        scales=_inherited(state, event.left, event.to),
        automatic_rollbacks=state.automatic_rollbacks
        + int(event.automatic and state.rollout is None),
    )


def _apply_incident(
    state: DeploymentState, event: e.IncidentOpened | e.IncidentUpdated | e.IncidentClosed
) -> DeploymentState:
    gone = event.incident if isinstance(event, e.IncidentClosed) else event.incident.id
    kept = tuple(incident for incident in state.incidents if incident.id != gone)
    if not isinstance(event, e.IncidentClosed):
        return msgspec.structs.replace(state, incidents=(*kept, event.incident))
    closed = (*_dropped(state.closed, gone), gone)[-REMEMBERED:]
    return msgspec.structs.replace(state, incidents=kept, closed=closed)


def _apply_run(
    state: DeploymentState, event: e.RunRequested | e.RunSucceeded | e.RunFailed
) -> DeploymentState:
    replace = msgspec.structs.replace
    if isinstance(event, e.RunRequested):
        run = Run(
            id=event.run,
            model=event.model,
            cause=event.cause,
            requested_clock=event.clock,
            incident=event.incident,
        )
        return replace(state, run=run, runs=state.runs + 1, last_run_clock=event.clock)
    if state.run is None or state.run.id != event.run:
        return state
    if isinstance(event, e.RunFailed) or known_of_run(state, event.release):
        return replace(state, run=None)
    return replace(state, run=None, offered=event.release)


def known_of_run(state: DeploymentState, release: Standing) -> str:
    """Why nothing is to be done with a release that a run made; "" where it is to be deployed."""
    if release == state.stable:
        return f"{release.name} serves already: the run made the same again"
    if release.digest in state.rejected:
        return f"{release.name} was rolled back before: the run made the same again"
    return ""


def _without(releases: tuple[Standing, ...], release: Standing) -> tuple[Standing, ...]:
    return tuple(other for other in releases if other != release)


def _dropped(texts: tuple[str, ...], text: str) -> tuple[str, ...]:
    return tuple(other for other in texts if other != text)
