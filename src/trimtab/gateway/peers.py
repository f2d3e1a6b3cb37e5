"""What the processes of one machine counted, together: each leaves its count in a file.

Whoever is asked for metrics adds the counts of the other gateways to its own, and what the agent
says of the processes. A gateway that is started again goes on from its file, so that no counter
falls.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.domain.counts import Count
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter

KEPT_SECONDS = 60.0
"""A count that is older is of an earlier run, and means nothing any more."""


class Peers:
    """The counts of the other processes, and the file of this one's. Paths are relative.

    `names` are those of the releases by digest, which is all that the agent knows of them.
    """

    def __init__(
        self, index: int, meter: Meter, log: Log, names: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        self._path = Path(layout.gateway_count(index))
        self._meter = meter
        self._log = log
        self._names = names
        meter.others = self.others

    def go_on(self) -> None:
        """Take over what the process before this one had counted."""
        count = self._read(self._path)
        if count is not None:
            self._meter.go_on(count)

    def leave(self) -> None:
        """Write what was counted so far."""
        unfinished = self._path.with_suffix(".tmp")
        try:
            unfinished.write_bytes(msgspec.msgpack.encode(self._meter.so_far()))
            unfinished.replace(self._path)
        except OSError as error:
            self._log.error("count.failed", error=str(error))

    def others(self) -> Iterator[Count]:
        """The last counts of the other processes; gauges only of those that still write."""
        for path in sorted(self._path.parent.glob(layout.GATEWAY_COUNTS)):
            count = None if path == self._path else self._read(path)
            if count is not None:
                yield count
        agent = self._read(Path(layout.AGENT_COUNT))
        if agent is not None:
            yield agent.with_names(self._names())

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
        except (OSError, msgspec.DecodeError) as error:
            self._log.error("count.unreadable", path=str(path), error=str(error))
            return None
