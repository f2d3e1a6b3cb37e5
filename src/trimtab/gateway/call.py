"""One inference on its way: the mutable object that queues, workers and the log pass around."""

import asyncio
from typing import TYPE_CHECKING, Any

from trimtab.gateway.http11 import Exchange
from trimtab.gateway.oip import Body, Inputs
from trimtab.gateway.plan import Plan

if TYPE_CHECKING:
    from trimtab.gateway.pool import Pool
    from trimtab.gateway.table import RouteView


class Call:
    """A request (or a shadow copy of one, without an exchange) and its current attempt.

    Times ending in `_at` are epoch seconds for `received_at`, else of the event loop's clock.
    `alone` keeps the call from being batched; `deaths` counts workers that died with it.
    """

    __slots__ = (
        "alone",
        "attempt",
        "body",
        "columns",
        "deadline",
        "deaths",
        "done",
        "event_time",
        "exchange",
        "key",
        "lane",
        "mode",
        "outputs",
        "plan",
        "pool",
        "queued_at",
        "received_at",
        "request_id",
        "route",
        "rows",
        "sent_at",
        "started_at",
        "timer",
        "unit",
        "waiting",
        "weight",
        "worker",
    )

    def __init__(self, exchange: Exchange | None, route: "RouteView", request_id: str) -> None:
        self.exchange = exchange
        self.route = route
        self.request_id = request_id
        self.alone = False
        self.attempt = 0
        self.deaths = 0
        self.done = False
        self.waiting = False
        self.timer: asyncio.TimerHandle | None = None
        self.pool: Pool | None = None
        self.queued_at = self.sent_at = 0.0
        self.worker: str | None = None
        self.outputs: tuple[int, ...] | None = None
        self.mode = "stable"
        self.lane = "realtime"
        self.unit = self.weight = self.rows = 0
        self.key: list[str | None] | None = None
        self.columns: list[list[Any]] = []
        self.event_time = self.received_at = self.started_at = self.deadline = 0.0
        self.plan: Plan
        self.body: Body

    def take(self, inputs: Inputs) -> None:
        """Use these values from now on."""
        self.rows = inputs.rows
        self.columns = inputs.columns
        self.key = inputs.key

    def shadow_copy(self, plan: Plan) -> "Call":
        """The same request for a shadow release, answered to nobody."""
        copy = Call(None, self.route, self.request_id)
        copy.plan = plan
        copy.mode = "shadow"
        copy.lane = self.lane
        copy.unit, copy.weight = self.unit, self.weight
        copy.rows, copy.columns, copy.key = self.rows, self.columns, self.key
        copy.event_time, copy.received_at = self.event_time, self.received_at
        copy.body = self.body
        return copy

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.exchange is not None and self.exchange.abandoned

    def finish(self) -> None:
        """No further attempt, no timer."""
        self.done = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
