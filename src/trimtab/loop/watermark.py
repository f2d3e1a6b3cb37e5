"""The clock of a deployment that runs on event time."""

import msgspec
import numpy as np

from trimtab.domain.records import Floats, Rows, Texts

JUMP_SECONDS = 86_400.0
"""How far one request alone may carry the clock."""


class Watermark(msgspec.Struct, frozen=True):
    """The newest believable event time, epoch seconds; 0.0 before the first row.

    It never goes back. Beyond `JUMP_SECONDS` it needs a second request: `suspect` is the event
    time of the one that came alone.
    """

    value: float = 0.0
    suspect: float | None = None

    def after(self, final: Rows) -> "Watermark":
        """The watermark once a segment's final rows were read."""
        final = final.take(np.isfinite(final.fixed["event_time"]))
        if not len(final):
            return self
        times = final.fixed["event_time"]
        near = times <= believable(times)
        newest = float(times[near].max())
        if newest <= self.value + JUMP_SECONDS:
            return Watermark(max(self.value, newest), self.suspect)
        return self._jumped(times[near], final.fixed["request_id"][near])

    def _jumped(self, times: Floats, requests: Texts) -> "Watermark":
        """Some rows are far ahead: go as far as two requests agree."""
        far = times > self.value + JUMP_SECONDS
        newest_of: dict[str, float] = {}
        for request, time in zip(requests[far], times[far].tolist(), strict=True):
            newest_of[request] = max(time, newest_of.get(request, time))
        agreed = sorted(newest_of.values(), reverse=True)
        if len(agreed) >= 2:
            return Watermark(agreed[1])
        near = times[~far]
        value = max(self.value, float(near.max())) if len(near) else self.value
        if self.suspect is not None and self.suspect > value + JUMP_SECONDS:
            return Watermark(min(agreed[0], self.suspect), agreed[0])
        return Watermark(value, agreed[0])


def believable(times: Floats) -> float:
    """Up to when the times of a segment's rows are believed, at least one of them."""
    newest = float(times.max())
    # Where they lie together, the median need not be known.
    return (
        newest if newest - times.min() <= JUMP_SECONDS else float(np.median(times)) + JUMP_SECONDS
    )
