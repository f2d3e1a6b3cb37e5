"""Which release is tried, what follows when it fails, and that each request is answered once.

A canary's failure is the canary's in the log and nobody's at the client: the request is repeated
once on stable, within its deadline. To leave time for that, an attempt at a canary may use half of
what is left.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import groupby
from operator import attrgetter

from trimtab.domain import telemetry
from trimtab.domain.records import Outcome
from trimtab.gateway.assign import goes_to_canary, goes_to_shadow
from trimtab.gateway.backlog import PASS_SECONDS, Backlog
from trimtab.gateway.batch import Batch, Timing, Together
from trimtab.gateway.call import ANY_COMPANY, Call, Send
from trimtab.gateway.deadlines import Deadlines
from trimtab.gateway.faults import Fault, hopeless, internal, late, shed, unavailable
from trimtab.gateway.layers import Layers
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.pacing import RATE, RATE_BEHIND, Pacer
from trimtab.gateway.plan import Plan
from trimtab.gateway.pool import Pool, Pools
from trimtab.gateway.record import Ended, Recorder
from trimtab.gateway.schedule import Refusal, Shed
from trimtab.gateway.tracing import CLIENT_LEFT, traced
from trimtab.gateway.turns import Lengthy
from trimtab.gateway.values import OutputValues

CANARY_SHARE = 0.5
"""Of the time left, how much an attempt at a canary may use before stable is asked."""

MOST_AGE = 0.5
"""Share of its time after which a request that could not be read before is refused: what is before
it takes about as long again until it is answered."""

MOST_UNREAD = 1024
"""Requests of the batch lane whose values are not read yet."""


class Dispatcher:
    """Implements `Attempts` for the pools. `pools` is set right after both were made."""

    pools: Pools

    def __init__(self, recorder: Recorder, backlog: Backlog, meter: Meter, log: Log) -> None:
        self._recorder = recorder
        self._meter = meter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self.expire)
        self._layers = Layers(meter)
        self._backlog = backlog
        self._ready: list[Call] = []
        self._pacer = Pacer(lambda: RATE_BEHIND if backlog.behind else RATE)
        self._unread: deque[Call] = deque()
        self._reads = False
        self._readers: set[asyncio.Task[None]] = set()
        self._turns = {"realtime": asyncio.Lock(), "batch": asyncio.Lock()}

    def submit(self, call: Call) -> None:
        """Assign a call, read its values for the assigned release, and queue it, with the others of
        its pass.

        Raises a 400 `Fault` that the caller gives to `refuse`. Of the batch lane one call is
        read in each turn of the event loop, since that may take long and realtime calls wait.
        """
        call.parsed_at = time.monotonic()
        if (canary := call.route.canary) is not None:
            call.weight = call.route.weight
            if call.mode == "stable" and goes_to_canary(call.unit, call.weight):
                call.plan, call.mode = canary, "canary"
        pool = self.pools.get(call.plan.release)
        refusal = None if pool is None else pool.schedule.turned_away(call)
        if call.parsed_at - call.started_at > PASS_SECONDS:
            refusal = _aged(call) or refusal
        if refusal is not None:
            self._refused(call, refusal)
        elif call.parsed_at >= call.deadline:
            self.hopeless(call)
        elif call.lane == "batch":
            self._read_later(call)
        else:
            try:
                if self._read(call):
                    self._attempt(call)
            except Lengthy as reading:
                self._read_in_turns(call, reading)

    def refuse(self, call: Call, fault: Fault) -> None:
        """Answer a call that never reached a queue, and log it as its outcome."""
        outcome = Outcome.REJECTED if fault.status < 500 else Outcome.FAILED
        self._end(call, outcome, fault, sent=False, error=fault.text)

    def expire(self, call: Call) -> None:
        """The time of the attempt is over."""
        waiting = call.queue
        if waiting is not None:
            waiting.remove(call)
        self._timed_out(call, sent=waiting is None and not call.behind)

    def hopeless(self, call: Call) -> None:
        """The call waited until no worker could answer it in time; it is in no queue any more."""
        self._timed_out(call, sent=False)

    def abandoned(self, call: Call) -> None:
        """The client has gone: nothing is done for nobody."""
        self._finish(call)
        self._shed(call, Shed.ABANDONED)
        if (recording := call.recording) is not None:
            recording.told(call, CLIENT_LEFT)

    def sent(self, plan: Plan, batch: Batch) -> None:
        """A batch is on its way to a worker."""
        self._meter.count(telemetry.BATCHES, (plan.name, batch.lane, batch.reason))

    def succeeded(self, batch: Batch, values: list[OutputValues], timing: Timing) -> None:
        """Every call of a batch was answered."""
        now = time.monotonic()
        for together in batch.answered():
            for call in together.calls:
                call.done = True
            self._recorder.add_answered(together, values, timing, now)
            if batch.lane != "shadow":
                self._answer(together, values)
            encode = (time.monotonic() - now) / len(together.calls)
            self._recorder.then(partial(self._left, together, batch.lane, timing, (now, encode)))

    def alone(self) -> None:
        """No other answer of the release is to be expected soon: this one waits for no company."""
        self._recorder.commit()

    def failed(self, call: Call, stage: str, message: str) -> None:
        """The release failed a call on its own: asking it again would fail again.

        Unless the worker fails everything while its siblings answer: then one of them is asked.
        """
        error = f"{stage}: {message}"
        self._log.error(
            "attempt.failed",
            request_id=call.request_id,
            deployment=call.route.name,
            release=call.plan.name,
            worker=call.worker,
            error=error,
            **traced(call),
        )
        pool = call.pool
        call.failures += 1
        if (
            call.failures == 1
            and pool is not None
            and not call.shadow
            and pool.suspects(call.worker)
        ):
            call.avoid = call.worker
            self._ask_again(call, pool, error)
        elif call.mode == "canary":
            self._fall_back(call, error)
        else:
            self._end(call, Outcome.FAILED, internal(call.request_id), error=error)

    def worker_died(self, call: Call, reason: str) -> None:
        """Once, another worker of the release is asked; then stable."""
        call.failures += 1
        pool = call.pool
        alone = pool is None or not pool.takes(call.lane)
        if call.mode == "canary" and (call.failures > 1 or alone):
            self._fall_back(call, reason)
        elif call.failures > 1 or call.mode == "shadow" or pool is None or not pool.workers:
            self._end(call, Outcome.FAILED, internal(call.request_id), error=reason)
        else:
            self._ask_again(call, pool, reason)

    def rested(self, release: str, worker: str) -> None:
        """A worker gets no work for a while."""
        self._meter.count(telemetry.RESTS, (release, worker))

    def stranded(self, call: Call) -> None:
        """The release has no workers any more; the call has not been sent."""
        if call.mode == "canary":
            self._fall_back(call, "no worker", sent=False)
        else:
            fault = unavailable(f"{call.plan.name} has no workers")
            self._end(call, Outcome.FAILED, fault, sent=False, error="no worker")

    def _ask_again(self, call: Call, pool: Pool, error: str) -> None:
        """Repeat an attempt within the release, if its budget of repetitions allows."""
        if not pool.may_retry():
            self._shed(call, Shed.RETRIES)
            fault = unavailable(f"too many attempts at {call.plan.name} have to be repeated")
            self._end(call, Outcome.FAILED, fault, error=error)
            return
        self._record(call, Ended(Outcome.FAILED, False, time.monotonic(), error))
        self._meter.count(telemetry.RETRIES, (call.route.name, "worker"))
        call.attempt += 1
        pool.retry(call)

    def _read_later(self, call: Call) -> None:
        if len(self._unread) >= MOST_UNREAD:
            self._refused(call, Refusal(Shed.FULL))
            return
        self._unread.append(call)
        if not self._reads:
            self._read_soon()

    def _read_soon(self) -> None:
        """Read the next call of the batch lane; not at once while the log is read too late."""
        self._reads = True
        wait = self._recorder.arrears.wait(time.monotonic())
        if wait > 0.0:
            self._loop.call_later(wait, self._read_next)
        else:
            self._loop.call_soon(self._read_next)

    def _read_next(self) -> None:
        self._read_of_batch(self._unread.popleft())
        self._reads = False
        if self._unread:
            self._read_soon()

    def _read_of_batch(self, call: Call) -> None:
        try:
            if call.client.gone:
                self.abandoned(call)
            elif self._read(call):
                self._attempt(call)
        except Lengthy as reading:
            self._read_in_turns(call, reading)
        except Fault as fault:
            self.refuse(call, fault)
        except Exception as error:  # a bug must cost one request, not those behind it
            self._log.error("request.failed", request_id=call.request_id, error=repr(error))
            self.refuse(call, internal(call.request_id))

    def _read_in_turns(self, call: Call, reading: Lengthy) -> None:
        task = self._loop.create_task(self._take_turns(call, reading))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _take_turns(self, call: Call, reading: Lengthy) -> None:
        """Read a call's values little by little, as long as its client waits; then attempt it.

        One call of each lane has its turns at a time: more would make each pass of the event loop
        longer, and a realtime call waits for none of the batch lane.
        """
        try:
            async with asyncio.timeout(call.deadline - time.monotonic()), self._turns[call.lane]:
                for _ in reading.turns:
                    await asyncio.sleep(0)
                    if call.client.gone:
                        self.abandoned(call)
                        return
            if self._read(call):
                self._attempt(call)
        except TimeoutError:
            self.hopeless(call)
        except Lengthy as another:
            self._read_in_turns(call, another)
        except Fault as fault:
            self.refuse(call, fault)
        except Exception as error:  # a bug must cost one request
            self._log.error("request.failed", request_id=call.request_id, error=repr(error))
            self.refuse(call, internal(call.request_id))

    def _read(self, call: Call) -> bool:
        """Take the values for the assigned release; False when the call went on to stable.

        Input that stable takes and the canary does not is the canary's breach of contract.
        """
        try:
            call.take(call.plan)
        except Fault as fault:
            stable = call.route.stable
            if call.mode != "canary" or stable is None:
                raise
            call.take(stable)
            call.forget_values()
            self._fall_back(call, f"input: {fault.text}", sent=False)
            return False
        return True

    def _attempt(self, call: Call) -> None:
        """Queue a call at the end of the pass, with the others that are ready by then."""
        if call.lane == "batch":
            self._recorder.arrears.took(call.rows, time.monotonic())
        if not self._ready:
            self._backlog.after(self._queue_ready)
        self._ready.append(call)

    def _queue_ready(self, _: float) -> None:
        ready, self._ready = self._ready, []
        ways = [ready] if len(ready) == 1 else [list(alike) for _, alike in groupby(ready, _way)]
        for calls in ways:
            try:
                self._queue(calls)
            except Exception as error:  # a bug must cost those whom it is about, not the others
                self._never_queued(calls, error)

    def _never_queued(self, calls: list[Call], error: Exception) -> None:
        for call in calls:
            if call.queue is None and not call.done:
                self._log.error("request.failed", request_id=call.request_id, error=repr(error))
                self.refuse(call, internal(call.request_id))

    def _queue(self, calls: list[Call]) -> None:
        """Queue calls that go the same way."""
        first = calls[0]
        canary, lane = first.mode == "canary", first.lane
        pool = self.pools.get(first.plan.release)
        if pool is None or not (pool.takes(lane) if canary else pool.workers):
            for call in calls:
                self.stranded(call)
            return
        now = time.monotonic()
        for call in calls:
            limit = call.deadline
            call.due = now + (limit - now) * CANARY_SHARE if canary else limit
        self._deadlines.set_all(calls)
        for call, refusal in pool.offer(calls, lane):
            self._refused(call, refusal)

    def _refused(self, call: Call, refusal: Refusal) -> None:
        """There is no room or no time for the call in the release that it is assigned to."""
        self._shed(call, refusal.reason)
        full = refusal.reason is Shed.FULL
        error = "queue full" if full else "no time left"
        if call.mode == "canary":
            self._fall_back(call, error, sent=False, outcome=Outcome.SHED)
            return
        fault = shed(refusal.wait) if full else hopeless(refusal.wait)
        self._close(call, Outcome.SHED, fault, sent=False, error=error)
        self._pacer.give(partial(self._tell, call, fault))

    def _timed_out(self, call: Call, *, sent: bool) -> None:
        if call.client.gone:
            self.abandoned(call)
            return
        if not sent:
            self._shed(call, Shed.EXPIRED)
        if call.mode == "canary" and time.monotonic() < call.deadline:
            self._fall_back(call, "deadline", sent=sent)
            return
        outcome = Outcome.FAILED if sent else Outcome.SHED
        self._end(call, outcome, late(), sent=sent, error="deadline")

    def _shed(self, call: Call, reason: Shed) -> None:
        lane = "shadow" if call.shadow else call.lane
        self._meter.count(telemetry.SHED, (call.route.name, lane, reason.value))

    def _fall_back(
        self, call: Call, error: str, *, sent: bool = True, outcome: Outcome = Outcome.FAILED
    ) -> None:
        """Log the canary's attempt and ask stable instead."""
        self._record(call, Ended(outcome, False, time.monotonic(), error, sent))
        self._meter.count(telemetry.RETRIES, (call.route.name, "canary"))
        stable = call.route.stable
        assert stable is not None  # a canary is only chosen beside a stable release
        call.attempt += 1
        call.failures = 0
        call.avoid = None
        call.company = ANY_COMPANY
        call.worker = None
        call.mode = "stable"
        before, call.plan = call.plan, stable
        try:
            if call.rows and stable.same_inputs == before.same_inputs:
                call.outputs = call.caller.outputs(stable)
            else:
                call.take(stable)
        except Lengthy as reading:
            self._read_in_turns(call, reading)
            return
        except Fault as fault:
            call.forget_values()
            self.refuse(call, fault)
            return
        self._attempt(call)

    def _left(
        self, together: Together, lane: str, timing: Timing, answered: tuple[float, float]
    ) -> None:
        """The answers have left: what nobody waits for is done only now."""
        self._deadlines.clear_all(together.calls)
        if lane != "shadow":
            first, modes = together.calls[0], together.columns.mode
            for mode in set(modes):
                labels = (first.route.name, first.plan.name, mode, first.lane, "200")
                self._meter.count(telemetry.REQUESTS, labels, modes.count(mode))
        self._layers.observe(together, lane, timing, answered)

    def _answer(self, together: Together, values: list[OutputValues]) -> None:
        calls = together.calls
        answers: list[Send] = []
        for call, start in zip(calls, together.starts, strict=True):
            if call.client.gone:
                continue
            try:
                answers.append(call.caller.answer(call, values, start))
            except Exception as error:  # a bug must cost one answer, not the others of its batch
                self._log.error("answer.failed", request_id=call.request_id, error=repr(error))
                answers.append(call.caller.refuse(call, internal(call.request_id)))
        self._recorder.then(*answers)
        if calls[0].route.shadows:
            for call in calls:
                self._shadow(call)

    def _end(
        self, call: Call, outcome: Outcome, fault: Fault, *, error: str, sent: bool = True
    ) -> None:
        """The last attempt did not answer: log it and tell the client."""
        self._close(call, outcome, fault, error=error, sent=sent)
        if not call.shadow:
            self._tell(call, fault)

    def _close(self, call: Call, outcome: Outcome, fault: Fault, *, error: str, sent: bool) -> None:
        """Log the last attempt and count the request."""
        self._finish(call)
        self._record(call, Ended(outcome, not call.shadow, time.monotonic(), error, sent))
        if not call.shadow:
            self._count(call, fault.status)

    def _tell(self, call: Call, fault: Fault) -> None:
        if not call.client.gone:
            self._recorder.then(call.caller.refuse(call, fault))

    def _finish(self, call: Call) -> None:
        call.done = True
        self._deadlines.clear(call)

    def _record(self, call: Call, ended: Ended) -> None:
        self._recorder.add(call, ended)
        if (recording := call.recording) is not None:
            recording.failed(call, ended)

    def _count(self, call: Call, code: int) -> None:
        labels = (call.route.name, call.plan.name, call.mode, call.lane, str(code))
        self._meter.count(telemetry.REQUESTS, labels)
        if (recording := call.recording) is not None:
            recording.told(call, code)

    def _shadow(self, call: Call) -> None:
        """Send copies to the shadow releases, after the answer was handed over."""
        route = call.route
        if call.mode == "explicit":
            return
        if goes_to_shadow(call.unit, route.shadow_ratio):
            for plan in route.shadows:
                self._recorder.then(self._copy_to(plan, call))

    def _copy_to(self, plan: Plan, call: Call) -> Callable[[], None]:
        return lambda: self._send_copy(call.shadow_copy(plan), call.plan)

    def _send_copy(self, copy: Call, answered: Plan) -> None:
        pool: Pool | None = self.pools.get(copy.plan.release)
        copy.started_at = time.monotonic()
        copy.deadline = copy.started_at + copy.route.deadline
        try:
            if copy.plan.same_inputs != answered.same_inputs:
                copy.inputs = copy.caller.inputs(copy.plan, copy.route.key)
                copy.rows = copy.inputs.rows
        except Lengthy:
            self._meter.count(telemetry.SHADOW_DROPPED, (copy.route.name,))
            return
        except Fault as fault:
            copy.queued_at = 0.0
            self._end(copy, Outcome.FAILED, fault, sent=False, error=f"input: {fault.text}")
            return
        self._deadlines.set(copy, copy.deadline)
        if pool is None or not pool.takes("shadow") or pool.offer([copy], "shadow"):
            self._deadlines.clear(copy)
            self._meter.count(telemetry.SHADOW_DROPPED, (copy.route.name,))


_way = attrgetter("plan", "mode", "lane")


def _aged(call: Call) -> Refusal | None:
    """A refusal of a call that waited too long for its turn to be read."""
    waited = call.parsed_at - call.started_at
    if waited <= MOST_AGE * (call.deadline - call.started_at):
        return None
    return Refusal(Shed.DEADLINE, waited)
