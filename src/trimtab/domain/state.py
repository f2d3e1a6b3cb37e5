"""The state that the journal folds to: `evolve(state, event)`, pure and total."""

from collections.abc import Iterable
from functools import reduce

import msgspec

from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.rollout import Outcome, Rollout, Standing
from trimtab.domain.verdicts import Incident


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


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything decided about one deployment. `proven` is oldest first, without repeats."""

    spec: DeploymentSpec
    stable: Standing | None = None
    rollout: Rollout | None = None
    last_rollout: EndedRollout | None = None
    proven: tuple[Standing, ...] = ()
    previous: Standing | None = None
    """The release that served before stable: the rollback target, kept resident."""
    automatic_rollbacks: int = 0
    incidents: tuple[Incident, ...] = ()
    """Open incidents."""
    run: Run | None = None
    last_run_clock: float | None = None
    rejected: tuple[str, ...] = ()
    """Digests the guard rolled back; they need an explicit deploy to be tried again."""


class SystemState(msgspec.Struct, frozen=True):
    """All deployments by name and the sequence number the state was folded up to."""

    deployments: dict[str, DeploymentState] = {}
    seq: int = 0


def replay(entries: Iterable[e.Entry], start: SystemState | None = None) -> SystemState:
    """Fold entries into state: `replay(journal) = state`."""
    return reduce(evolve, entries, start or SystemState())


def evolve(state: SystemState, entry: e.Entry) -> SystemState:
    """The state after one recorded entry. Entries of unknown deployments change only `seq`."""
    deployments = state.deployments
    if isinstance(entry.event, e.SpecApplied):
        current = deployments.get(entry.deployment)
        changed = (
            msgspec.structs.replace(current, spec=entry.event.spec)
            if current
            else DeploymentState(spec=entry.event.spec)
        )
        deployments = {**deployments, entry.deployment: changed}
    elif entry.deployment in deployments:
        changed = apply(deployments[entry.deployment], entry.event)
        deployments = {**deployments, entry.deployment: changed}
    return SystemState(deployments, entry.seq)


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
        case e.IncidentOpened() | e.IncidentUpdated() | e.IncidentClosed():
            return _apply_incident(state, event)
        case e.RunRequested() | e.RunSucceeded() | e.RunFailed():
            return _apply_run(state, event)
        case e.ReleaseRegistered():
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
            return replace(state, rollout=_started(state, event))
        case e.RolloutAdvanced():
            return _advanced(state, event)
        case e.RolloutPaused() | e.RolloutResumed():
            paused = isinstance(event, e.RolloutPaused)
            rollout = replace(state.rollout, paused=paused) if state.rollout else None
            return replace(state, rollout=rollout)
        case e.RolloutEnded():
            return _ended(state, event)
        case e.Proven(release=release):
            return replace(state, proven=_with(state.proven, release), automatic_rollbacks=0)
        case e.RolledBackTo():
            return _reverted(state, event)


def _started(state: DeploymentState, event: e.RolloutStarted) -> Rollout:
    return Rollout(
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


def _advanced(state: DeploymentState, event: e.RolloutAdvanced) -> DeploymentState:
    """Entering `bake` is the promotion: the candidate becomes stable, the old one `previous`."""
    if state.rollout is None:
        return state
    rollout = msgspec.structs.replace(
        state.rollout,
        phase=event.phase,
        step=event.step,
        weight=event.weight,
        phase_clock=event.clock,
    )
    if event.phase != "bake":
        return msgspec.structs.replace(state, rollout=rollout)
    return msgspec.structs.replace(
        state, rollout=rollout, stable=rollout.candidate, previous=state.stable
    )


def _ended(state: DeploymentState, event: e.RolloutEnded) -> DeploymentState:
    rolled_back = event.outcome == "rolled_back"
    digest = event.candidate.digest
    return msgspec.structs.replace(
        state,
        rollout=None,
        last_rollout=EndedRollout(event.rollout, event.candidate, event.outcome, event.clock),
        rejected=(*state.rejected, digest) if rolled_back else state.rejected,
        automatic_rollbacks=state.automatic_rollbacks + int(rolled_back and event.automatic),
    )


def _reverted(state: DeploymentState, event: e.RolledBackTo) -> DeploymentState:
    return msgspec.structs.replace(
        state,
        stable=event.to,
        previous=event.left if event.left in state.proven else None,
        automatic_rollbacks=state.automatic_rollbacks,
    )


def _apply_incident(
    state: DeploymentState, event: e.IncidentOpened | e.IncidentUpdated | e.IncidentClosed
) -> DeploymentState:
    gone = event.incident if isinstance(event, e.IncidentClosed) else event.incident.id
    kept = tuple(incident for incident in state.incidents if incident.id != gone)
    if not isinstance(event, e.IncidentClosed):
        kept = (*kept, event.incident)
    return msgspec.structs.replace(state, incidents=kept)


def _apply_run(
    state: DeploymentState, event: e.RunRequested | e.RunSucceeded | e.RunFailed
) -> DeploymentState:
    if isinstance(event, e.RunRequested):
        run = Run(
            id=event.run,
            model=event.model,
            cause=event.cause,
            requested_clock=event.clock,
            incident=event.incident,
        )
        return msgspec.structs.replace(state, run=run, last_run_clock=event.clock)
    if state.run is None or state.run.id != event.run:
        return state
    return msgspec.structs.replace(state, run=None)


def _with(proven: tuple[Standing, ...], release: Standing) -> tuple[Standing, ...]:
    return (*(other for other in proven if other != release), release)
