"""What the controller asks of a node agent, and what it hears back."""

from typing import Literal, TypeVar

import msgspec

from trimtab.domain.names import Digest


class WorkerSlot(msgspec.Struct, frozen=True, order=True):
    """A place for one worker of one release; its socket path follows from it.

    A worker whose `lane` is `batch` takes work of that lane alone, at lower priority; another takes
    all lanes. Places of either kind are counted from 0."""

    release: Digest
    index: int
    lane: Literal["realtime", "batch"] = "realtime"

    @property
    def id(self) -> str:
        """Stable id, also the name of its socket and log file."""
        kind = "b" if self.lane == "batch" else ""
        return f"{self.release.removeprefix('sha256:')[:12]}-{kind}{self.index}"

    @property
    def turn(self) -> int:
        """Whose turn it is to be given processors and a GPU: workers of the batch lane are counted
        backwards, so that they meet the others last."""
        return -1 - self.index if self.lane == "batch" else self.index


class WorkerLimits(msgspec.Struct, frozen=True):
    """What one worker may use; None is no limit.

    `memory_bytes` is resident memory of the worker and all that it started, shared libraries
    included; `cpus` is rounded up to whole ones; `processes` counts the worker itself. Each
    worker gets one of `gpus`, by number or UUID, in its turn; without any it sees none.
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int = 64
    gpus: tuple[str, ...] = ()

    def wider(self, other: "WorkerLimits") -> "WorkerLimits":
        """What suits both: a worker that serves two deployments keeps the promise to each."""
        return WorkerLimits(
            _larger(self.memory_bytes, other.memory_bytes),
            _larger(self.cpus, other.cpus),
            max(self.processes, other.processes),
            tuple(dict.fromkeys((*self.gpus, *other.gpus))),
        )


Number = TypeVar("Number", int, float)


def _larger(one: Number | None, other: Number | None) -> Number | None:
    return None if one is None or other is None else max(one, other)


class WantedWorkers(msgspec.Struct, frozen=True):
    """The whole set of workers that should exist; the agent starts and stops the difference."""

    epoch: int
    slots: tuple[WorkerSlot, ...]
    limits: dict[Digest, WorkerLimits] = {}
    """By release; one that is not named has none but the default."""


WorkerState = Literal["preparing", "starting", "ready", "failed", "stopping"]


class WorkerStatus(msgspec.Struct, frozen=True):
    """One worker as the agent sees it.

    `ready` means: environment verified, digest verified, golden set replayed within tolerance,
    socket listening. `failed` carries the reason in `error`; it is retried with backoff.
    """

    slot: WorkerSlot
    state: WorkerState
    pid: int | None = None
    restarts: int = 0
    error: str = ""
    code: str = ""
    rss_bytes: int = 0
    started_seconds: float = 0.0
    golden_difference: float | None = None


class JobStatus(msgspec.Struct, frozen=True):
    """A one-off process (a pipeline run). `exit_code` is None while it runs."""

    id: str
    pid: int | None
    exit_code: int | None
    started_at: float


class NodeStatus(msgspec.Struct, frozen=True):
    """Everything the agent knows: workers, jobs, and the gateways it keeps alive."""

    workers: tuple[WorkerStatus, ...]
    jobs: tuple[JobStatus, ...] = ()
    gateways: tuple[int, ...] = ()
    """Process ids of the gateways."""


class HostStatus(msgspec.Struct, frozen=True):
    """What a machine has and what its processes used. `cpu_seconds` are by process id, since each
    began; memory is in bytes, within the limits that the system itself is under.

    `waiting` is the share of the last minute in which some work waited for `cpu`, `memory` or `io`
    (pressure stall information), empty where the kernel does not tell; `load` is how many processes
    wanted to run, averaged over the last minute; `waited_seconds` is how long each process waited
    for a processor since it began."""

    cores: float
    memory_bytes: int
    free_bytes: int
    cpu_seconds: dict[int, float] = {}
    waiting: dict[str, float] = {}
    load: float = 0.0
    waited_seconds: dict[int, float] = {}
