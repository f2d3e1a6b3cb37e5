"""What the processes of one machine counted, together: each leaves its count in a file.

Whoever is asked for metrics adds the counts of the other gateways to its own, what the agent says
of the processes and the controller of incidents. A gateway that is started again goes on from its
file, so that no counter falls.
"""

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path

import msgspec

from trimtab.domain import layout, telemetry
from trimtab.domain.counts import Count
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter

KEPT_SECONDS = 60.0
"""A count that is older is of an earlier run, and means nothing any more."""

Look = Callable[[], Coroutine[None, None, None]]
"""Reads what others left; see `Peers.look`."""


class Peers:
    """The counts of the other processes, and the file of this one's. Paths are relative.

    `names` are those of the releases by digest, which is all that the agent knows of them. `look`
    is what makes the counts of a meter those of all.
    """

    def __init__(
        self,
        index: int,
        meter: Meter,
        disk: Disk,
        log: Log,
        names: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._path = Path(layout.gateway_count(index))
        self._meter = meter
        self._disk = disk
        self._log = log
        self._names = names
        self._unreadable = 0
        meter.gauge(telemetry.LOG_UNREADABLE, lambda: [((), self._unreadable)])

    async def go_on(self) -> None:
        """Take over what the process before this one had counted."""
        count = await self._disk.do(partial(self._read, self._path))
        if count is not None:
            self._meter.go_on(count)

    async def leave(self) -> None:
        """Write what was counted so far."""
        count = msgspec.msgpack.encode(self._meter.so_far())
        try:
            await self._disk.do(partial(self._write, count))
        except OSError as error:
            self._log.error("count.failed", error=str(error))

    async def look(self) -> None:
        """Read what the others left, and how many spools were set aside."""
        self._meter.others = await self._disk.do(self._counts)
        self._unreadable = await self._disk.do(_unreadable_spools)

    def _write(self, count: bytes) -> None:
        unfinished = self._path.with_suffix(".tmp")
        unfinished.write_bytes(count)
        unfinished.replace(self._path)

    def _counts(self) -> tuple[Count, ...]:
        """The last counts of the other processes; gauges only of those that still write."""
        paths = sorted(self._path.parent.glob(layout.GATEWAY_COUNTS))
        found = [self._read(path) for path in paths if path != self._path]
        found.append(self._read(Path(layout.CONTROLLER_COUNT)))
        agent = self._read(Path(layout.AGENT_COUNT))
        if agent is not None:
            found.append(agent.with_names(self._names()))
        return tuple(count for count in found if count is not None)

    def _read(self, path: Path) -> Count | None:
        try:
            age = time.time() - path.stat().st_mtime
            if age > KEPT_SECONDS:
                return None
            count = msgspec.msgpack.decode(path.read_bytes(), type=Count)
            return (
                count
                if age < count.lasts
                else Count(count.counters, count.histograms, since=count.since)
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._log.error("count.unreadable", path=str(path), error=str(error))
            return None


def _unreadable_spools() -> int:
    return sum(1 for _ in Path(layout.SPOOL).glob(f"*{layout.UNREADABLE}"))
