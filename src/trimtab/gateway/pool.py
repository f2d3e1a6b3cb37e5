"""The workers of one release and the schedule of the work in front of them.

A batch is what waits when a worker frees: nothing waits for company, but what one turn of the event
loop reads goes out together. Nothing here knows of other releases; what to do about a failed
attempt is the dispatcher's matter.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Protocol

from trimtab.domain.routing import Target
from trimtab.gateway.backlog import Backlog
from trimtab.gateway.batch import Batch, Cut, Timing
from trimtab.gateway.call import Call
from trimtab.gateway.crew import Crew
from trimtab.gateway.lane import held_bytes
from trimtab.gateway.link import Link
from trimtab.gateway.logs import Log
from trimtab.gateway.plan import Plan
from trimtab.gateway.retries import RetryBudget
from trimtab.gateway.schedule import Limits, Refusal, Schedule, Turn
from trimtab.gateway.values import OutputValues
from trimtab.gateway.wire import Results, predict_frame
from trimtab.worker.frames import Frame, FrameError, Kind

WORKER_GRACE = 0.5
"""Seconds past the longest time that its deployment gives a batch, after which its worker ends."""
LINK_GRACE = 0.4
"""Seconds more after which a worker that did not even end is given up."""
SLOW = 2.0
"""Times the expected cost of a batch, or the longest that was answered, that a worker may always
take."""
SHARED_PATIENCE = 1 / 3
"""Of the time left, what a batch may take before its calls are asked again, each alone. With two
thirds left, a worker can start again and the call that hangs be lost alone; then the others go."""
LEAST_PATIENCE = 1.0
"""Seconds that a worker may always take: a machine that stalls for a moment is no hanging model."""


BATCH_BYTES = 32 * 1024 * 1024
"""About how much the inputs of several calls may be that are sent together."""


class Attempts(Protocol):
    """Who is told how attempts ended."""

    def sent(self, plan: Plan, batch: Batch) -> None:
        """The batch is on its way to a worker."""

    def succeeded(self, batch: Batch, values: list[OutputValues], timing: Timing) -> None:
        """Every call of the batch was answered; some may no longer want it."""

    def alone(self) -> None:
        """The call that was answered last was the only one of the release here."""

    def failed(self, call: Call, stage: str, message: str) -> None:
        """The release failed this call, which was alone in its batch."""

    def worker_died(self, call: Call, reason: str) -> None:
        """The worker was lost before it answered."""

    def stranded(self, call: Call) -> None:
        """The call waits for a release that has no workers any more."""

    def hopeless(self, call: Call) -> None:
        """The call waited until no worker could answer it within its time."""

    def abandoned(self, call: Call) -> None:
        """The client of a waiting call has gone."""

    def rested(self, release: str, worker: str) -> None:
        """A worker gets no work for a while, because it fails where its siblings do not."""


class Pool:
    """Queues and links of one release.

    `schedule` may be asked what it would do; `workers` are those that the snapshot names. Work is
    given out at the end of a pass of `backlog`, so that all that has come is queued.
    """

    def __init__(
        self, plan: Plan, limits: Limits, attempts: Attempts, log: Log, backlog: Backlog
    ) -> None:
        self.plan = plan
        self._backlog = backlog
        self.schedule = Schedule(_for_rows(limits, plan.row_bytes))
        self._texts = tuple(c.position for c in plan.columns if c.family == "text")
        self._attempts = attempts
        self._log = log
        self._results = Results(plan)
        self._links: dict[str, Link] = {}
        self._idle: deque[Link] = deque()
        self._in_flight: dict[Link, deque[Batch]] = {}
        self.workers = 0
        self._sent = 0
        self._longest = 0.0
        self._retired = False
        self._pumping = False
        self._came = 0
        self._retries = RetryBudget()
        self._loop = asyncio.get_running_loop()
        self._connected = asyncio.Event()

    @property
    def connected(self) -> int:
        """Workers that could be sent a batch now or when they finish one, but for those of the
        batch lane alone."""
        return len(self.schedule.crew.ready)

    @property
    def connected_batch(self) -> int | None:
        """The same of those of the batch lane alone; None where the snapshot names none."""
        crew = self.schedule.batch_crew
        named = any(link.crew is crew for link in self._links.values())
        return len(crew.ready) if named else None

    @property
    def in_flight(self) -> int:
        """Requests that workers are busy with."""
        return sum(len(batch.sent) for out in self._in_flight.values() for batch in out)

    @property
    def resting(self) -> int:
        """Workers that get no work because they fail while their siblings do not."""
        return sum(len(crew.outliers.resting) for crew in self._crews)

    def takes(self, lane: str) -> bool:
        """Whether a worker that takes work of a lane is connected."""
        return bool(self.schedule.crew_of(lane).ready)

    def depth(self, lane: str) -> int:
        """Requests that wait in a lane."""
        return len(self.schedule.lanes[lane])

    @property
    def _crews(self) -> tuple[Crew, Crew]:
        return self.schedule.crew, self.schedule.batch_crew

    def set_workers(self, paths: Iterable[str], batch: Iterable[str] = ()) -> None:
        """Connect to new workers, let go of those no longer named; `batch` are those of the batch
        lane alone."""
        self._retired = False
        release, schedule = self.plan.release, self.schedule
        wanted = dict.fromkeys(paths, schedule.crew) | dict.fromkeys(batch, schedule.batch_crew)
        for path in self._links.keys() - wanted:
            self._links.pop(path).retire()
        for path in sorted(wanted.keys() - self._links):
            self._links[path] = Link(path, release, wanted[path], self, self._log)
        self.workers = len(self._links)
        for crew in self._crews:
            crew.keep({link.worker for link in self._links.values()})
        if not self._links:
            self._strand()

    async def wait_connected(self) -> None:
        """Return once a worker answered, for a caller that bounds the wait."""
        await self._connected.wait()

    def retire(self) -> None:
        """No snapshot names the release any more: answer what is here, then disconnect."""
        self._retired = True
        self._leave_if_done()

    def abort(self) -> None:
        """Disconnect now."""
        for link in self._links.values():
            link.abort()

    def offer(self, calls: Sequence[Call], lane: str) -> list[tuple[Call, Refusal]]:
        """Queue calls; returns those that cannot be, and why."""
        for call in calls:
            call.size = 0 if call.inputs is None else held_bytes(call.inputs, self._texts)
        self._came += len(calls)
        now = time.monotonic()
        refused = self.schedule.admit(calls, lane, now)
        if refused:
            turned_away = {call for call, _ in refused}
            calls = [call for call in calls if call not in turned_away]
        for call in calls:
            call.pool = self
            call.behind = False
            call.queued_at = now
        if calls:
            self._pump_for(lane)
        return refused

    def may_retry(self) -> bool:
        """Whether the budget of repetitions allows one more; each question counts as one."""
        return self._retries.take(self._came)

    def suspects(self, worker: str | None) -> bool:
        """Whether another worker should be asked about what this one failed."""
        return any(worker in crew.ready and crew.suspects(worker) for crew in self._crews)

    def retry(self, call: Call, company: int = 1) -> None:
        """Queue a call again, ahead of the others and in less company; it was admitted before."""
        call.company = company
        lane = "shadow" if call.mode == "shadow" else call.lane
        call.pool = self
        call.behind = False
        call.queued_at = now = time.monotonic()
        self.schedule.add(call, lane, now, first=True)
        self._pump_for(lane)

    def link_idle(self, link: Link) -> None:
        """A worker frees."""
        crew = link.crew
        if link.worker not in crew.ready:
            crew.join(link.worker)
            if not crew.batch:
                self._connected.set()
        if link.worker in crew.outliers.resting:
            return
        if link not in self._idle:
            link.idle_at = time.monotonic()
            self._idle.append(link)
        if self.schedule.gathers(0.0):
            self._pump_later(freed=True)
        else:
            self._pump(freed=True)

    def link_leaving(self, link: Link) -> None:
        """A worker was told to stop."""
        link.crew.leave(link.worker)
        if link.crew.batch and not link.crew.taking:
            self._pump_later()

    def link_answered(self, link: Link, frame: Frame) -> None:
        """A batch came back."""
        out = self._in_flight[link]
        batch = out.popleft()
        link.crew.end(batch)
        if out:
            out[0].reach(time.monotonic())
        else:
            del self._in_flight[link]
        if frame.kind is Kind.RESULT:
            self._result(link, batch, frame)
        else:
            header = frame.header
            self._failed(link, batch, str(header.get("stage")), str(header.get("message"))[:2000])
        self._leave_if_done()

    def link_lost(self, link: Link, reason: str) -> None:
        """A worker died or was given up."""
        if link in self._idle:
            self._idle.remove(link)
        self.link_leaving(link)
        crew = link.crew
        if not self.connected:
            self._connected.clear()
        out = self._in_flight.pop(link, None)
        if not crew.taking:
            self._wake(crew, crew.outliers.resting)
        if out is not None:
            batch = out.popleft()
            for unreached in out:
                self._take_back(unreached, crew)
            if time.monotonic() - batch.sent_at >= batch.patience:
                reason = f"the worker hung for {batch.patience:.3g} s: its log tells where"
            crew.end(batch)
            crew.outliers.failed(link.worker)
            self._rest_if_odd(link)
            for call, _ in reversed(batch.current()):
                _leave_queue(call)
                self._attempts.worker_died(call, reason)
        self._leave_if_done()

    def _take_back(self, batch: Batch, crew: Crew) -> None:
        """The worker was lost before it got to a batch: its calls were as good as never sent."""
        crew.end(batch)
        for call, _ in reversed(batch.current()):
            if self.workers:
                self.retry(call, call.company)
            else:
                self._attempts.stranded(call)

    def _pump_for(self, lane: str) -> None:
        """Give out work that was queued, should a worker be there for it."""
        if self._pumping:
            return
        if self._idle or (lane == "realtime" and self._between_parts() is not None):
            self._pump_later()

    def _pump_later(self, *, freed: bool = False) -> None:
        """Give out work once all that has come is queued."""
        if not self._pumping:
            self._pumping = True
            self._backlog.last(partial(self._pump_behind, freed))

    def _pump_behind(self, freed: bool, asked_at: float) -> None:
        self.schedule.lagged(time.monotonic() - asked_at)
        self._gather(asked_at, freed, 0)

    def _gather(self, asked_at: float, freed: bool, gathered: int) -> None:
        """Give out work, perhaps only after what has arrived meanwhile is read and queued."""
        waiting = len(self.schedule)
        if waiting > gathered and self.schedule.gathers(time.monotonic() - asked_at):
            again = partial(self._gather, asked_at, freed, waiting)
            self._loop.call_soon(self._backlog.last, lambda _: again())
            return
        self._pumping = False
        self._pump(freed=freed)

    def _pump(self, *, freed: bool = False) -> None:
        """Give idle workers what waits. A call that avoids one of them may be for another."""
        fruitless = 0
        while fruitless < len(self._idle) and self.schedule.waiting:
            link = self._idle.popleft()
            if not link.ready:  # it is closing, and its end is not reported yet
                continue
            now = time.monotonic()
            avoided = link.worker if link.crew.taking > 1 else ""
            batch = self.schedule.next(Turn(now, avoided, link.crew, freed))
            if batch is None:
                self._idle.append(link)
                fruitless += 1
            else:
                self._send(link, batch, now)
        if (busy := self._between_parts()) is not None:
            self._follow(busy)
        self._pass_on()

    def _between_parts(self) -> Link | None:
        """The only worker, while it is busy with a part and nothing is behind that.

        With others, whoever is free first had better take what comes: a part may hang."""
        crew = self.schedule.crew
        if crew.taking != 1 or not crew.parts_out:
            return None
        for link, out in self._in_flight.items():
            if link.crew is crew and link.ready and len(out) == 1 and out[0].lane != "realtime":
                return link
        return None

    def _follow(self, link: Link) -> None:
        """Let realtime calls wait at their worker instead of here: the part that it is busy with
        need not come back before it gets to them."""
        now = time.monotonic()
        turn = Turn(now, "", link.crew, freed=True)
        batch = self.schedule.behind(self._in_flight[link][0], turn)
        if batch is not None:
            self._send(link, batch, now)

    def _pass_on(self) -> None:
        """Tell of calls that the schedule found hopeless or left."""
        schedule = self.schedule
        while schedule.late:
            self._attempts.hopeless(schedule.late.pop())
        while schedule.gone:
            self._attempts.abandoned(schedule.gone.pop())

    def _send(self, link: Link, batch: Batch, now: float) -> None:
        traces: list[dict[str, str]] = []
        calls, worker, freed_at = batch.calls, link.worker, link.idle_at
        behind = batch.behind is not None
        for call in calls:
            call.worker, call.behind = worker, behind
            if not batch.first:
                call.sent_at, call.freed_at = now, freed_at
            if call.trace is not None:
                traces.append(call.trace.handed_on(call))
        latest = max([call.deadline for call in calls])
        given = max([call.started_at + call.route.deadline for call in calls])
        self._sent += 1
        batch.number = self._sent
        batch.sent_at = now
        self.schedule.expect(batch, link.crew)
        patience = max(given - now, SLOW * (batch.ends_at - now)) + WORKER_GRACE
        try:
            inputs = batch.inputs(self.plan)
            batch.patience = min(patience, self._shared_patience(batch, link.crew, now))
            left = latest - now
            frame = predict_frame(self.plan, batch.number, inputs, left, batch.patience, traces)
        except Exception as error:  # a bug must cost those whom it is about, and no worker
            if not behind:
                self._idle.append(link)
            self._split(batch, "input", str(error) or repr(error))
            return
        link.crew.begin(batch)
        self._in_flight.setdefault(link, deque()).append(batch)
        self._attempts.sent(self.plan, batch)
        link.send(batch.number, frame, patience + LINK_GRACE)

    def _shared_patience(self, batch: Batch, crew: Crew, now: float) -> float:
        """Seconds after which a batch is taken to hang while its calls can still be asked again.

        Endless where that helps nobody: a call that is alone at first, and copies. A call that is
        asked again has as little, so that those who wait behind it keep their time.
        """
        first = batch.sent[0][0]
        alone = len(batch.sent) == 1 and not first.failures
        if alone or batch.lane == "shadow" or not crew.cost.known:
            return inf
        left = max([call.due for call in batch.calls]) - now
        usual = max(batch.ends_at - now, self._longest)
        return max(SHARED_PATIENCE * left, SLOW * usual, LEAST_PATIENCE)

    def _result(self, link: Link, batch: Batch, frame: Frame) -> None:
        now = time.monotonic()
        try:
            values = self._results.values(frame, batch.rows)
            header = frame.header
            timing = Timing(float(header["features_seconds"]), float(header["model_seconds"]))
            waited = now - float(header.get("ended_at", now))
        except (FrameError, KeyError, TypeError, ValueError) as error:
            self._failed(link, batch, "output", str(error))
            return
        if batch.too_late:
            link.crew.outliers.failed(link.worker)
            self._rest_if_odd(link)
        else:
            link.crew.outliers.answered(link.worker)
        if batch.cut is None:
            self._attempts.succeeded(batch, values, timing)
        else:
            self._take_part(batch, batch.cut, values, timing)
        alone = self._told(batch)
        work = timing.features + timing.model
        self._longest = max(self._longest, work)
        self.schedule.learn(batch, link.crew, work, now - batch.sent_at, now)
        # A lone answer waits until the gateway is woken, not because that has much to do.
        self.schedule.answered(0.0 if alone else waited)

    def _failed(self, link: Link, batch: Batch, stage: str, message: str) -> None:
        """What the callers sent is wrong at stage `input`; the rest speaks against the worker."""
        if stage != "input":
            link.crew.outliers.failed(link.worker)
            self._rest_if_odd(link)
        self._split(batch, stage, message)
        self._told(batch)

    def _told(self, batch: Batch) -> bool:
        """The answers of a batch are made: a lone one leaves before anything is learned from it.

        Returns whether it was the only call of the release here."""
        alone = len(batch.sent) == 1 and not self._in_flight and not self.schedule.waiting
        if alone:
            self._attempts.alone()
        return alone

    def _rest_if_odd(self, link: Link) -> None:
        worker, crew = link.worker, link.crew
        seconds = crew.rest(worker, time.monotonic())
        if seconds:
            if link in self._idle:
                self._idle.remove(link)
            release = self.plan.name
            self._log.error("worker.rested", release=release, worker=worker, seconds=seconds)
            self._attempts.rested(release, worker)
            self._loop.call_later(seconds, self._wake, crew, {worker})

    def _wake(self, crew: Crew, workers: Collection[str]) -> None:
        """These workers have rested, or nobody else is left of their crew."""
        awake = crew.wake(workers)
        for link in self._links.values():
            if link.worker in awake:
                self._log.info("worker.woken", release=self.plan.name, worker=link.worker)
                if link.ready and not link.busy:
                    self.link_idle(link)

    def _take_part(
        self, batch: Batch, cut: Cut, values: list[OutputValues], timing: Timing
    ) -> None:
        """The last part answers the call; one of an attempt that is over answers nobody."""
        for call, _ in batch.current():
            cut.take(batch.first, values, timing)
            if cut.complete(call.rows):
                self._attempts.succeeded(Batch(batch.lane, batch.reason, [call]), *cut.joined())

    def _split(self, batch: Batch, stage: str, message: str) -> None:
        """A failed batch says nothing about its members: its halves are asked again.

        So one bad call among many costs a few batches more, and not one for each of the others.
        """
        calls = batch.current()
        if len(batch.sent) == 1:
            for call, _ in calls:
                _leave_queue(call)
                self._attempts.failed(call, stage, message)
            return
        for call, _ in reversed(calls):
            self.retry(call, max(len(batch.sent) // 2, 1))

    def _strand(self) -> None:
        for lane in self.schedule.lanes.values():
            for call in list(lane):
                lane.remove(call)
                self._attempts.stranded(call)

    def _leave_if_done(self) -> None:
        if self._retired and not self._in_flight and not self.schedule.waiting:
            self.set_workers(())
            self._retired = True


def _leave_queue(call: Call) -> None:
    """What was not sent of a call that is over in this attempt."""
    if call.queue is not None:
        call.queue.remove(call)


class Pools:
    """The pools of all resident releases."""

    def __init__(self, limits: Limits, attempts: Attempts, log: Log, backlog: Backlog) -> None:
        self._limits = limits
        self._backlog = backlog
        self._attempts = attempts
        self._log = log
        self._pools: dict[str, Pool] = {}
        self.get: Callable[[str], Pool | None] = self._pools.get
        """The pool of a release, if it is resident."""

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools.values())

    def apply(self, plans: Mapping[str, Plan], targets: Mapping[str, Target]) -> None:
        """Hold exactly these releases with the workers of their targets; the others leave when
        they are done."""
        for release in set(self._pools) - set(plans):
            self._pools.pop(release).retire()
        for release, plan in plans.items():
            pool = self._pools.get(release)
            if pool is None:
                pool = Pool(plan, self._limits, self._attempts, self._log, self._backlog)
                self._pools[release] = pool
            pool.set_workers(targets[release].workers, targets[release].batch_workers)

    def abort(self) -> None:
        """Disconnect from every worker."""
        for pool in self._pools.values():
            pool.abort()


def _for_rows(limits: Limits, row_bytes: int) -> Limits:
    """The limits where rows may be large."""
    return replace(limits, batch_rows=min(limits.batch_rows, max(1, BATCH_BYTES // row_bytes)))
