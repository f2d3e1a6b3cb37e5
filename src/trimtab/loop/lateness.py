"""How late requests are judged, and whether ever later.

The control loop yields to answers. Under load it may read the log more slowly than it is written,
and after a stop it has to catch up: both look the same at one moment, and call for opposite things.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from trimtab.domain.records import Rows
from trimtab.views.shapes import Trend

OVER_SECONDS = 5.0
"""What was read so long ago at least is compared with what is read now."""
STEADY = 0.1
"""Seconds by which lateness may change in a second and still be called the same: segments of
several gateways come in turn, and are not equally old."""


@dataclass(slots=True)
class Lateness:
    """How old the newest request of those read last was, in `seconds` since its answer; 0 once
    nothing is left to read. Times are of the host's clock, `began` is when reading began."""

    began: float
    seconds: float = 0.0
    _newest: float = 0.0
    _seen: deque[tuple[float, float]] = field(default_factory=deque)

    def read(self, rows: Rows, now: float) -> None:
        """A segment was read at `now`."""
        if not len(rows):
            return
        took = np.nan_to_num(rows.fixed["total_seconds"].astype(np.float64))
        self._newest = float((rows.fixed["received_at"] + took).max())
        self.seconds = max(now - self._newest, 0.0)
        self._seen.append((now, self.seconds))
        while len(self._seen) > 1 and self._seen[1][0] <= now - OVER_SECONDS:
            self._seen.popleft()

    def caught_up(self) -> None:
        """Nothing is left to read."""
        self.seconds = 0.0
        self._seen.clear()

    @property
    def trend(self) -> Trend:
        """What becomes of the lateness: `stopped` while it is that of what came before reading
        began, `""` while it stays the same or is not known long enough."""
        if not self.seconds:
            return ""
        if self._newest < self.began:
            return "stopped"
        (first, then), (last, now) = self._seen[0], self._seen[-1]
        passed = last - first
        if passed < OVER_SECONDS or abs(now - then) <= STEADY * passed:
            return ""
        return "growing" if now > then else "shrinking"
