"""By how much a host's clock is ahead of the time that has passed.

A clock is set, a machine wakes up: the host's time leaps, and whoever waits has waited no longer.
Labels that are awaited for a day had no day to come.
"""

from dataclasses import dataclass, field

LEAP = 60.0
"""Seconds by which a clock may gain on the time that passes. Less than that it is set by now and
then, and no label is given up for it."""


@dataclass(slots=True)
class Leaps:
    """Leaps of a clock forward, in seconds, each by the monotonic time when it was seen.

    A leap back takes back the newest ones first.
    """

    seen: list[tuple[float, float]] = field(default_factory=list)
    last: tuple[float, float] | None = None

    def look(self, now: float, monotonic: float, within: float) -> float:
        """Seconds by which the clock is ahead at `now` because of leaps within the last so many
        seconds of `monotonic` time; what leapt before that has had its time since."""
        if self.last is not None:
            leapt = (now - self.last[0]) - (monotonic - self.last[1])
            if leapt > LEAP:
                self.seen.append((monotonic, leapt))
            elif leapt < -LEAP:
                self._take_back(-leapt)
        self.last = now, monotonic
        self.seen = [(at, leapt) for at, leapt in self.seen if monotonic - at < within]
        return sum(leapt for _, leapt in self.seen)

    def _take_back(self, seconds: float) -> None:
        while self.seen and seconds > 0.0:
            at, leapt = self.seen.pop()
            if leapt > seconds:
                self.seen.append((at, leapt - seconds))
            seconds -= leapt
