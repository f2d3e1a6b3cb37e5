"""What the observer needs of those who judge: monitors of a release, the guard of a rollout."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trimtab.domain.deployment import DeploymentSpec, RolloutPlan
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Heard, Labelled, Paired, Rows
from trimtab.domain.rollout import Phase, Standing
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Incident
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings


class Watching(Protocol):
    """What `judge.monitors.Monitors` and `judge.guard.Guard` have in common."""

    def observe(self, rows: Rows) -> None:
        """Count rows."""
        ...

    def learn(self, labelled: Labelled) -> None:
        """Count predictions whose label is known."""
        ...

    def dump(self) -> bytes:
        """The whole state."""
        ...


class MonitorsLike(Watching, Protocol):
    """Monitors of one release in one deployment."""

    def hear(self, heard: Heard) -> None:
        """Count labels by what became of them."""
        ...

    def compare(self, paired: Paired) -> None:
        """Count values that training would have used for what was answered."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read back, for the operator."""
        ...

    def assess(
        self, clock: float, open_incidents: tuple[Incident, ...], surroundings: Surroundings
    ) -> MonitorReport:
        """Judge everything counted so far."""
        ...


class GuardLike(Watching, Protocol):
    """The guard of one rollout."""

    def assess(self, phase: Phase, step: int, clock: float) -> GuardReport:
        """Judge the candidate at this phase and step."""
        ...


StartMonitors = Callable[
    [DeploymentSpec, Signature, ReferenceProfile | None, str, float], MonitorsLike
]
StartGuard = Callable[
    [RolloutPlan, DeploymentSpec, Standing, Standing, tuple[Signature, ReferenceProfile | None]],
    GuardLike,
]


@dataclass(frozen=True, slots=True)
class Judges:
    """How monitors and guards are started and read back."""

    start_monitors: StartMonitors
    load_monitors: Callable[[bytes], MonitorsLike]
    start_guard: StartGuard
    load_guard: Callable[[bytes], GuardLike]
