"""The workers of one release and the bounded queue of each lane in front of them.

A batch is what waits when a worker frees: nothing waits for company, but what one turn of the event
loop reads goes out together. Realtime goes before batch, and shadow copies last. Nothing here knows
of other releases; what to do about a failed attempt is the dispatcher's matter.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from trimtab.gateway.call import Call
from trimtab.gateway.link import Link
from trimtab.gateway.logs import Log
from trimtab.gateway.plan import Plan
from trimtab.gateway.values import OutputValues
from trimtab.gateway.wire import predict_frame, result_values
from trimtab.worker.frames import Frame, FrameError, Kind

LANES = ("realtime", "batch", "shadow")
HANG_GRACE = 1.0
"""Seconds past the last deadline of a batch after which its worker is given up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of queues (requests) and of batches (requests and rows)."""

    queue: int = 1024
    shadow_queue: int = 128
    batch_requests: int = 64
    batch_rows: int = 4096


@dataclass(frozen=True, slots=True)
class Timing:
    """What a worker said about a batch, in seconds."""

    features: float
    model: float


class Batch:
    """What a link is busy with: each call with the attempt it was sent for and its first row."""

    __slots__ = ("number", "rows", "sent")

    def __init__(self, number: int, calls: list[Call]) -> None:
        self.number = number
        self.rows = 0
        self.sent: list[tuple[Call, int, int]] = []
        for call in calls:
            self.sent.append((call, call.attempt, self.rows))
            self.rows += call.rows

    def current(self) -> list[tuple[Call, int]]:
        """Calls that still wait for this very attempt, with their first row."""
        return [
            (call, start)
            for call, attempt, start in self.sent
            if not call.done and call.attempt == attempt
        ]


class Attempts(Protocol):
    """Who is told how attempts ended."""

    def succeeded(self, batch: Batch, values: list[OutputValues], timing: Timing) -> None:
        """Every call of the batch was answered; some may no longer want it."""

    def failed(self, call: Call, stage: str, message: str) -> None:
        """The release failed this call, which was alone in its batch."""

    def worker_died(self, call: Call, reason: str) -> None:
        """The worker was lost before it answered."""

    def stranded(self, call: Call) -> None:
        """The call waits for a release that has no workers any more."""


class Pool:
    """Queues and links of one release."""

    def __init__(self, plan: Plan, limits: Limits, attempts: Attempts, log: Log) -> None:
        self.plan = plan
        self._limits = limits
        self._attempts = attempts
        self._log = log
        self._links: dict[str, Link] = {}
        self._idle: deque[Link] = deque()
        self._in_flight: dict[Link, Batch] = {}
        self._queues: dict[str, deque[Call]] = {lane: deque() for lane in LANES}
        self._sent = 0
        self._retired = False
        self._pumping = False
        self._loop = asyncio.get_running_loop()
        self._connected = asyncio.Event()

    @property
    def connected(self) -> int:
        """Workers that could be sent a batch now or when they finish one."""
        return sum(link.ready for link in self._links.values())

    @property
    def workers(self) -> int:
        """Workers the snapshot names."""
        return len(self._links)

    @property
    def in_flight(self) -> int:
        """Requests that workers are busy with."""
        return sum(len(batch.sent) for batch in self._in_flight.values())

    def depth(self, lane: str) -> int:
        """Requests that wait in a lane."""
        return len(self._queues[lane])

    def set_workers(self, paths: Iterable[str]) -> None:
        """Connect to new workers, let go of those no longer named."""
        self._retired = False
        wanted = set(paths)
        for path in set(self._links) - wanted:
            self._links.pop(path).retire()
        for path in sorted(wanted - set(self._links)):
            self._links[path] = Link(path, self.plan.release, self, self._log)
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

    def offer(self, call: Call, lane: str) -> bool:
        """Queue a call; False when the lane is full."""
        queue = self._queues[lane]
        if len(queue) >= (self._limits.shadow_queue if lane == "shadow" else self._limits.queue):
            return False
        self._enqueue(call, queue, first=False)
        return True

    def retry(self, call: Call) -> None:
        """Queue a call again, ahead of the others and alone; it was admitted before."""
        call.alone = True
        lane = "shadow" if call.mode == "shadow" else call.lane
        self._enqueue(call, self._queues[lane], first=True)

    def withdraw(self, call: Call) -> None:
        """Take a waiting call out of its queue."""
        call.waiting = False
        self._queues["shadow" if call.mode == "shadow" else call.lane].remove(call)

    def link_idle(self, link: Link) -> None:
        """A worker frees."""
        self._connected.set()
        if link not in self._idle:
            self._idle.append(link)
        self._pump()

    def link_answered(self, link: Link, frame: Frame) -> None:
        """A batch came back."""
        batch = self._in_flight.pop(link)
        if frame.header.get("id") != batch.number:
            self._split(batch, "output", "the worker answered another batch")
        elif frame.kind is Kind.RESULT:
            self._result(batch, frame)
        else:
            self._split(
                batch, str(frame.header.get("stage")), str(frame.header.get("message"))[:2000]
            )
        self._leave_if_done()

    def link_lost(self, link: Link, reason: str) -> None:
        """A worker died or was given up."""
        if link in self._idle:
            self._idle.remove(link)
        if not self.connected:
            self._connected.clear()
        batch = self._in_flight.pop(link, None)
        for call, _ in reversed(batch.current()) if batch else ():
            self._attempts.worker_died(call, reason)
        self._leave_if_done()

    def _enqueue(self, call: Call, queue: deque[Call], *, first: bool) -> None:
        call.pool = self
        call.waiting = True
        call.queued_at = self._loop.time()
        if first:
            queue.appendleft(call)
        else:
            queue.append(call)
        if self._idle and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._idle:
            if not self._idle[0].ready:  # it is closing, and its end is not reported yet
                self._idle.popleft()
                continue
            calls = self._next_batch()
            if not calls:
                return
            self._send(self._idle.popleft(), calls)

    def _next_batch(self) -> list[Call]:
        for lane in LANES:
            if calls := self._taken(self._queues[lane]):
                return calls
        return []

    def _taken(self, queue: deque[Call]) -> list[Call]:
        """Calls from the front of a lane, as many as fit; the cancelled ones are passed over."""
        calls: list[Call] = []
        rows = 0
        while queue and len(calls) < self._limits.batch_requests:
            call = queue[0]
            if call.cancelled:
                queue.popleft().done = True
                continue
            rows += call.rows
            if calls and (call.alone or rows > self._limits.batch_rows):
                break
            queue.popleft()
            call.waiting = False
            calls.append(call)
            if call.alone:
                break
        return calls

    def _send(self, link: Link, calls: list[Call]) -> None:
        now = self._loop.time()
        left = max(call.deadline for call in calls) - now
        for call in calls:
            call.sent_at = now
            call.worker = link.worker
        self._sent += 1
        batch = Batch(self._sent, calls)
        try:
            parts = [call.inputs for call in calls if call.inputs is not None]
            frame = predict_frame(self.plan, batch.number, parts, left)
        except FrameError as error:
            self._idle.append(link)
            self._split(batch, "input", str(error))
            return
        self._in_flight[link] = batch
        link.send(frame, left + HANG_GRACE)

    def _result(self, batch: Batch, frame: Frame) -> None:
        try:
            values = result_values(self.plan, frame, batch.rows)
            header = frame.header
            timing = Timing(float(header["features_seconds"]), float(header["model_seconds"]))
        except (FrameError, KeyError, TypeError, ValueError) as error:
            self._split(batch, "output", str(error))
            return
        self._attempts.succeeded(batch, values, timing)

    def _split(self, batch: Batch, stage: str, message: str) -> None:
        """A failed batch says nothing about its members: each is asked again, alone."""
        calls = batch.current()
        if len(batch.sent) == 1:
            for call, _ in calls:
                self._attempts.failed(call, stage, message)
            return
        for call, _ in reversed(calls):
            self.retry(call)

    def _strand(self) -> None:
        for queue in self._queues.values():
            for call in list(queue):
                self.withdraw(call)
                self._attempts.stranded(call)

    def _leave_if_done(self) -> None:
        if self._retired and not self._in_flight and not any(self._queues.values()):
            self.set_workers(())
            self._retired = True


class Pools:
    """The pools of all resident releases."""

    def __init__(self, limits: Limits, attempts: Attempts, log: Log) -> None:
        self._limits = limits
        self._attempts = attempts
        self._log = log
        self._pools: dict[str, Pool] = {}

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools.values())

    def get(self, release: str) -> Pool | None:
        """The pool of a release, if it is resident."""
        return self._pools.get(release)

    def apply(self, plans: Mapping[str, Plan], workers: Mapping[str, tuple[str, ...]]) -> None:
        """Hold exactly these releases with these workers; the others leave when they are done."""
        for release in set(self._pools) - set(plans):
            self._pools.pop(release).retire()
        for release, plan in plans.items():
            pool = self._pools.get(release)
            if pool is None:
                pool = self._pools[release] = Pool(plan, self._limits, self._attempts, self._log)
            pool.set_workers(workers[release])

    def abort(self) -> None:
        """Disconnect from every worker."""
        for pool in self._pools.values():
            pool.abort()
