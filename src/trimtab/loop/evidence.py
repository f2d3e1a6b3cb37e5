"""What the control loop needs of whoever reads the request log and runs the monitors."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from trimtab.domain.names import Digest
from trimtab.domain.state import DeploymentState
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.service import Work


class Reports(NamedTuple):
    """The guard's judgement of the rollout in progress, None without one to compare, and the
    monitors' verdicts on the stable release, None without one, with all incidents that opened,
    changed or closed since `settled`."""

    guard: GuardReport | None = None
    monitors: MonitorReport | None = None


class Evidence(Protocol):
    """The observer as the controller sees it. The calls come in this order in every tick:
    `refresh`, then per deployment `clock`, `report` and `settled`, then `follow`. `guard` is for
    orders of people in between.
    `stirred`, `demand` and `work` may be asked at any time."""

    async def refresh(self) -> bool:
        """Read what the gateways logged since the last call. An error means: nothing is known; so
        does False, as long as what was read before a restart is still read again."""
        ...

    def stirred(self) -> bool:
        """Whether there may be something to read since the last `refresh`; soon told."""
        ...

    def clock(self, deployment: str) -> float:
        """The deployment's clock in seconds: event time or the host's, never going back."""
        ...

    def guard(self, deployment: str) -> GuardReport | None:
        """The judgement of the candidate at its present phase and step, by `follow`'s state."""
        ...

    async def report(self, deployment: str) -> Reports:
        """What guard and monitors say, by `follow`'s state, with requests of the log that show it:
        those that can be read within a moment, and in a later report the others.

        The same incident may be reported again after a crash; its id makes that harmless."""
        ...

    def settled(self, deployment: str) -> None:
        """What `report` last told of incidents is in the journal and need not be reported again."""
        ...

    def demand(self, deployments: tuple[str, ...], lead: float, patience: float) -> Demand:
        """What is asked of deployments that share their workers, on the host's clock; the forecast
        looks `lead` seconds ahead, the peak `patience` seconds back."""
        ...

    def work(self, release: Digest, quantile: float, patience: float) -> Work:
        """What the workers of a release did, and the `quantile` of the waits before them."""
        ...

    def follow(
        self, states: Mapping[str, DeploymentState], surroundings: Mapping[str, Surroundings]
    ) -> None:
        """The deployments as they are now: which releases and rollouts to judge, and which
        incidents are open (the state is right where it differs). Idempotent."""
        ...

    def dump(self) -> bytes:
        """Monitor state, cursors and unsettled reports, to go on from after a restart."""
        ...

    def restore(self, data: bytes) -> None:
        """Go on from a dump. One that cannot be read is as good as none: read the log again."""
        ...
