"""What was seen of a deployment over the demonstration: every change, never an opinion."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trimtab.views.shapes import DeploymentView, EventView, IncidentView, RunView

_ENTERED = "rollout entered "


@dataclass(frozen=True, slots=True)
class Moment:
    """The deployment at one moment; `wall` in epoch seconds, `clock` in those of event time.

    `candidate`, its `weight` (0 to 1) and `phase` are of the rollout in progress; `ended` is the
    last one that ended, as release and outcome.
    """

    wall: float
    clock: float
    state: str
    stable: str | None
    candidate: str | None = None
    weight: float = 0.0
    phase: str | None = None
    ended: tuple[str, str] | None = None
    run: str | None = None
    incidents: tuple[str, ...] = ()

    @classmethod
    def of(cls, status: DeploymentView, wall: float, start: float) -> "Moment":
        """What matters of `status`; `start` stands in for a clock that has not begun."""
        rollout, last = status.rollout, status.last_rollout
        return cls(
            wall,
            status.at.timestamp() if status.at else start,
            status.state,
            status.stable.release if status.stable else None,
            rollout.release if rollout else None,
            rollout.weight_ratio if rollout else 0.0,
            rollout.state if rollout else None,
            (last.release, last.outcome) if last and last.outcome else None,
            status.run,
            status.incidents,
        )

    def same(self, other: "Moment") -> bool:
        """Whether nothing but time lies between them."""
        return self._facts() == other._facts()

    def _facts(self) -> tuple[object, ...]:
        return (
            *(self.state, self.stable, self.candidate, self.weight, self.phase),
            *(self.ended, self.run, self.incidents),
        )


@dataclass(slots=True)
class Observed:
    """Changes in the order in which they were seen, the journal, incidents and runs."""

    changes: list[Moment] = field(default_factory=list)
    events: list[EventView] = field(default_factory=list)
    incidents: Sequence[IncidentView] = ()
    runs: Sequence[RunView] = ()

    def see(self, seen: Moment) -> bool:
        """Take in a moment; whether anything had changed."""
        if self.changes and self.changes[-1].same(seen):
            return False
        self.changes.append(seen)
        return True

    @property
    def now(self) -> Moment | None:
        """The newest change."""
        return self.changes[-1] if self.changes else None

    @property
    def last_seq(self) -> int:
        """The newest entry of the journal that is known."""
        return self.events[-1].seq if self.events else 0

    def entries(self, kind: str, release: str | None = None) -> list[EventView]:
        """Entries of one kind (about one release), oldest first."""
        return [e for e in self.events if e.kind == kind and release in (None, e.release)]

    def phases(self, release: str) -> tuple[str, ...]:
        """The phases `release` went through as a candidate; short ones only the journal saw."""
        told = [
            event.summary.removeprefix(_ENTERED).split()[0]
            for event in self.entries("rollout_advanced", release)
            if event.summary.startswith(_ENTERED)
        ]
        seen = [m.phase for m in self.changes if m.candidate == release and m.phase]
        return tuple(dict.fromkeys([*seen, *told]))

    def outcome(self, release: str) -> str | None:
        """How the last rollout of `release` ended; None while it has not."""
        ends = [m.ended[1] for m in self.changes if m.ended and m.ended[0] == release]
        return ends[-1] if ends else None

    def stable_since(self, release: str) -> float | None:
        """Event time at which `release` was first seen as stable."""
        return next((m.clock for m in self.changes if m.stable == release), None)
