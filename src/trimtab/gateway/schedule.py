"""Which work of a release goes next, how much of it at once, and what is not worth admitting.

Pure: the time is an argument. Realtime goes before batch, and shadow copies last. What is not
realtime is cut into parts that keep a worker only for a bounded time, so that realtime work goes
between them. Reasons and measurements: docs/decisions/0018-batching-and-admission.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp

from trimtab.gateway.batch import Batch, Cut, slices
from trimtab.gateway.call import Call
from trimtab.gateway.cost import Cost
from trimtab.gateway.lane import Lane, Room

LANES = ("realtime", "batch", "shadow")
FIRST_ROWS = 64
"""Rows of a batch or part, unless one call has more, while nothing is known of their cost."""
RECENT_SECONDS = 1.0
"""How long after a realtime request room is kept for the next ones."""
SPARE_FROM = 4
"""With so many workers one is kept free of parts while realtime requests come: it costs the others
little. With fewer workers, parts are kept short instead.
"""
_CONFIDENCE = 0.85
"""Share of the time left that the expected wait and run may fill."""
_BATCH_SHARE = 1 / 3
"""Share of a call's time that its batch may run: one batch may be before it, and some may be slow.
"""
_LEAST_GROWTH = 1.25
"""Company that costs a call no more than this factor is always welcome."""
_LEAST_USEFUL = 0.6
"""Share of a part's time that goes to its rows and not to the fixed cost, however short it is."""
_LAG_KEPT = 0.5
"""Share of the gateway's lag that is still believed when it was shorter the next time."""
_BEHIND = 0.1
"""The gateway limits when an answer waits for it longer than this share of a batch's fixed cost."""
_GATHERED = 2.0
"""Fixed costs of a batch that gathering may take, when more arrives all the time."""
_MOST_REALTIME = 0.95
"""Share of the workers that realtime work is assumed to take at most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of queues (requests, rows, bytes) and of batches (requests, rows, seconds of a worker).

    A part of work that is not realtime takes about `part_seconds`, and where realtime requests
    wait for it, `short_part_seconds`.
    """

    queue: int = 1024
    queue_rows: int = 1_000_000
    queue_bytes: int = 256 * 1024 * 1024
    shadow_queue: int = 128
    batch_requests: int = 256
    batch_rows: int = 4096
    part_seconds: float = 0.005
    short_part_seconds: float = 0.002


class Shed(StrEnum):
    """Why work was not done, or not by this release."""

    FULL = "full"
    DEADLINE = "deadline"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    RETRIES = "retries"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not admitted, and in how many seconds it may be."""

    reason: Shed
    wait: float = 0.0


class Schedule:
    """The lanes of one release. `late` and `gone` collect what `next` passed over."""

    def __init__(self, limits: Limits) -> None:
        self.cost = Cost()
        self.lanes = {name: Lane(name, _room(limits, name)) for name in LANES}
        self.late: list[Call] = []
        self.gone: list[Call] = []
        self._limits = limits
        self._realtime, self._batch, self._shadow = self.lanes.values()
        self._running = 0
        self._ends = 0.0
        self._parts_out = 0
        self._realtime_at = -RECENT_SECONDS
        self._lag = self._waited = 0.0
        self._load = self._load_at = 0.0

    def __len__(self) -> int:
        """Calls that wait in any lane."""
        return self._realtime.requests + self._batch.requests + self._shadow.requests

    @property
    def waiting(self) -> bool:
        """Whether anything waits in any lane."""
        return len(self) > 0

    def refusal(self, call: Call, lane: str, now: float, workers: int) -> Refusal | None:
        """Why a call cannot be admitted; None when it can. `workers` are those that take work."""
        found = self.lanes[lane]
        if not found.fits(call):
            return Refusal(Shed.FULL)
        return self._hopeless(found, call.rows, call.due, now, workers)

    def turned_away(self, lane: str, due: float, now: float, workers: int) -> Refusal | None:
        """Why a call that is not read yet cannot be admitted, whatever it holds.

        While no more waits than fits into a batch few are refused: reading those costs less than
        asking for each.
        """
        found = self.lanes[lane]
        if found.requests < self._limits.batch_requests and not found.crowded:
            return None
        return Refusal(Shed.FULL) if found.crowded else self._hopeless(found, 1, due, now, workers)

    def _hopeless(
        self, lane: Lane, rows: int, due: float, now: float, workers: int
    ) -> Refusal | None:
        """A refusal when the deadline cannot be met.

        A call that finds its lane empty and a worker for it is tried whatever it is thought to
        cost, so that an estimate that is too high corrects itself.
        """
        if not self.cost.known or not workers or self._untried(lane, workers):
            return None
        left = due - now
        if lane is self._realtime and self._ample(rows, left * _CONFIDENCE, now):
            return None
        seconds = 2 * self._lag + self._finish(lane, rows, left, now, workers)
        return Refusal(Shed.DEADLINE, seconds) if seconds > left * _CONFIDENCE else None

    def lagged(self, seconds: float) -> None:
        """What is to be sent had to wait for the gateway itself, which is behind by so much.

        A call that comes then has waited about as long before it was read: it counts twice.
        """
        self._lag = max(seconds, self._lag * _LAG_KEPT)

    def gathers(self, since: float) -> bool:
        """Whether an idle worker is given work only after what has arrived is read.

        Where answers wait for the gateway, it is the gateway that limits, and workers are idle
        meanwhile: a batch that is larger by what waits in its sockets saves more than it delays.
        It is gathered while there is more to read, at most for the time of `_GATHERED` batches.
        """
        fixed = self.cost.fixed
        return (
            self.cost.known
            and self._waited > _BEHIND * fixed
            and since < _GATHERED * fixed
            and 0 < self._realtime.requests < self._limits.batch_requests
        )

    def answered(self, waited: float) -> None:
        """An answer lay in the gateway's socket for so many seconds before it was read."""
        self._waited = waited

    def add(self, call: Call, lane: str, now: float, *, first: bool = False) -> None:
        """Let a call wait; `first` before all others of its lane."""
        call.cut = None
        self.lanes[lane].add(call, first=first)
        if lane == "realtime":
            self._realtime_at = now

    def next(self, now: float, worker: str, workers: int, *, freed: bool) -> Batch | None:
        """What a worker gets, or None; `freed` when it was busy until now.

        `workers` are those that take work. What an idle worker is given is not held to be late.
        """
        batch = None
        if self._realtime.requests:
            batch = self._whole(self._realtime, self._realtime_rows(now), worker, now, freed)
        if batch is None and self._parts_allowed(now, workers):
            for lane in (self._batch, self._shadow):
                batch = batch or self._part(lane, now, worker, self._part_rows(now, workers), freed)
        return batch

    def sent(self, batch: Batch) -> None:
        """A batch went to a worker."""
        batch.ends_at = batch.sent_at + self.cost.seconds(batch.rows)
        self._ends += batch.ends_at
        self._running += 1
        self._parts_out += batch.lane != "realtime"

    def ended(self, batch: Batch) -> None:
        """The batch is not with its worker any more."""
        self._ends -= batch.ends_at
        self._running -= 1
        self._parts_out -= batch.lane != "realtime"

    def learn(self, batch: Batch, work: float, trip: float, now: float) -> None:
        """A batch was answered: `work` seconds in the worker, `trip` from sending to answering."""
        self.cost.learn(batch.rows, work, trip)
        if batch.lane == "realtime":
            self._decay(now)
            self._load += trip

    def _part(self, lane: Lane, now: float, worker: str, most: int, freed: bool) -> Batch | None:
        soonest = self._soonest(lane, most, now, freed)
        while (call := next(iter(lane), None)) is not None:
            if call.cancelled:
                self._pass_over(lane, call, self.gone)
            elif call.due < soonest:
                self._pass_over(lane, call, self.late)
            elif (call.cut or call.rows > most) and call.avoid != worker:
                return self._cut(lane, call, most)
            else:
                return self._whole(lane, most, worker, now, freed)
        return None

    def _cut(self, lane: Lane, call: Call, most: int) -> Batch:
        if call.cut is None:
            call.cut = Cut()
        cut = call.cut
        rows = slices(call.rows - cut.sent, most)
        batch = Batch.part(lane.name, call, cut, rows)
        if cut.sent + rows == call.rows:
            lane.remove(call)
        else:
            lane.sent_part(rows)
        cut.sent += rows
        return batch

    def _whole(self, lane: Lane, most: int, worker: str, now: float, freed: bool) -> Batch | None:
        """Calls from the front of a lane, as many as fit.

        Those that the batch would answer too late are passed over, rather than made a smaller batch
        for: under load that would cost the ones behind them more than it saves.
        """
        soonest = self._soonest(lane, most, now, freed)
        calls: list[Call] = []
        over: list[tuple[Call, list[Call]]] = []
        rows = 0
        company = self._limits.batch_requests
        reason = "freed" if freed else "idle"
        for call in lane:
            if call.cancelled:
                over.append((call, self.gone))
                continue
            if call.due < soonest:
                over.append((call, self.late))
                continue
            if call.avoid == worker or call.cut:
                continue
            if calls and (len(calls) >= call.company or rows + call.rows > most):
                reason = "full"
                break
            rows += call.rows
            calls.append(call)
            company = min(company, call.company)
            if len(calls) >= company:
                reason = "full"
                break
        for call, where in over:
            self._pass_over(lane, call, where)
        lane.remove_all(calls)
        return Batch(lane.name, reason, calls) if calls else None

    def _pass_over(self, lane: Lane, call: Call, where: list[Call]) -> None:
        lane.remove(call)
        where.append(call)

    def _realtime_rows(self, now: float) -> int:
        """Rows of the next realtime batch, by the time that its first call was given."""
        call = next(iter(self._realtime))
        return self._rows_in(call.due - call.queued_at)

    def _rows_in(self, given: float) -> int:
        """Rows of a batch of calls that are given so many seconds."""
        if not self.cost.known:
            return min(FIRST_ROWS, self._limits.batch_rows)
        seconds = max(given * _BATCH_SHARE, _LEAST_GROWTH * self.cost.seconds(1))
        return min(self._limits.batch_rows, self.cost.rows_within(seconds))

    def _soonest(self, lane: Lane, most: int, now: float, freed: bool) -> float:
        """When a batch of what waits, at most `most` rows, would be answered."""
        if not freed:
            return now
        return now + self.cost.seconds(min(lane.rows, most)) / _CONFIDENCE

    def _ample(self, rows: int, left: float, now: float) -> bool:
        """Whether a realtime call is in time even if nothing were batched, as most are."""
        lane = self._realtime
        ahead = max(self._ends - self._running * now, 0.0) + 2 * self._lag
        return ahead + self.cost.without_batching(lane.requests + 1, lane.rows + rows) < left

    def _untried(self, lane: Lane, workers: int) -> bool:
        if lane:
            return False
        return self._running < workers if lane is self._realtime else not self._parts_out

    def _finish(self, lane: Lane, rows: int, left: float, now: float, workers: int) -> float:
        """In how many seconds work that comes now to a lane would be answered."""
        seconds = max(self._ends - self._running * now, 0.0)
        if lane is self._realtime:
            return (seconds + self._drain_realtime(len(lane) + 1, lane.rows + rows, left)) / workers
        if self._realtime:
            seconds += self._drain_realtime(len(self._realtime), self._realtime.rows, left)
        if lane is self._shadow:
            seconds += self._drain_parts(self._batch.rows, self._part_rows(now, workers))
        seconds += self._drain_parts(lane.rows + rows, self._part_rows(now, workers))
        return seconds / workers / (1 - min(self._realtime_share(now, workers), _MOST_REALTIME))

    def _drain_realtime(self, requests: int, rows: int, left: float) -> float:
        whole = self.cost.seconds(rows)
        if requests <= self._limits.batch_requests and whole <= left * _BATCH_SHARE:
            return whole
        batches = max(requests / self._limits.batch_requests, rows / self._rows_in(left), 1.0)
        return batches * self.cost.seconds(rows / batches)

    def _drain_parts(self, rows: int, most: int) -> float:
        parts = -(-rows // most)
        return parts * self.cost.seconds(rows / parts) if parts else 0.0

    def _part_rows(self, now: float, workers: int) -> int:
        """Rows of a part that keeps a worker for the time that is allowed."""
        limits = self._limits
        if not self.cost.known:
            return min(FIRST_ROWS, limits.batch_rows)
        short = workers < SPARE_FROM and self._recent(now)
        seconds = limits.short_part_seconds if short else limits.part_seconds
        seconds = max(seconds, self.cost.fixed / (1 - _LEAST_USEFUL))
        return min(self.cost.rows_within(seconds), limits.batch_rows)

    def _parts_allowed(self, now: float, workers: int) -> bool:
        return workers < SPARE_FROM or self._parts_out < workers - 1 or not self._recent(now)

    def _recent(self, now: float) -> bool:
        return now - self._realtime_at < RECENT_SECONDS

    def _realtime_share(self, now: float, workers: int) -> float:
        self._decay(now)
        return self._load / RECENT_SECONDS / max(workers, 1)

    def _decay(self, now: float) -> None:
        """`load` is the realtime work of the last second or so, in seconds of a worker."""
        self._load *= exp((self._load_at - now) / RECENT_SECONDS)
        self._load_at = now


def _room(limits: Limits, lane: str) -> Room:
    requests = limits.shadow_queue if lane == "shadow" else limits.queue
    return Room(requests, limits.queue_rows, limits.queue_bytes)
