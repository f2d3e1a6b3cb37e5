"""In-memory twins of the ports, for tests and for trying things out: same promises, no disk."""

import asyncio
import heapq
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from trimtab import errors
from trimtab.backends.refusals import broken, only, stale
from trimtab.domain import chain
from trimtab.domain.events import Effect, Entry, NewEntry, kind_of, subject_of
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.processes import (
    HostStatus,
    JobStatus,
    NodeStatus,
    WantedWorkers,
    WorkerSlot,
    WorkerStatus,
)
from trimtab.domain.release import Manifest, Release
from trimtab.domain.verdicts import Incident


class MemoryJournal:
    """`ports.Journal` in memory. Entries are kept as the bytes that would be stored."""

    def __init__(self) -> None:
        self.stored: list[tuple[bytes, str, str]] = []
        self._epoch = 0
        self._effects: dict[str, Effect] = {}
        self._done: set[str] = set()
        self._snapshots: dict[str, bytes] = {}

    def lead(self, holder: str, now: float) -> int:
        """See `ports.Journal`."""
        self._epoch += 1
        return self._epoch

    def commit(
        self, epoch: int, entries: Sequence[NewEntry], effects: Sequence[Effect]
    ) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        self._fence(epoch)
        previous = self.stored[-1][2] if self.stored else chain.GENESIS
        recorded = []
        for number, new in enumerate(entries, len(self.stored) + 1):
            entry, content = chain.seal(new, number, epoch, previous)
            recorded.append((entry, content))
            previous = entry.hash
        self.stored += [(content, entry.previous, entry.hash) for entry, content in recorded]
        for effect in effects:
            self._effects.setdefault(effect.id, effect)
        return tuple(entry for entry, _ in recorded)

    def entries(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        until = None if limit is None else after + limit
        return tuple(chain.read(*row) for row in self.stored[after:until])

    def newest(
        self,
        limit: int | None,
        deployment: str | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
    ) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        chosen = (
            entry
            for entry in reversed(self.entries())
            if deployment in (None, entry.deployment)
            and (not kinds or kind_of(entry.event) in kinds)
            and (before is None or entry.seq < before)
        )
        return tuple(itertools.islice(chosen, limit))[::-1]

    def about(self, subjects: Collection[str]) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        found: dict[tuple[str, str], Entry] = {}
        for entry in self.entries():
            subject = subject_of(entry.event)
            if subject is not None and subject in subjects:
                found[subject, kind_of(entry.event)] = entry
        return tuple(sorted(found.values(), key=lambda entry: entry.seq))

    def pending(self) -> tuple[Effect, ...]:
        """See `ports.Journal`."""
        return tuple(e for name, e in self._effects.items() if name not in self._done)

    def done(self, epoch: int, effect_id: str) -> None:
        """See `ports.Journal`."""
        self._fence(epoch)
        self._done.add(effect_id)

    def verify(self, after: int = 0, limit: int | None = None) -> int:
        """See `ports.Journal`."""
        if after > len(self.stored):
            raise broken(after)
        expected, checked = self.stored[after - 1][2] if after else chain.GENESIS, after
        until = None if limit is None else after + limit
        for content, previous, hashed in self.stored[after:until]:
            if previous != expected or hashed != chain.link(previous, content):
                raise broken(checked + 1)
            checked, expected = checked + 1, hashed
        return checked

    def save(self, epoch: int, key: str, value: bytes) -> None:
        """See `ports.Journal`."""
        self._fence(epoch)
        self._snapshots[key] = value

    def load(self, key: str) -> bytes | None:
        """See `ports.Journal`."""
        return self._snapshots.get(key)

    def _fence(self, epoch: int) -> None:
        if epoch != self._epoch:
            raise stale("record", "memory", epoch, self._epoch)


class MemoryCatalog:
    """`ports.Catalog` in memory."""

    def __init__(self) -> None:
        self._releases: dict[Digest, Release] = {}

    def register(self, digest: Digest, manifest: Manifest, now: float) -> Release:
        """See `ports.Catalog`."""
        number = len(self.releases(manifest.model)) + 1
        release = Release(digest, manifest.model, number, now, manifest)
        return self._releases.setdefault(digest, release)

    def find(self, ref: ReleaseRef) -> Release:
        """See `ports.Catalog`."""
        return only(tuple(r for r in self._releases.values() if _matches(r, ref)), ref)

    def get(self, digest: Digest) -> Release:
        """See `ports.Catalog`."""
        return self.find(ReleaseRef(digest_prefix=digest))

    def releases(self, model: str | None = None) -> tuple[Release, ...]:
        """See `ports.Catalog`."""
        return tuple(r for r in self._releases.values() if model in (None, r.model))


def _matches(release: Release, ref: ReleaseRef) -> bool:
    if ref.digest_prefix is not None:
        return release.digest.startswith(ref.digest_prefix)
    return (release.model, release.number) == (ref.model, ref.number)


@dataclass
class MemoryNode:
    """`ports.Node` in memory: workers are ready at once, unless `failing` or `slow` name them.

    `reachable` False makes every call fail as a dead agent would; `applied` and `relieved` keep
    what was asked, and `asked` how often for the status. `tell` is how `changed` learns.
    """

    reachable: bool = True
    failing: dict[Digest, tuple[str, str]] = field(default_factory=dict)
    slow: set[Digest] = field(default_factory=set)
    workers: set[WorkerSlot] = field(default_factory=set)
    jobs: dict[str, JobStatus] = field(default_factory=dict)
    argv: dict[str, tuple[str, ...]] = field(default_factory=dict)
    applied: list[WantedWorkers] = field(default_factory=list)
    relieved: list[str] = field(default_factory=list)
    gateways: tuple[int, ...] = ()
    asked: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, wanted: WantedWorkers) -> NodeStatus:
        """See `ports.Node`."""
        self._reach()
        newest = self.applied[-1].epoch if self.applied else 0
        if wanted.epoch < newest:
            raise stale("apply", "node", wanted.epoch, newest)
        self.applied.append(wanted)
        self.workers = set(wanted.slots)
        return self._status()

    async def status(self) -> NodeStatus:
        """See `ports.Node`."""
        self.asked += 1
        self._reach()
        return self._status()

    async def changed(self) -> None:
        """See `ports.Node`."""
        self._reach()
        await self._changed.wait()
        self._changed.clear()

    def tell(self) -> None:
        """Something has become of a process."""
        self._changed.set()

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """See `ports.Node`."""
        self._reach()
        self.jobs.setdefault(job, JobStatus(job, 1, None, 0.0))
        self.argv.setdefault(job, tuple(argv))

    async def relieve(self, worker: str) -> None:
        """See `ports.Node`."""
        self._reach()
        self.relieved.append(worker)

    def end_job(self, job: str, exit_code: int) -> None:
        """Let a job end."""
        self.jobs[job] = JobStatus(job, 1, exit_code, 0.0)

    def _status(self) -> NodeStatus:
        workers = tuple(self._worker(slot) for slot in sorted(self.workers))
        return NodeStatus(workers, tuple(self.jobs.values()), self.gateways)

    def _worker(self, slot: WorkerSlot) -> WorkerStatus:
        if slot.release in self.failing:
            code, error = self.failing[slot.release]
            return WorkerStatus(slot, "failed", restarts=3, code=code, error=error)
        return WorkerStatus(slot, "starting" if slot.release in self.slow else "ready", pid=1)

    def _reach(self) -> None:
        if not self.reachable:
            raise errors.Unavailable(
                errors.AGENT_GONE, "reach", "node agent", "it does not answer", hint="trimtab up"
            )


class MemoryNotifier:
    """`ports.Notifier` that keeps the messages by key, in order."""

    def __init__(self) -> None:
        self.sent: dict[str, Incident] = {}

    def notify(self, key: str, incident: Incident) -> None:
        """See `ports.Notifier`."""
        self.sent.setdefault(key, incident)


@dataclass
class MemoryHost:
    """`ports.Host` that says what it is told; `used` are the processes that live."""

    status: HostStatus | None = None
    used: dict[int, float] = field(default_factory=dict)

    def look(self, pids: Iterable[int]) -> HostStatus | None:
        """See `ports.Host`."""
        if self.status is None:
            return None
        used = {pid: self.used[pid] for pid in pids if pid in self.used}
        return msgspec.structs.replace(self.status, cpu_seconds=used)


class VirtualClock:
    """`ports.Clock` whose time passes only in `advance`; sleepers wake in order, at their time."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """See `ports.Clock`."""
        return self._now

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let every task run until it waits again after each wake-up."""
        until = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._now = until


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
