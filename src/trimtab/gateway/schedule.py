"""Which work of a release goes next, how much of it at once, and what is not worth admitting.

Pure: the time is an argument. Realtime goes before batch, and shadow copies last. What is not
realtime is cut into parts that keep a worker only for a bounded time, so that realtime work goes
between them. Where a release has workers for the batch lane alone, they take what waits there, and
the others take none of it while one of them works. Reasons and measurements:
docs/decisions/0018-batching-and-admission.md, docs/decisions/0038-workers-of-the-batch-lane.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp

from trimtab.gateway.batch import Batch, Cut, slices
from trimtab.gateway.call import Call
from trimtab.gateway.crew import Crew
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
_BEHIND = 0.02
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


@dataclass(frozen=True, slots=True)
class Turn:
    """A worker of a crew that could take work at `now`; `freed` when it was busy until then.

    It is not given what should avoid `worker`.
    """

    now: float
    worker: str
    crew: Crew
    freed: bool


class Schedule:
    """The lanes of one release and its two crews: `batch_crew` are the workers of the batch lane
    alone, if there are any. `late` and `gone` collect what `next` passed over."""

    def __init__(self, limits: Limits) -> None:
        self.crew = Crew()
        self.batch_crew = Crew(batch=True)
        self.lanes = {name: Lane(name, _room(limits, name)) for name in LANES}
        self.late: list[Call] = []
        self.gone: list[Call] = []
        self._limits = limits
        self._few = min(limits.queue, limits.batch_requests)
        self._realtime, self._batch, self._shadow = self.lanes.values()
        self._realtime_at = -RECENT_SECONDS
        self._lag = self._waited = 0.0
        self._load = self._load_at = 0.0

    def __len__(self) -> int:
        """Calls that wait in any lane."""
        return self._realtime.requests + self._batch.requests + self._shadow.requests

    @property
    def waiting(self) -> bool:
        """Whether anything waits in any lane."""
        return bool(self._realtime.requests or self._batch.requests or self._shadow.requests)

    def crew_of(self, lane: str) -> Crew:
        """Who takes work of a lane. Batch work is for everybody while none of its own workers
        takes any: it need not wait for one that starts again."""
        own = lane == "batch" and self.batch_crew.taking
        return self.batch_crew if own else self.crew

    def refusal(self, call: Call, lane: str, now: float) -> Refusal | None:
        """Why a call cannot be admitted; None when it can."""
        found = self.lanes[lane]
        if found.requests and not found.fits(1, call.rows, call.size):
            return Refusal(Shed.FULL)
        return self._hopeless(found, (1, call.rows), call.due, now)

    def admit(self, calls: Sequence[Call], lane: str, now: float) -> list[tuple[Call, Refusal]]:
        """Let calls that came together wait; returns those that cannot be admitted, and why."""
        if lane == "realtime" and self._admit_all(calls, now):
            return []
        refused: list[tuple[Call, Refusal]] = []
        for call in calls:
            refusal = self.refusal(call, lane, now)
            if refusal is None:
                self.add(call, lane, now)
            else:
                refused.append((call, refusal))
        return refused

    def _admit_all(self, calls: Sequence[Call], now: float) -> bool:
        """Admit all realtime calls or none: where there is room and time enough for all of them,
        as there mostly is, none needs to be looked at alone."""
        rows = sum([call.rows for call in calls])
        size = sum([call.size for call in calls])
        due = min([call.due for call in calls])
        lane, coming = self._realtime, (len(calls), rows)
        if not lane.fits(len(calls), rows, size) or self._hopeless(lane, coming, due, now):
            return False
        lane.add_all(calls, rows, size)
        self._realtime_at = now
        return True

    def turned_away(self, call: Call) -> Refusal | None:
        """Why a call that is not read yet cannot be admitted, whatever it holds.

        While no more waits than fits into a batch few are refused: reading those costs less than
        asking for each.
        """
        found = self.lanes[call.lane]
        if found.requests < self._few:
            return None
        if found.crowded:
            return Refusal(Shed.FULL)
        if found.requests < self._limits.batch_requests:
            return None
        return self._hopeless(found, (1, 1), call.deadline, call.parsed_at)

    def _hopeless(
        self, lane: Lane, coming: tuple[int, int], due: float, now: float
    ) -> Refusal | None:
        """A refusal when the deadline cannot be met by so many requests with so many rows.

        A call that finds its lane empty and a worker for it is tried whatever it is thought to
        cost, so that an estimate that is too high corrects itself.
        """
        crew = self.crew_of(lane.name)
        if not crew.cost.known or not crew.taking:
            return None
        if coming[0] == 1 and self._untried(lane, crew):
            return None
        left = due - now
        if lane is self._realtime and self._ample(coming, left * _CONFIDENCE, now):
            return None
        seconds = 2 * self._lag + self._finish(lane, coming, left, now)
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
        if not self._waited or not self.crew.cost.known:
            return False
        fixed = self.crew.cost.fixed
        return (
            self._waited > _BEHIND * fixed
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

    def next(self, turn: Turn) -> Batch | None:
        """What a worker gets, or None. What an idle worker is given is not held to be late."""
        crew, batch = turn.crew, None
        if self._realtime.requests and not crew.batch:
            batch = self._whole(self._realtime, self._realtime_rows(turn), turn)
        if batch is None and self._parts_allowed(turn):
            for lane in self._parted(crew):
                batch = batch or self._part(lane, self._part_rows(turn.now, crew), turn)
        return batch

    def behind(self, part: Batch, turn: Turn) -> Batch | None:
        """Realtime calls for a worker that is busy with a part, to be gone on with at once."""
        if not self._realtime.requests:
            return None
        batch = self._whole(self._realtime, self._realtime_rows(turn), turn)
        if batch is not None:
            batch.behind = part
            batch.reason = "behind" if batch.reason == "freed" else batch.reason
        return batch

    def expect(self, batch: Batch, crew: Crew) -> None:
        """Say when a worker of the crew will have answered a batch that it is sent now."""
        begins = batch.sent_at if batch.behind is None else max(batch.sent_at, batch.behind.ends_at)
        batch.ends_at = begins + crew.cost.seconds(batch.rows)

    def learn(self, batch: Batch, crew: Crew, work: float, trip: float, now: float) -> None:
        """A batch was answered: `work` seconds in the worker, `trip` from sending to answering, or
        from the answer before it when it was sent behind another."""
        crew.cost.learn(batch.rows, work, trip)
        if batch.lane == "realtime":
            self._decay(now)
            self._load += max(trip, work)

    def _parted(self, crew: Crew) -> tuple[Lane, ...]:
        """The lanes whose work a crew is sent in parts, in order."""
        if crew.batch:
            return (self._batch,)
        if self.batch_crew.taking:
            return (self._shadow,)
        return (self._batch, self._shadow)

    def _part(self, lane: Lane, most: int, turn: Turn) -> Batch | None:
        soonest = self._soonest(lane, most, turn)
        while (call := next(iter(lane), None)) is not None:
            if call.client.gone:
                self._pass_over(lane, call, self.gone)
            elif call.due < soonest:
                self._pass_over(lane, call, self.late)
            elif (call.cut or call.rows > most) and call.avoid != turn.worker:
                return self._cut(lane, call, most)
            else:
                return self._whole(lane, most, turn)
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

    def _whole(self, lane: Lane, most: int, turn: Turn) -> Batch | None:
        """Calls from the front of a lane, as many as fit.

        Those that the batch would answer too late are passed over, rather than made a smaller batch
        for: under load that would cost the ones behind them more than it saves.
        """
        soonest = self._soonest(lane, most, turn)
        calls: list[Call] = []
        over: list[tuple[Call, list[Call]]] = []
        rows = 0
        company = self._limits.batch_requests
        reason = "freed" if turn.freed else "idle"
        for call in lane:
            if call.client.gone:
                over.append((call, self.gone))
                continue
            if call.due < soonest:
                over.append((call, self.late))
                continue
            if call.avoid == turn.worker or call.cut:
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

    def _realtime_rows(self, turn: Turn) -> int:
        """Rows of the next realtime batch, by the time that its first call was given."""
        if self._realtime.requests == 1 and not turn.freed:
            return self._limits.batch_rows  # whatever a lone call holds, it goes alone and at once
        call = next(iter(self._realtime))
        return self._rows_in(call.due - call.queued_at)

    def _rows_in(self, given: float) -> int:
        """Rows of a batch of calls that are given so many seconds."""
        cost = self.crew.cost
        if not cost.known:
            return min(FIRST_ROWS, self._limits.batch_rows)
        seconds = max(given * _BATCH_SHARE, _LEAST_GROWTH * cost.seconds(1))
        return min(self._limits.batch_rows, cost.rows_within(seconds))

    def _soonest(self, lane: Lane, most: int, turn: Turn) -> float:
        """When a batch of what waits, at most `most` rows, would be answered."""
        if not turn.freed:
            return turn.now
        return turn.now + turn.crew.cost.seconds(min(lane.rows, most)) / _CONFIDENCE

    def _ample(self, coming: tuple[int, int], left: float, now: float) -> bool:
        """Whether realtime calls are in time even if nothing were batched, as most are."""
        lane = self._realtime
        ahead = self.crew.ahead(now) + 2 * self._lag
        cost = self.crew.cost
        requests, rows = lane.requests + coming[0], lane.rows + coming[1]
        return ahead + cost.without_batching(requests, rows) < left

    def _untried(self, lane: Lane, crew: Crew) -> bool:
        if lane.requests:
            return False
        return crew.running < crew.taking if lane is self._realtime else not crew.parts_out

    def _finish(self, lane: Lane, coming: tuple[int, int], left: float, now: float) -> float:
        """In how many seconds work that comes now to a lane would be answered."""
        crew = self.crew_of(lane.name)
        seconds = crew.ahead(now)
        if lane is self._realtime:
            drained = self._drain_realtime(len(lane) + coming[0], lane.rows + coming[1], left)
            return (seconds + drained) / crew.taking
        if self._realtime and not crew.batch:
            seconds += self._drain_realtime(len(self._realtime), self._realtime.rows, left)
        most = self._part_rows(now, crew)
        if lane is self._shadow and self._batch in self._parted(crew):
            seconds += _drain_parts(self._batch.rows, most, crew)
        seconds += _drain_parts(lane.rows + coming[1], most, crew)
        return seconds / crew.taking / (1 - self._realtime_share(now, crew))

    def _drain_realtime(self, requests: int, rows: int, left: float) -> float:
        cost = self.crew.cost
        whole = cost.seconds(rows)
        if requests <= self._limits.batch_requests and whole <= left * _BATCH_SHARE:
            return whole
        batches = max(requests / self._limits.batch_requests, rows / self._rows_in(left), 1.0)
        return batches * cost.seconds(rows / batches)

    def _part_rows(self, now: float, crew: Crew) -> int:
        """Rows of a part that keeps a worker for the time that is allowed; at least two while it is
        not known what a second row adds, for parts of one row would never tell."""
        limits, cost = self._limits, crew.cost
        if not cost.known:
            return min(FIRST_ROWS, limits.batch_rows)
        short = not crew.batch and crew.taking < SPARE_FROM and self._recent(now)
        seconds = limits.short_part_seconds if short else limits.part_seconds
        seconds = max(seconds, cost.fixed / (1 - _LEAST_USEFUL))
        rows = cost.rows_within(seconds)
        return min(rows if cost.divided else max(rows, 2), limits.batch_rows)

    def _parts_allowed(self, turn: Turn) -> bool:
        crew = turn.crew
        few = crew.batch or crew.taking < SPARE_FROM or crew.parts_out < crew.taking - 1
        return few or not self._recent(turn.now)

    def _recent(self, now: float) -> bool:
        return now - self._realtime_at < RECENT_SECONDS

    def _realtime_share(self, now: float, crew: Crew) -> float:
        """The share of a crew's time that realtime work takes."""
        if crew.batch:
            return 0.0
        self._decay(now)
        return min(self._load / RECENT_SECONDS / max(crew.taking, 1), _MOST_REALTIME)

    def _decay(self, now: float) -> None:
        """`load` is the realtime work of the last second or so, in seconds of a worker."""
        self._load *= exp((self._load_at - now) / RECENT_SECONDS)
        self._load_at = now


def _room(limits: Limits, lane: str) -> Room:
    requests = limits.shadow_queue if lane == "shadow" else limits.queue
    return Room(requests, limits.queue_rows, limits.queue_bytes)


def _drain_parts(rows: int, most: int, crew: Crew) -> float:
    parts = -(-rows // most)
    return parts * crew.cost.seconds(rows / parts) if parts else 0.0
