"""Demand: the calls of a deployment by the time of their arrival, and what they say of the near
future. All times are epoch seconds of the host.

Calls are logged when they end, so the newest arrivals are not known yet; under overload these are
many. Rates are therefore taken up to the newest arrival that is known, not up to now.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats
from trimtab.judge.scale.ring import Ring

SLOT = 0.5
SLOTS = 8192
HISTORY = 3600.0
"""Seconds of arrivals that are kept by half second."""
MINUTES = 25 * 60
DAY = 86_400.0

SURE = ((1.0, 4.0), (2.0, 3.0), (8.0, 2.0), (30.0, 1.0))
"""Windows in seconds, and how many standard errors are taken off the rate in each: a short window
speaks only of what is beyond chance."""
LONGEST = SURE[-1][0]
CALM = 30.0
"""The window, in seconds, of the rate that must have fallen before workers go."""
READ_LATE = 2.0
"""Within so many seconds a call is usually read."""
TREND = 60.0
STEEPEST = 1.5
"""A forecast is at most so many times the present rate..."""
YESTERDAY = 3.0
"""...and this, when the same minutes of the day before rose by as much."""
COUNTED = 30
"""Calls in a minute of yesterday from which a ratio may be formed."""


class SavedArrivals(msgspec.Struct, frozen=True):
    """What outlives a restart: calls by minute, the last of which is number `minute`."""

    minute: int = 0
    calls: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """Calls per second. `level` is the rate now, `coming` the forecast, and `peak` the highest
    mean over half a minute within the patience. `known` is for how many seconds calls were
    counted, `last` when the last one was seen to have ended, 0.0 before any. `busiest` is the
    rate of the busiest minute of the last day, None before any. `basis` is what the forecast
    rests on."""

    level: float = 0.0
    coming: float = 0.0
    peak: float = 0.0
    known: float = 0.0
    last: float = 0.0
    busiest: float | None = None
    basis: str = "now"

    def plus(self, other: "Demand") -> "Demand":
        """The demand of two deployments that share their workers."""
        rates = [rate for rate in (self.busiest, other.busiest) if rate is not None]
        return Demand(
            level=self.level + other.level,
            coming=self.coming + other.coming,
            peak=self.peak + other.peak,
            known=min(self.known, other.known),
            last=max(self.last, other.last),
            busiest=sum(rates) if rates else None,
            basis=self.basis if self.coming >= other.coming else other.basis,
        )


class Arrivals:
    """Counts calls. `since` is when counting began: before that nothing is known."""

    def __init__(self, since: float) -> None:
        self.since = since
        self._newest = 0.0
        self._last = 0.0
        self._delay = 0.0
        self._seen_at = since
        self._slots = Ring(SLOT, SLOTS)
        self._minutes = Ring(60.0, MINUTES)

    def count(self, received: Floats, answered: NDArray[np.bool_], now: float) -> None:
        """Count calls that arrived at `received` and whose end is read now. What is from the future
        is left out.

        Calls are answered about in the order they came, so up to the newest that was `answered`
        all are known; one that was turned away tells nothing of those that still wait. What came
        before counting began, and waited in the log while nobody read it, is no present demand."""
        self.since = min(self.since, now)
        past = received <= now + 1.0
        present = past & (received >= self.since - READ_LATE)
        lately, served = received[present], received[present & answered]
        received = received[past]
        if len(served):
            newest = float(served.max())
            self._newest = max(self._newest, newest)
            fading = 0.5 ** max(0.0, now - self._seen_at)
            self._delay = max(now - newest, self._delay * fading)
            self._seen_at = now
        if len(received):
            self.touch(now)
        for ring, calls in ((self._slots, lately), (self._minutes, received)):
            ring.turn(now)
            ring.add(calls)

    def touch(self, now: float) -> None:
        """Something was asked that is no demand, and nevertheless keeps the deployment awake."""
        self._last = now

    def demand(self, now: float, lead: float, patience: float) -> Demand:
        """What is known at `now`; the forecast looks `lead` seconds ahead."""
        self._slots.turn(now)
        self._minutes.turn(now)
        head = self._head(now)
        level = self._level(head)
        steep, said = self._steep(head, lead)
        daily = self._daily(now)
        steep = min(steep, STEEPEST)
        factor, basis = (daily, "yesterday") if daily > steep else (steep, said)
        return Demand(
            level=level,
            coming=level * factor,
            peak=self._peak(head, patience),
            known=now - self.since,
            last=self._last,
            busiest=self._busiest(now),
            basis=basis,
        )

    def _head(self, now: float) -> float:
        """Up to when arrivals are known: to the newest, unless it is so old that calls ceased."""
        usual = 1.0 + 2.0 * self._delay
        # A clock that has gone back knows of calls that have not come yet.
        newest = min(self._newest, now)
        return newest if now - newest <= usual else now - self._delay

    def _level(self, head: float) -> float:
        rates = []
        part = head % SLOT
        longest = self._slots.before(head, LONGEST)
        for window, errors in SURE:
            counted = float(longest[-int(window / SLOT) :].sum())
            span = min(window - SLOT + part, max(head - self.since, SLOT))
            rates.append((counted - errors * math.sqrt(counted)) / span)
        return max(0.0, *rates)

    def _steep(self, head: float, lead: float) -> tuple[float, str]:
        """How many times the present rate is to be expected, if the last minute rises in a line
        that is beyond chance."""
        whole = self._slots.before(head - SLOT, TREND)
        counts = whole[: len(whole) // 10 * 10].reshape(-1, 10).sum(axis=1) / 5.0
        if len(counts) < 6 or head - self.since < TREND:
            return 1.0, "now"
        at = (np.arange(len(counts)) - (len(counts) - 1) / 2.0) * 5.0
        mean, width = float(counts.mean()), float(at @ at)
        slope = float(at @ counts) / width
        left = counts - mean - slope * at
        noise = max(float(left @ left) / (len(counts) - 2), mean / 5.0)
        if mean == 0.0 or slope < 3.0 * math.sqrt(noise / width):
            return 1.0, "now"
        present = mean + slope * float(at[-1])
        return 1.0 + slope * lead / present, "trend"

    def _daily(self, now: float) -> float:
        """How many times more calls came in the next five minutes of yesterday than in the five
        before them."""
        yesterday = now - DAY
        before = self._minutes.before(yesterday - 60.0, 300.0)
        after = self._minutes.before(yesterday + 240.0, 300.0)
        if before.min() < COUNTED:
            return 1.0
        return min(YESTERDAY, max(1.0, float(after.max()) / float(before.mean())))

    def _peak(self, head: float, patience: float) -> float:
        """The highest mean over `CALM` seconds within the patience."""
        counts = self._slots.before(head, min(patience, HISTORY) + CALM)
        size = min(int(CALM / SLOT), len(counts))
        sums = np.cumsum(np.concatenate(([0], counts)))
        return float((sums[size:] - sums[:-size]).max()) / (size * SLOT)

    def _busiest(self, now: float) -> float | None:
        """Of the whole minutes of the last day."""
        most = float(self._minutes.before(now - 60.0, DAY).max())
        return most / 60.0 if most else None

    def dump(self) -> SavedArrivals:
        """What is worth keeping over a restart."""
        return SavedArrivals(*self._minutes.dump())

    @classmethod
    def load(cls, saved: SavedArrivals, now: float) -> "Arrivals":
        """Go on from a dump, as one who has counted since `now` only."""
        made = cls(since=now)
        made._minutes.load(saved.minute, saved.calls)
        return made
