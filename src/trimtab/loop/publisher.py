"""The routing snapshot on disk, and how far the gateways have followed it."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.domain.routing import RoutingSnapshot
from trimtab.judge.placement import Stamp
from trimtab.loop import files


class _GatewayFacts(msgspec.Struct, frozen=True):
    pid: int
    version: int = 0
    epoch: int = 0


class Publisher:
    """Writes `run/routing.json` when it changes, under a version that only grows.

    After a restart it goes on from the newest version that the file or any gateway knows, and from
    the file's epoch: a journal that was restored from a backup counts leaders from an earlier one,
    and gateways that know the file would take this one for a leader of the past."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / layout.ROUTING
        self.current: RoutingSnapshot | None = self._read()
        self._led = self.current.epoch if self.current else 0
        known = [facts.version for facts in self._gateways()]
        self._version = max([self.current.version if self.current else 0, *known])

    @property
    def version(self) -> int:
        """The version that gateways should be at."""
        return self._version

    def publish(self, make: Callable[[Stamp], RoutingSnapshot], epoch: int) -> bool:
        """Write what `make` gives unless only its version would differ. Raises `OSError`."""
        fresh = make(Stamp(self._version + 1, max(epoch, self._led)))
        if self.current is not None and _same(fresh, self.current):
            return False
        files.replace(self._path, msgspec.json.encode(fresh))
        self.current, self._version = fresh, fresh.version
        return True

    def acknowledged(self, pids: tuple[int, ...]) -> int:
        """The lowest version that a living gateway routes by.

        `pids` are the gateways the agent keeps alive; files that dead ones left do not count."""
        at = {facts.pid: facts.version for facts in self._gateways()}
        return min((at.get(pid, 0) for pid in pids), default=self._version)

    def _gateways(self) -> list[_GatewayFacts]:
        found = []
        for path in sorted(self._home.glob("run/gateway-*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=_GatewayFacts))
            except (OSError, ValueError):
                continue
        return found

    def _read(self) -> RoutingSnapshot | None:
        data = files.read(self._path)
        try:
            return msgspec.json.decode(data, type=RoutingSnapshot) if data else None
        except ValueError:
            return None


def _same(fresh: RoutingSnapshot, current: RoutingSnapshot) -> bool:
    return fresh == msgspec.structs.replace(current, version=fresh.version)
