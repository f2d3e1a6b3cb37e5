"""What the gateways of one machine counted, together: each leaves its count in a file.

Whoever is asked for metrics adds the counts of the others to its own. A gateway that is started
again goes on from its file, so that no counter falls.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Count, Meter

FRESH_SECONDS = 5.0
"""Gauges of a count that is older are of a gateway that is gone."""
KEPT_SECONDS = 60.0
"""A count that is older is of an earlier run, and means nothing any more."""


class Peers:
    """The counts of the other gateways, and the file of this one's. Paths are relative."""

    def __init__(self, index: int, meter: Meter, log: Log) -> None:
        self._path = Path(layout.gateway_count(index))
        self._meter = meter
        self._log = log
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
        """The last counts of the other gateways; gauges only of those that still write."""
        for path in sorted(self._path.parent.glob(layout.GATEWAY_COUNTS)):
            count = None if path == self._path else self._read(path)
            if count is not None:
                yield count

    def _read(self, path: Path) -> Count | None:
        try:
            age = time.time() - path.stat().st_mtime
            if age > KEPT_SECONDS:
                return None
            count = msgspec.msgpack.decode(path.read_bytes(), type=Count)
            return count if age < FRESH_SECONDS else Count(count.counters, count.histograms, {})
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            self._log.error("count.unreadable", path=str(path), error=str(error))
            return None
