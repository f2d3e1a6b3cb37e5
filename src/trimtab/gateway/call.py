"""One inference on its way: the mutable object that queues, workers and the log pass around."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trimtab.gateway.faults import Fault
from trimtab.gateway.plan import Plan
from trimtab.gateway.tracing import Recording, Trace
from trimtab.gateway.values import Inputs, OutputValues

if TYPE_CHECKING:
    from trimtab.gateway.batch import Cut
    from trimtab.gateway.lane import Lane
    from trimtab.gateway.pool import Pool
    from trimtab.gateway.table import RouteView

Send = Callable[[], None]

ANY_COMPANY = 1 << 30
"""As many calls in a batch as may be in one."""


class Client(Protocol):
    """Whoever waits for an answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...


@dataclass(frozen=True, slots=True)
class NoClient:
    """Stands where a shadow's copy would have a client: it never goes."""

    gone: bool = False


class Caller(Protocol):
    """Who asked, in the protocol that was spoken: how the question is read, how it is answered.

    A question is read again when another release is to answer it, so nothing in it may be used up.
    """

    @property
    def client(self) -> Client:
        """Who waits for the answer."""
        ...

    @property
    def came_at(self) -> float:
        """When the question was whole, of the monotonic clock."""
        ...

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a 400 `Fault`."""
        ...

    def outputs(self, plan: Plan) -> tuple[int, ...] | None:
        """Positions of the outputs that were asked for, None for all; raises a 400 `Fault`."""
        ...

    def answer(self, call: "Call", values: Sequence[OutputValues], start: int) -> Send:
        """Encode the answer from the batch's rows `start` on; what is returned sends it."""
        ...

    def refuse(self, call: "Call", fault: Fault) -> Send:
        """Encode a refusal; what is returned sends it."""
        ...

    def told(self, code: int) -> dict[str, str | int]:
        """How the protocol says the code of HTTP `code`, as attributes of a span."""
        ...


_NO_CLIENT = NoClient()


class Call:
    """A request (or a shadow copy of one, which nobody waits for) and its current attempt.

    `client` is who waits for it. Times ending in `_at` are epoch seconds for `received_at` and
    `event_time`, else monotonic. `company` is the most calls of a batch it may be in, `avoid` a
    worker that is not asked again, `behind` whether its worker is still busy with another batch;
    `failures` counts the times it was lost or failed by one. `rows` is 0 while its values have not
    been read, `size` about the bytes they hold. `due` is when the attempt expires, and `expiry`
    where that is noted. `queue` is the lane where it waits, `cut` what became of it while it is
    sent in parts. `trace` is the trace of its client, if that is in one.
    """

    __slots__ = (
        "attempt",
        "avoid",
        "behind",
        "caller",
        "client",
        "company",
        "cut",
        "deadline",
        "done",
        "due",
        "event_time",
        "expiry",
        "failures",
        "freed_at",
        "inputs",
        "lane",
        "mode",
        "outputs",
        "parsed_at",
        "plan",
        "pool",
        "queue",
        "queued_at",
        "received_at",
        "request_id",
        "route",
        "rows",
        "sent_at",
        "shadow",
        "size",
        "started_at",
        "trace",
        "unit",
        "weight",
        "worker",
    )

    def __init__(
        self, caller: Caller, route: "RouteView", plan: Plan, client: Client = _NO_CLIENT
    ) -> None:
        self.caller = caller
        self.client = client
        self.route = route
        self.plan = plan
        self.request_id = ""
        self.company = ANY_COMPANY
        self.attempt = 0
        self.failures = 0
        self.done = False
        self.shadow = self.behind = False
        self.pool: Pool | None = None
        self.queue: Lane | None = None
        self.cut: Cut | None = None
        self.avoid: str | None = None
        self.expiry: dict[Call, None] | None = None
        self.trace: Trace | None = None
        self.parsed_at = self.queued_at = self.freed_at = self.sent_at = 0.0
        self.worker: str | None = None
        self.outputs: tuple[int, ...] | None = None
        self.mode = "stable"
        self.lane = "realtime"
        self.unit = self.weight = self.rows = self.size = 0
        self.inputs: Inputs | None = None
        self.due = self.event_time = self.received_at = self.started_at = self.deadline = 0.0

    @property
    def recording(self) -> Recording | None:
        """Takes the spans of a call whose trace is recorded."""
        return None if self.trace is None else self.trace.recording

    def take(self, plan: Plan) -> None:
        """Read the question as `plan` wants it; raises a 400 `Fault`."""
        outputs = self.caller.outputs(plan)
        self.inputs = self.caller.inputs(plan, self.route.key)
        self.outputs = outputs
        self.rows = self.inputs.rows

    def reached(self, now: float) -> None:
        """The worker that has the call gets to it."""
        self.behind = False
        self.sent_at = self.freed_at = now
        if (recording := self.recording) is not None:
            recording.reached(self)

    def forget_values(self) -> None:
        """Nothing is known of the values: they could not be read."""
        self.inputs = None
        self.rows = 0

    def shadow_copy(self, plan: Plan) -> "Call":
        """The same request for a shadow release, answered to nobody."""
        copy = Call(self.caller, self.route, plan)
        copy.request_id = self.request_id
        copy.shadow = True
        copy.trace = None if self.trace is None else self.trace.for_shadow()
        copy.mode = "shadow"
        copy.lane = self.lane
        copy.unit, copy.weight = self.unit, self.weight
        copy.rows, copy.inputs = self.rows, self.inputs
        copy.event_time, copy.received_at = self.event_time, self.received_at
        return copy
