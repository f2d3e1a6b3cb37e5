"""Where every protocol hands over what it has read: a call gets its id, times and deadline."""

import os
from itertools import count

from trimtab.domain.trace_context import TraceContext
from trimtab.gateway.asked import Asked
from trimtab.gateway.assign import unit_hash
from trimtab.gateway.backlog import Backlog
from trimtab.gateway.call import Call, Caller
from trimtab.gateway.dispatch import Dispatcher
from trimtab.gateway.faults import Fault, unavailable
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import RouteView
from trimtab.gateway.tracing import Tracer
from trimtab.gateway.wake import Waker


class Intake:
    """Makes calls and gives them to the dispatcher, while the backlog has a pass."""

    def __init__(
        self, dispatcher: Dispatcher, waker: Waker, tracer: Tracer, backlog: Backlog
    ) -> None:
        self._dispatcher = dispatcher
        self._waker = waker
        self._tracer = tracer
        self._backlog = backlog
        self._id_prefix = os.urandom(6).hex()
        self._numbers = count(1)

    def make_id(self) -> str:
        """A request id that no other gateway process makes."""
        return f"{self._id_prefix}-{next(self._numbers)}"

    def can_answer(self, plan: Plan) -> bool:
        """Whether a worker of the release is connected."""
        pool = self._dispatcher.pools.get(plan.release)
        return pool is not None and pool.connected > 0

    def begin(
        self,
        caller: Caller,
        route: RouteView,
        explicit: Plan | None,
        trace: TraceContext | None = None,
    ) -> Call:
        """A call whose time runs; raises a 503 `Fault` when no release could answer it.

        `trace` is the trace that the client is in. The workers of a sleeping deployment are asked
        for; the call waits for them in its queue."""
        plan = explicit or route.stable
        if plan is None:
            raise unavailable(f"{route.name} has no release that can answer")
        if route.asleep:
            self._waker.wake(route.name)
        call = Call(caller, route, plan, caller.client)
        call.started_at = came_at = caller.came_at
        call.received_at = call.event_time = came_at + self._backlog.epoch
        call.deadline = came_at + route.deadline
        if trace is not None or self._tracer.begins:
            call.trace = self._tracer.begin(trace)
        if explicit is not None:
            call.mode = "explicit"
        return call

    def submit(self, call: Call, request_id: str | None, asked: Asked) -> None:
        """Queue a call; raises a `Fault` that the caller gives to `refuse`."""
        call.request_id = request_id or self.make_id()
        if asked.event_time is not None:
            call.event_time = asked.event_time
        if asked.timeout is not None:
            call.deadline = min(call.deadline, call.started_at + asked.timeout)
        call.lane = asked.lane
        # A unit is kept without a rollout too: by it the observer tells callers apart.
        if call.route.assigns or asked.unit is not None:
            call.unit = unit_hash(call.route.rollout, asked.unit or call.request_id)
        self._dispatcher.submit(call)

    def refuse(self, call: Call, fault: Fault) -> None:
        """Answer a call that never reached a queue."""
        call.request_id = call.request_id or self.make_id()
        self._dispatcher.refuse(call, fault)
