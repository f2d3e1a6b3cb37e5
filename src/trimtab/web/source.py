"""The admin listener's look at the controller that lives in the same process."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from trimtab import errors
from trimtab.app.control import ControlRoom
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Release
from trimtab.domain.state import DeploymentState
from trimtab.judge.signals.family import Target
from trimtab.ports.journal import Past
from trimtab.views.seen import Blocks, Seen, TrafficCounts


class Counted(Mapping[str, TrafficCounts]):
    """Counts of deployments, each made when it is asked for and once: files are looked at."""

    def __init__(self, names: Iterable[str], count: Callable[[str], TrafficCounts]) -> None:
        self._names, self._count = frozenset(names), count
        self._counts: dict[str, TrafficCounts] = {}

    def __getitem__(self, name: str) -> TrafficCounts:
        """Those of one. Raises KeyError."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._counts:
            self._counts[name] = self._count(name)
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(sorted(self._names))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


class RoomSource:
    """`AdminSource` over a control room: what the last tick saw, and what the journal says."""

    def __init__(self, room: ControlRoom, home: Path) -> None:
        self._room, self._home = room, home
        self._cut: dict[tuple[Digest, float], Blocks] = {}

    def seen(self) -> Seen:
        """The recorded state with the reports that the last decision was made from."""
        controller = self._room.controller
        store, reports = controller.store, controller.seen
        return Seen(
            state=store.state,
            now=self._room.clock.now(),
            observed_at=controller.ticked_at,
            releases=store.releases,
            node=controller.health.status,
            guards={name: seen.guard for name, seen in reports.items() if seen.guard},
            verdicts={
                name: seen.monitors.verdicts for name, seen in reports.items() if seen.monitors
            },
            traffic=Counted(store.deployments, self._traffic),
            loads={name: seen.load for name, seen in reports.items() if seen.load},
            clocks={name: seen.clock for name, seen in reports.items() if seen.clock > 0},
            blocks={
                name: blocks
                for name, state in store.deployments.items()
                if (blocks := self._blocks(state)) is not None
            },
            routed=controller.routed,
            journal_broken=controller.audit.broken,
            free_bytes=shutil.disk_usage(self._home).free,
        )

    @property
    def past(self) -> Past:
        """The journal."""
        return self._room.controller.store.journal

    def find(self, ref: ReleaseRef) -> Release:
        """A registered release."""
        return self._room.controller.store.find(ref)

    def profile(self, release: Release) -> ReferenceProfile | None:
        """The reference profile of a release."""
        return self._room.controller.store.profile(release)

    def _blocks(self, state: DeploymentState) -> Blocks | None:
        """Those of the stable release; None without one, or where its profile cannot be read."""
        if state.stable is None:
            return None
        key = state.stable.digest, state.spec.monitor.block_seconds
        if key not in self._cut:
            release = self._room.controller.store.releases[state.stable.digest]
            try:
                profile = self.profile(release)
            except errors.TrimtabError:
                return None
            target = Target(state.spec, release.manifest.signature, profile, release.digest, 0.0)
            self._cut[key] = Blocks(target.block_seconds, target.timed, target.block_reason)
        return self._cut[key]

    def _traffic(self, name: str) -> TrafficCounts:
        observer = self._room.observer
        report = observer.traffic(name)
        return TrafficCounts(
            report.total,
            report.failed,
            report.rate_per_second,
            report.p50_seconds,
            report.p99_seconds,
            observer.behind(name),
            observer.unreadable(name),
            self._room.log.damaged(name),
            observer.trend(name),
        )
