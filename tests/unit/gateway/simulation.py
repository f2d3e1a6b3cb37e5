"""Workers in simulated time behind the real schedule: what its rules do under load."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from trimtab.gateway.batch import Batch, Timing
from trimtab.gateway.call import Call
from trimtab.gateway.crew import Crew
from trimtab.gateway.schedule import LANES, Limits, Schedule, Turn

Seconds = Callable[[int], float]
"""What a batch of so many rows takes a worker."""

ON_THE_WAY = 0.0001
"""Seconds that a batch and its answer travel."""


class Nobody:
    """A caller that stays, and its own client."""

    gone = False

    @property
    def client(self) -> "Nobody":
        return self


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request at a time."""

    at: float
    lane: str = "realtime"
    rows: int = 1
    timeout: float = 10.0


@dataclass
class Seen:
    """What became of the requests of one lane."""

    answered: list[float] = field(default_factory=list)
    """Latencies of those answered in time, in seconds."""
    late: int = 0
    refused: int = 0
    dropped: int = 0
    rows: int = 0

    @property
    def p99(self) -> float:
        return sorted(self.answered)[int(0.99 * len(self.answered))]


def waiting(rows: int = 1) -> Call:
    """A call that could be queued."""
    call = Call(cast(Any, Nobody()), cast(Any, None), cast(Any, None))
    call.rows = rows
    return call


class Simulation:
    """One release with some workers; `seconds` is drawn for every batch."""

    def __init__(
        self, workers: int, seconds: Seconds, limits: Limits | None = None, *, batch: int = 0
    ) -> None:
        self.slower = 1.0
        """How many times longer those of the batch lane alone take, as they yield to others."""
        self.schedule = Schedule(limits or Limits())
        self.seen = {lane: Seen() for lane in LANES}
        self.worked: dict[bool, list[str]] = {False: [], True: []}
        """Lanes of the batches that went to workers of the batch lane alone, and to the others."""
        self.longest_part = 0.0
        self.way = ON_THE_WAY
        self.follows = True
        """Whether realtime calls are sent behind a part of the only worker."""
        self._out: dict[str, list[tuple[Batch, float]]] = {}
        self._idle: list[tuple[Crew, str]] = []
        for crew, count in ((self.schedule.crew, workers), (self.schedule.batch_crew, batch)):
            for number in range(count):
                self.join(crew, f"{'b' * crew.batch}{number}")
        self._seconds = seconds
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()

    def join(self, crew: Crew, worker: str) -> None:
        """A worker is there, and idle."""
        crew.join(worker)
        self._idle.append((crew, worker))

    def leave(self, crew: Crew, worker: str) -> None:
        """A worker is gone that was idle."""
        crew.leave(worker)
        self._idle.remove((crew, worker))

    def run(self, arrivals: Iterable[Arrival], until: float) -> None:
        """Play the arrivals (in the order of their times)."""
        coming = iter(arrivals)
        self._arrive_next(coming)
        while self._events and self._events[0][0] <= until:
            now, _, event = heapq.heappop(self._events)
            event(now)

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), event))

    def _arrive_next(self, coming: Iterator[Arrival]) -> None:
        arrival = next(coming, None)
        if arrival is not None:
            self._at(arrival.at, lambda now: self._arrived(arrival, coming, now))

    def _arrived(self, arrival: Arrival, coming: Iterator[Arrival], now: float) -> None:
        call = waiting(arrival.rows)
        call.lane, call.queued_at = arrival.lane, now
        call.started_at = now
        call.due = call.deadline = now + arrival.timeout
        if self.schedule.admit([call], arrival.lane, now):
            self.seen[arrival.lane].refused += 1
        else:
            self._at(call.due, lambda _: self._expired(call))
            self._pump(now, freed=False)
        self._arrive_next(coming)

    def _expired(self, call: Call) -> None:
        if call.done:
            return
        call.done = True
        if call.queue is not None:
            call.queue.remove(call)
            self.seen[call.lane].dropped += 1
        else:
            self.seen[call.lane].late += 1

    def _pump(self, now: float, *, freed: bool) -> None:
        for crew, worker in list(self._idle):
            batch = self.schedule.next(Turn(now, worker, crew, freed))
            for call in self.schedule.late:
                call.done = True
                self.seen[call.lane].dropped += 1
            self.schedule.late.clear()
            if batch is not None:
                self._idle.remove((crew, worker))
                self._start(crew, worker, batch, now)
        self._follow(now)

    def _follow(self, now: float) -> None:
        crew = self.schedule.crew
        if not self.follows or crew.taking != 1:
            return
        (worker,) = crew.ready
        out = self._out.get(worker, ())
        if len(out) == 1 and out[0][0].lane != "realtime":
            batch = self.schedule.behind(out[0][0], Turn(now, "", crew, freed=True))
            if batch is not None:
                self._start(crew, worker, batch, now)

    def _start(self, crew: Crew, worker: str, batch: Batch, now: float) -> None:
        work = self._seconds(batch.rows) * (self.slower if crew.batch else 1.0)
        if batch.lane != "realtime":
            self.longest_part = max(self.longest_part, work)
        batch.sent_at = now
        self.worked[crew.batch].append(batch.lane)
        self.schedule.expect(batch, crew)
        crew.begin(batch)
        out = self._out.setdefault(worker, [])
        done = max([now, *(each for _, each in out)]) + work
        out.append((batch, done))
        end = done + self.way
        self._at(end, lambda then: self._answered(crew, worker, batch, work, then))

    def _answered(self, crew: Crew, worker: str, batch: Batch, work: float, now: float) -> None:
        crew.end(batch)
        out = self._out[worker]
        out.pop(0)
        trip = now - batch.sent_at
        if out:
            out[0][0].reach(now)
        self.schedule.learn(batch, crew, work, trip, now)
        for call, _ in batch.current():
            seen = self.seen[call.lane]
            if batch.cut is not None:
                batch.cut.take(batch.first, [cast(Any, batch)], Timing(0.0, work))
                seen.rows += batch.rows
                if not batch.cut.complete(call.rows):
                    continue
            else:
                seen.rows += call.rows
            call.done = True
            seen.answered.append(now - call.started_at)
        if not out:
            del self._out[worker]
            self._idle.append((crew, worker))
        self._pump(now, freed=True)


def line(base: float, slope: float, seed: int = 1) -> Seconds:
    """A model whose time is a line, with the spread of a busy machine."""
    drawn = random.Random(seed)
    return lambda rows: (base + slope * rows) * drawn.lognormvariate(0, 0.1)


def poisson(rate: float, until: float, seed: int = 2, **fields: Any) -> Iterator[Arrival]:
    """Requests at random, `rate` a second."""
    drawn = random.Random(seed)
    now = 0.0
    while (now := now + drawn.expovariate(rate)) < until:
        yield Arrival(now, **fields)


def merged(*streams: Iterable[Arrival]) -> Iterator[Arrival]:
    """Several streams in the order of time."""
    return heapq.merge(*streams, key=lambda arrival: arrival.at)
