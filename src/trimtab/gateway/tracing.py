"""A call's part in the trace of its client (W3C Trace Context)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trimtab.domain.trace_context import TraceContext

if TYPE_CHECKING:
    from trimtab.gateway.call import Call


class Trace:
    """The trace that a call belongs to; a call without one has no `Trace`."""

    __slots__ = ("_context",)

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    @property
    def id(self) -> str:
        """The trace id, 32 hex digits."""
        return self._context.trace_id

    def handed_on(self) -> dict[str, str]:
        """What tells a worker of the trace: as it came, since nothing is recorded here."""
        return self._context.headers


def handed_on(calls: Iterable["Call"]) -> list[dict[str, str]]:
    """What a worker is told of the traces of a batch; empty when no call has one."""
    return [call.trace.handed_on() for call in calls if call.trace is not None]


def traced(call: "Call") -> dict[str, str]:
    """The trace id as a field of a log line; nothing when there is none."""
    return {} if call.trace is None else {"trace_id": call.trace.id}
