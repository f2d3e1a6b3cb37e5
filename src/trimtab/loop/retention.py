"""From which day on the log is kept, by a host's clock that may be wrong.

A clock that leaps into another year would have everything deleted within a minute. A leap of a day
or more is believed once the clock has stood by it for an hour.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

DAY = 86_400.0
LEAP = DAY
"""Seconds by which a clock may be ahead of what is known otherwise and be believed at once."""
STEADY = 3600.0
"""Seconds after which a clock that leapt is believed."""


@dataclass(slots=True)
class Retention:
    """What may be deleted of a log that is kept for so many days.

    `newest` is the newest day that the log has when the process starts, None of an empty one: a
    clock that is far ahead of it stood still with the system, or is wrong.
    """

    days: int
    newest: date | None = None
    _believed_at: float | None = None
    _last: tuple[float, float] | None = None

    def before(self, now: float, monotonic: float) -> date | None:
        """The day before which the log is deleted at `now` (epoch seconds); None as long as the
        clock is not believed, for it leapt. `monotonic` in seconds, as of `ports.Clock`."""
        leapt, self._last = self._leapt(now, monotonic), (now, monotonic)
        if leapt > LEAP:
            self._believed_at = monotonic + STEADY
        elif leapt < -LEAP:
            self._believed_at = None
        if self._believed_at is not None and monotonic < self._believed_at:
            return None
        return oldest_kept(datetime.fromtimestamp(now, UTC).date(), self.days)

    def _leapt(self, now: float, monotonic: float) -> float:
        if self._last is not None:
            return (now - self._last[0]) - (monotonic - self._last[1])
        if self.newest is None:
            return 0.0
        return (datetime.fromtimestamp(now, UTC).date() - self.newest).days * DAY

    @property
    def waits(self) -> bool:
        """Whether the clock is not believed yet."""
        last, believed = self._last, self._believed_at
        return last is not None and believed is not None and last[1] < believed


def oldest_kept(today: date, days: int) -> date:
    """The day before which the log is deleted; what is kept longer than there are dates is kept."""
    return date.fromordinal(max(1, today.toordinal() - days))
