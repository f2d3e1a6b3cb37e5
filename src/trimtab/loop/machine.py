"""What the machine has left, and how much of it workers and gateways use, by the minute."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trimtab.domain.names import Digest
from trimtab.domain.processes import HostStatus, NodeStatus
from trimtab.judge.reports import Resources
from trimtab.judge.scale.service import RECENT
from trimtab.judge.strain import lacks, share, starved
from trimtab.ports.host import Host

EVERY = 1.0
"""Seconds between two looks at processes."""
FEWEST_SECONDS = 2.0
"""Worker seconds within the minute from which the share that was computed is told."""
FEWEST_CALLS = 200.0
MINUTE = 60.0
SIZES = 30
"""Minutes of which the size of the workers is kept."""
REMEMBERED = 3900.0
"""Seconds for which it is told that the machine lacked something: a block of evidence, and some."""


@dataclass
class Used:
    """Processor time of some processes over the last minute."""

    total: float = 0.0
    _last: dict[int, float] = field(default_factory=dict)
    _points: deque[tuple[float, float]] = field(default_factory=deque)

    def take(self, used: Mapping[int, float], now: float) -> None:
        """Add what each process used since the last time; a new one counts from now on."""
        self.total += sum(
            max(0.0, seconds - self._last[pid])
            for pid, seconds in used.items()
            if pid in self._last
        )
        self._last = dict(used)
        self._points.append((now, self.total))
        while self._points[0][0] < now - RECENT:
            self._points.popleft()

    @property
    def recent(self) -> float | None:
        """Seconds over the last minute; None before a whole minute was watched."""
        (first, before), (last, after) = self._points[0], self._points[-1]
        return after - before if last - first > RECENT - 2.0 * EVERY else None


@dataclass
class Sizes:
    """The size of a release's largest worker in each minute."""

    minutes: deque[int] = field(default_factory=lambda: deque(maxlen=SIZES))
    _at: float = -MINUTE

    def take(self, size: int, now: float) -> None:
        """The size now; it counts once a minute."""
        if now - self._at >= MINUTE:
            self._at = now
            self.minutes.append(size)


@dataclass
class Waits:
    """The share of each minute's work that a release's workers waited for a processor."""

    minutes: deque[float] = field(default_factory=lambda: deque(maxlen=SIZES))
    _at: float = -MINUTE

    def take(self, waited: float | None, worked: float | None, now: float) -> None:
        """Seconds of the last minute, None before one was watched; they count once a minute."""
        if waited is not None and worked is not None and now - self._at >= MINUTE:
            self._at = now
            self.minutes.append(share(waited, worked))


class Machine:
    """Looks at the host about once a second."""

    def __init__(self, host: Host) -> None:
        self.host: HostStatus | None = None
        self.node = NodeStatus(())
        self._host = host
        self._looked_at = -EVERY
        self._releases: dict[Digest, Used] = {}
        self._waits: dict[Digest, Used] = {}
        self._sizes: dict[Digest, Sizes] = {}
        self._starving: dict[Digest, Waits] = {}
        self._gateways = Used()
        self._lacked: dict[str, tuple[float, str]] = {}

    def look(self, node: NodeStatus, now: float) -> None:
        """Look again, if it is time; `now` is monotonic seconds."""
        self.node = node
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        # Workers of the batch lane wait for processors by design, and answer no demand.
        served = (worker for worker in node.workers if worker.slot.lane == "realtime")
        workers = [(worker.slot.release, worker.pid) for worker in served if worker.pid is not None]
        self.host = self._host.look([*(pid for _, pid in workers), *node.gateways])
        if self.host is None:
            return
        self._lacked |= {kind: (now, text) for kind, text in lacks(self.host).items()}
        self._lacked = {k: told for k, told in self._lacked.items() if now - told[0] < REMEMBERED}
        for release in {release for release, _ in workers}:
            pids = [pid for of, pid in workers if of == release]
            self._releases.setdefault(release, Used()).take(self._of(pids), now)
            waited = {pid: s for pid, s in self.host.waited_seconds.items() if pid in pids}
            self._waits.setdefault(release, Used()).take(waited, now)
            self._sizes.setdefault(release, Sizes()).take(self.rss(release), now)
            recent = self._waits[release].recent, self._releases[release].recent
            self._starving.setdefault(release, Waits()).take(*recent, now)
        for release in self._releases.keys() - {release for release, _ in workers}:
            del self._releases[release], self._waits[release], self._sizes[release]
            del self._starving[release]
        self._gateways.take(self._of(node.gateways), now)

    def _of(self, pids: Iterable[int]) -> dict[int, float]:
        used = self.host.cpu_seconds if self.host else {}
        return {pid: used[pid] for pid in pids if pid in used}

    @property
    def pressure(self) -> tuple[str, ...] | None:
        """What the machine lacked lately, in words; None where that is not known."""
        return None if self.host is None else tuple(text for _, text in self._lacked.values())

    def strain(self, release: Digest) -> tuple[str, ...]:
        """What the workers of a release lacked in the last minute, in words."""
        if release not in self._releases:
            return ()
        worked, waited = self._releases[release].recent, self._waits[release].recent
        return () if worked is None or waited is None else starved(waited, worked)

    def resources(self, release: Digest, limit: int | None) -> Resources:
        """What the workers of a release use; `limit` is the memory that one of them may have."""
        workers = sum(worker.slot.release == release for worker in self.node.workers)
        free = None if self.host is None else self.host.free_bytes / max(workers, 1)
        if release not in self._releases:
            return Resources(limit=limit, free=free)
        sizes, waits = self._sizes[release].minutes, self._starving[release].minutes
        return Resources(tuple(sizes), tuple(waits), limit, free)

    def rss(self, release: Digest) -> int:
        """Bytes of the release's largest worker; 0 without one."""
        return max((w.rss_bytes for w in self.node.workers if w.slot.release == release), default=0)

    def starts(self, release: Digest) -> float:
        """Seconds that the release's slowest worker for all lanes took to start; 0.0 without."""
        slots = ((w.slot, w.started_seconds) for w in self.node.workers)
        of = (release, "realtime")
        return max((s for slot, s in slots if (slot.release, slot.lane) == of), default=0.0)

    def busy(self, release: Digest, worked: float) -> float | None:
        """The share of `worked` seconds of the last minute that its workers computed."""
        used = self._releases.get(release)
        recent = used.recent if used else None
        if recent is None or worked < FEWEST_SECONDS:
            return None
        return min(1.0, recent / worked)

    def gateway_seconds(self, calls: float) -> float | None:
        """Processor time of the gateways for each of the `calls` of the last minute."""
        recent = self._gateways.recent if self.host else None
        return recent / calls if recent is not None and calls >= FEWEST_CALLS else None
