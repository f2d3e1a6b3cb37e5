"""A decision while it is being made: entries applied to the state as they are written down."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from trimtab.domain import events as e
from trimtab.domain.names import Digest
from trimtab.domain.rollout import Rollout, Standing
from trimtab.domain.state import DeploymentState, apply
from trimtab.domain.verdicts import Verdict
from trimtab.errors import NO_ROLLOUT, Refused
from trimtab.judge.reports import GuardReport, MonitorReport
from trimtab.judge.scale.roles import Load

SIZES = ("estimate", "lower", "upper", "reference", "tolerance", "since", "detectable")

Facts = dict[str, float | str | None]


@dataclass(frozen=True, slots=True)
class WorkerFailure:
    """Why no worker of a release becomes ready: three failed starts, or one golden failure."""

    code: str
    error: str


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A pipeline run that ended; without `release` it failed, and `error` says why."""

    run: str
    release: Standing | None
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known about one deployment at one moment.

    `clock` is the deployment's clock and `now` the host's, both in seconds; `ready` counts the
    verified workers of each release. A report or load of None says nothing: unknown, hold.
    """

    clock: float
    now: float
    guard: GuardReport | None = None
    monitors: MonitorReport | None = None
    ready: Mapping[Digest, int] = field(default_factory=dict)
    failed: Mapping[Digest, WorkerFailure] = field(default_factory=dict)
    finished: tuple[FinishedRun, ...] = ()
    load: Load | None = None

    def workers(self, release: Standing) -> int:
        """Ready workers of `release`."""
        return self.ready.get(release.digest, 0)

    def up(self, release: Standing | None) -> bool:
        """Whether `release` is there and at least one of its workers is ready."""
        return release is not None and self.workers(release) > 0


@dataclass(frozen=True, slots=True)
class Author:
    """Who decides, and the reason given."""

    actor: str = "controller"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record, and what to do once it is recorded."""

    entries: tuple[e.NewEntry, ...] = ()
    effects: tuple[e.Effect, ...] = ()


class Draft:
    """Collects the entries of one decision. `state` is what they lead to so far."""

    def __init__(self, state: DeploymentState, seen: Observation, author: Author) -> None:
        self.state = state
        self.seen = seen
        self._before = state
        self._author = author
        self._entries: list[e.NewEntry] = []
        self._effects: list[e.Effect] = []

    @property
    def clock(self) -> float:
        """The deployment's clock of this decision."""
        return self.seen.clock

    def rollout(self, operation: str) -> Rollout:
        """The rollout in progress. Raises `Refused` TT-603."""
        if self.state.rollout is not None:
            return self.state.rollout
        name = self.state.spec.name
        raise Refused(
            NO_ROLLOUT,
            operation,
            name,
            "no rollout is in progress",
            unchanged="what serves is as it was",
            hint=f"trimtab status {name}",
        )

    def record(
        self, event: e.AnyEvent, release: str = "", reason: str = "", evidence: Facts | None = None
    ) -> None:
        """Write `event` down; a reason the author gave comes before the rule's own."""
        said = "; ".join(part for part in (self._author.reason, reason) if part)
        entry = e.NewEntry(
            at=self.seen.now,
            actor=self._author.actor,
            event=event,
            deployment=self.state.spec.name,
            release=release,
            reason=said,
            evidence=evidence or {},
        )
        self._entries.append(entry)
        self.state = apply(self.state, event)

    def request(self, effect: e.Effect) -> None:
        """Queue something to do outside."""
        self._effects.append(effect)

    def decision(self) -> Decision:
        """The finished decision, with one message for each incident that opened or closed; a note
        is told of once it is more than that."""
        return Decision(tuple(self._entries), (*self._effects, *self._messages()))

    def _messages(self) -> tuple[e.Effect, ...]:
        newest = {incident.id: incident for incident in self._before.incidents}
        changed: dict[str, str] = {}
        for entry in self._entries:
            match entry.event:
                case e.IncidentOpened(incident=incident):
                    newest[incident.id] = incident
                    changed[incident.id] = "opened"
                case e.IncidentUpdated(incident=incident):
                    if newest[incident.id].tier == "note" != incident.tier:
                        changed[incident.id] = "opened"
                    newest[incident.id] = incident
                case e.IncidentClosed(incident=gone, clock=clock):
                    newest[gone] = msgspec.structs.replace(newest[gone], closed_at=clock)
                    changed[gone] = "closed"
                case _:
                    pass
        return tuple(
            e.Effect(f"notify:{name}:{what}", e.Notify(newest[name]))
            for name, what in changed.items()
            if newest[name].tier != "note"
        )


def evidence(guard: GuardReport | None) -> Facts:
    """The numbers of the verdict that decides: the worst, for a person who asks why."""
    if guard is None or not guard.verdicts:
        return {}
    lead = max(
        (storable(verdict) for verdict in guard.verdicts),
        key=lambda v: (v.verdict == "bad", v.evidence_log10 - v.threshold_log10),
    )
    return {
        "signal": lead.signal,
        "verdict": lead.verdict,
        "evidence_log10": lead.evidence_log10,
        "threshold_log10": lead.threshold_log10,
        "estimate": lead.estimate,
        "lower": lead.lower,
        "upper": lead.upper,
        "tolerance": lead.tolerance,
        "n": float(lead.n),
    }


def storable(verdict: Verdict) -> Verdict:
    """The verdict with finite numbers, as JSON demands: certain evidence becomes 10^±9999."""
    sizes = {name: _finite(getattr(verdict, name)) for name in SIZES}
    return msgspec.structs.replace(
        verdict,
        evidence_log10=_clipped(verdict.evidence_log10),
        threshold_log10=_clipped(verdict.threshold_log10),
        **sizes,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _clipped(value: float) -> float:
    return 0.0 if math.isnan(value) else max(-9999.0, min(9999.0, value))


def means(text: str, release: Standing | None) -> bool:
    """Whether `text`, a name or a digest, means `release`."""
    return release is not None and text in (release.name, release.digest)
