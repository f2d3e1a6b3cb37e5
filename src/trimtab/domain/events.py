"""What the journal records: every decision and human action, and the effects it queued."""

import msgspec

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.rollout import Outcome, Phase, Standing
from trimtab.domain.verdicts import Incident


class Event(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all journal events."""


class ReleaseRegistered(Event, frozen=True, tag="release_registered"):
    """A release got its number."""

    release: Standing


class SpecApplied(Event, frozen=True, tag="spec_applied"):
    """The desired state of a deployment was set or changed."""

    spec: DeploymentSpec


class RolloutStarted(Event, frozen=True, tag="rollout_started"):
    """A deployment begins to move to a candidate. `clock` is the deployment's clock, seconds.

    `automatic` marks a retrained release that nobody looked at. A person's deploy ends the row of
    automatic rollbacks, for somebody has then seen them."""

    rollout: str
    candidate: Standing
    strategy: str
    clock: float
    automatic: bool = False


class RolloutAdvanced(Event, frozen=True, tag="rollout_advanced"):
    """The rollout entered a phase or step. `weight` is the candidate's, in parts per 10,000."""

    rollout: str
    phase: Phase
    step: int
    weight: int
    clock: float


class RolloutPaused(Event, frozen=True, tag="rollout_paused"):
    """No advance until resumed; the guard stays on."""

    rollout: str


class RolloutResumed(Event, frozen=True, tag="rollout_resumed"):
    """Advancing is allowed again."""

    rollout: str


class RolloutEnded(Event, frozen=True, tag="rollout_ended"):
    """The rollout is over. `promoted` made the candidate stable; the others leave stable as it is.

    `superseded` is a first deployment, a `now` strategy or a release that must go and cannot,
    replaced by another order, and a candidate that a rollback has made stable."""

    rollout: str
    candidate: Standing
    outcome: Outcome
    clock: float
    automatic: bool = False


class Proven(Event, frozen=True, tag="proven"):
    """The bake ended well: the release may from now on be a rollback target."""

    release: Standing
    clock: float


class RolledBackTo(Event, frozen=True, tag="rolled_back_to"):
    """Stable was swapped for a proven release, by a person or by the guard in bake."""

    left: Standing
    to: Standing
    clock: float
    automatic: bool = False


class Scaled(Event, frozen=True, tag="scaled"):
    """A release of the deployment gets another number of workers. `at` is epoch seconds of the
    host, for capacity follows the host's clock whatever clock the deployment runs on."""

    release: Standing
    workers: int
    before: int
    at: float


class IncidentOpened(Event, frozen=True, tag="incident_opened"):
    """Verdicts were put together under one cause."""

    incident: Incident


class IncidentUpdated(Event, frozen=True, tag="incident_updated"):
    """More evidence, another severity or another first cause."""

    incident: Incident


class IncidentClosed(Event, frozen=True, tag="incident_closed"):
    """Recovery was shown by evidence, or the release that caused it serves no more."""

    incident: str
    clock: float


class RunRequested(Event, frozen=True, tag="run_requested"):
    """A pipeline run was queued. `cause` is `quality`, `drift`, `schedule` or `human`."""

    run: str
    model: str
    cause: str
    clock: float
    incident: str | None = None


class RunSucceeded(Event, frozen=True, tag="run_succeeded"):
    """The run made a release."""

    run: str
    release: Standing
    seconds: float


class RunFailed(Event, frozen=True, tag="run_failed"):
    """The run ended without a release; nothing that serves was touched."""

    run: str
    error: str


AnyEvent = (
    ReleaseRegistered
    | SpecApplied
    | RolloutStarted
    | RolloutAdvanced
    | RolloutPaused
    | RolloutResumed
    | RolloutEnded
    | Proven
    | RolledBackTo
    | Scaled
    | IncidentOpened
    | IncidentUpdated
    | IncidentClosed
    | RunRequested
    | RunSucceeded
    | RunFailed
)


def kind_of(event: AnyEvent | type[Event]) -> str:
    """The event's name in the journal."""
    return str(event.__struct_config__.tag)


def subject_of(event: AnyEvent) -> str | None:
    """The incident or pipeline run that an event is about, by its id; None for any other event."""
    match event:
        case IncidentOpened(incident=incident) | IncidentUpdated(incident=incident):
            return incident.id
        case IncidentClosed(incident=closed):
            return closed
        case RunRequested(run=run) | RunSucceeded(run=run) | RunFailed(run=run):
            return run
        case _:
            return None


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be recorded. `at` is epoch seconds; `actor` a person or `controller`."""

    at: float
    actor: str
    event: AnyEvent
    deployment: str = ""
    release: str = ""
    reason: str = ""
    evidence: dict[str, float | str | None] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event. `hash` = sha256 over `previous` and the canonical JSON of the rest."""

    seq: int
    epoch: int
    at: float
    actor: str
    event: AnyEvent
    deployment: str
    release: str
    reason: str
    evidence: dict[str, float | str | None]
    previous: str
    hash: str


class StartRun(msgspec.Struct, frozen=True, tag="start_run", tag_field="kind"):
    """Start the pipeline run `run` of `model` as a job of the node agent."""

    run: str
    model: str
    deployment: str
    until: float | None
    """Labels known by this event time may be used; None means all."""


class Relieve(msgspec.Struct, frozen=True, tag="relieve", tag_field="kind"):
    """Let another process take the place of a worker, by the id of its slot."""

    worker: str


class Notify(msgspec.Struct, frozen=True, tag="notify", tag_field="kind"):
    """Tell people about an incident."""

    incident: Incident


class Effect(msgspec.Struct, frozen=True):
    """Something to do outside, once per `id`."""

    id: str
    what: StartRun | Relieve | Notify
