"""What a screen is made from: the recorded state and what was last seen of the running system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from trimtab.domain.names import Digest, short
from trimtab.domain.processes import NodeStatus, WorkerStatus
from trimtab.domain.release import Release
from trimtab.domain.state import SystemState
from trimtab.domain.verdicts import Verdict
from trimtab.judge.reports import GuardReport
from trimtab.judge.scale.roles import Load
from trimtab.views.shapes import Trend

EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """Requests since the log began; rate and latency of the last minute (None without traffic).

    `behind_seconds` and `behind_trend` are those of `RequestsView`, `unreadable` counts segments of
    the log that were passed over, and `damaged` files of it that were set aside."""

    total: int = 0
    failed: int = 0
    rate_per_second: float = 0.0
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    behind_seconds: float = 0.0
    unreadable: int = 0
    damaged: int = 0
    behind_trend: Trend = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The last rollback that was carried out or rehearsed; `at` in epoch seconds."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the evidence of a deployment is cut: the length of a block in seconds of its clock,
    whether only blocks count that were seen as a `whole`, and the reason for both in a few words.
    """

    seconds: float
    whole: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at the system. Mappings are by deployment, `releases` by digest.

    `now` and `observed_at` (the last tick of the control loop, None before the first) are host
    epoch seconds; `clocks` are the deployments' own clocks, absent before the first event, and
    `blocks` are those of their stable releases. `routed` is whether all gateways go by `state`.
    `journal_broken` is why the recorded history is not what was recorded, "" where it is;
    `free_bytes` are left on the disk of the state folder, None where nobody looked.
    """

    state: SystemState
    now: float
    observed_at: float | None = None
    releases: Mapping[Digest, Release] = field(default_factory=dict)
    node: NodeStatus = field(default_factory=lambda: NodeStatus(()))
    guards: Mapping[str, GuardReport] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)
    traffic: Mapping[str, TrafficCounts] = field(default_factory=dict)
    clocks: Mapping[str, float] = field(default_factory=dict)
    blocks: Mapping[str, Blocks] = field(default_factory=dict)
    rehearsals: Mapping[str, Rehearsal] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)
    routed: bool = False
    journal_broken: str = ""
    free_bytes: int | None = None

    def workers(self, release: Digest, lane: str = "realtime") -> tuple[WorkerStatus, ...]:
        """The workers of a release that are not on their way out: those for all lanes, or those of
        the `batch` lane alone."""
        return tuple(
            worker
            for worker in self.node.workers
            if (worker.slot.release, worker.slot.lane) == (release, lane)
            and worker.state != "stopping"
        )

    def names(self) -> dict[str, str]:
        """Names of the known releases by their digest."""
        return {digest: release.name for digest, release in self.releases.items()}


def named(text: str, names: Mapping[str, str]) -> str:
    """A release as a person writes it, whether `text` is its name or its digest."""
    return names.get(text, short(text) if text.startswith("sha256:") else text)


def moment(seconds: float) -> datetime:
    """Epoch seconds as a UTC time, to the millisecond, for JSON."""
    bounded = min(max(seconds, EARLIEST), LATEST)
    return datetime.fromtimestamp(round(bounded, 3), UTC)


def begun(seconds: float | None) -> bool:
    """Whether a clock shows a time: a deployment on event time has none before its first event."""
    return seconds is not None and seconds > 0.0


def maybe(seconds: float | None) -> datetime | None:
    """`moment`, or None for no time, which a clock that has not begun does not show either."""
    return moment(seconds) if seconds is not None and begun(seconds) else None
