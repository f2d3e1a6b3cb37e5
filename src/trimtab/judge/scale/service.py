"""What a release's workers did: what batches cost, how long calls waited, how many came late."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats
from trimtab.judge.scale.cost import Cost, fit
from trimtab.judge.scale.ring import Ring

SLOT, SLOTS = 0.5, 256
HISTORY = 3600.0
RECENT = 60.0
"""Seconds over which the mean cost of a call is taken."""
NOW = 2.0
"""Seconds over which the present wait is taken."""
ALARM, FEWEST_LATE = 4.0, 3
"""Pressure is that many late calls, and more than the objective allows, in so many seconds."""
SAMPLES, FRESH = 256, 600.0
"""Batches of like size (powers of two) that tell what one costs, and for how many seconds."""
FIRST, RATIO, BINS = 1e-4, 1.25, 64
"""Histogram of seconds in the queue: bin k ends at FIRST · RATIO^k."""
SPAN, SPANS = 10.0, 512

CALLS, LATE, QUEUED, ROWS = range(4)


@dataclass(frozen=True, slots=True)
class Ended:
    """Calls that ended, as equally long columns: when (epoch seconds), rows, seconds in the queue
    and in total. `late` are those that came later than promised because they waited, or not at
    all; what was not answered has NaN for its seconds."""

    at: Floats
    rows: Floats
    queue: Floats
    total: Floats
    late: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches that ended, as equally long columns: when, rows, and seconds of their worker."""

    at: Floats
    rows: Floats
    seconds: Floats


@dataclass(frozen=True, slots=True)
class Work:
    """How a release does. `seconds` is a worker's time per call at the present sizes of batches,
    None before any call; `cost` is None before it can be fitted. `waiting` is the mean time in the
    queue now; `queue` and `longest` are the objective's quantile of it, of the last seconds and of
    the patience, None without a call. `pressed` says that too many calls are late;
    `calm` is for how many seconds none was. `calls` and `worked`, a worker's seconds, are those of
    the last minute."""

    seconds: float | None = None
    cost: Cost | None = None
    waiting: float = 0.0
    queue: float | None = None
    longest: float | None = None
    pressed: bool = False
    calm: float = math.inf
    calls: float = 0.0
    worked: float = 0.0


class SavedService(msgspec.Struct, frozen=True):
    """What outlives a restart: ends, sizes and seconds of some batches, and the rows of a call."""

    batches: tuple[tuple[float, float, float], ...] = ()
    rows: float = 1.0


class Service:
    """Counts what a release's workers did."""

    def __init__(self, saved: SavedService | None = None) -> None:
        self._sums = Ring(SLOT, SLOTS, (4,))
        self._worked = Ring(SLOT, SLOTS)
        self._queue = Ring(SPAN, SPANS, (BINS,))
        self._batches: NDArray[np.float64] = np.empty((0, 3))
        self._rows = 1.0
        self._late_at = -math.inf
        self._cost: Cost | None = None
        if saved is not None and saved.batches:
            self._batches = np.array(saved.batches)
            self._rows = saved.rows

    def count(self, ended: Ended, batches: Batches, now: float) -> None:
        """Count what ended."""
        for ring in (self._sums, self._worked, self._queue):
            ring.turn(now)
        at = np.minimum(ended.at, now)
        answered = np.isfinite(ended.total)
        sums = (answered, ended.late, np.nan_to_num(ended.queue), ended.rows * answered)
        self._sums.add(at, np.column_stack(sums), np.arange(len(sums)))
        worked = np.minimum(batches.at, now)
        self._worked.add(worked, batches.seconds[:, None])
        self._queue.add(at[answered], where=_bins(ended.queue[answered])[:, None])
        if ended.late.any():
            self._late_at = max(self._late_at, float(at[ended.late].max()))
        fresh = np.column_stack((worked, batches.rows, batches.seconds))
        self._batches = _kept(np.concatenate((self._batches, fresh)), now)
        self._cost = None

    def work(self, now: float, quantile: float, patience: float) -> Work:
        """How the release does at `now`."""
        for ring in (self._sums, self._worked, self._queue):
            ring.turn(now)
        sums = self._sums.before(now, RECENT).sum(axis=0)
        calls = float(sums[CALLS])
        if calls:
            self._rows = max(1.0, float(sums[ROWS]) / calls)
        if self._cost is None:
            self._cost = fit(self._batches[:, 1], self._batches[:, 2], self._rows)
        recent = self._sums.before(now, NOW).sum(axis=0)
        worked = float(self._worked.before(now, RECENT).sum())
        return Work(
            seconds=worked / calls if calls else None,
            cost=self._cost,
            waiting=float(recent[QUEUED] / recent[CALLS]) if recent[CALLS] else 0.0,
            queue=self._quantile(now, SPAN * 2, quantile),
            longest=self._quantile(now, min(patience, HISTORY), quantile),
            pressed=self._pressed(now, quantile),
            calm=now - self._late_at,
            calls=calls,
            worked=worked,
        )

    def _pressed(self, now: float, quantile: float) -> bool:
        sums = self._sums.before(now, ALARM).sum(axis=0)
        late, calls = float(sums[LATE]), float(sums[CALLS])
        return late >= FEWEST_LATE and late > 2.0 * (1.0 - quantile) * calls

    def _quantile(self, now: float, window: float, quantile: float) -> float | None:
        counts = self._queue.before(now, window).sum(axis=0)
        below = np.cumsum(counts)
        if not below[-1]:
            return None
        return FIRST * RATIO ** int(np.searchsorted(below, quantile * below[-1]))

    def dump(self) -> SavedService:
        """What is worth keeping over a restart."""
        return SavedService(tuple(map(tuple, self._batches[::8].tolist())), self._rows)


def _kept(batches: NDArray[np.float64], now: float) -> NDArray[np.float64]:
    """The newest of each size: batches of all sizes are needed to tell the rows' part."""
    batches = batches[batches[:, 0] > now - FRESH]
    size = np.floor(np.log2(np.maximum(batches[:, 1], 1.0)))
    return np.concatenate(
        [batches[:0], *(batches[size == each][-SAMPLES:] for each in np.unique(size))]
    )


def _bins(seconds: Floats) -> NDArray[np.int64]:
    bins = np.ceil(np.log(np.maximum(seconds, FIRST) / FIRST) / math.log(RATIO))
    return np.minimum(bins, BINS - 1).astype(np.int64)
