"""A call's part in a trace: what is handed to the worker, and the spans where they are recorded.

A call that nobody traces has no `Trace`, and costs nothing. One that is traced elsewhere and not
recorded here hands on what came. Of a recorded call the times are noted while it goes its way, and
its spans are made when it is over: one for the request, one for each attempt at a worker, and one
for every layer (see `trimtab.gateway.layers`).
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from trimtab.domain.trace_context import SAMPLED, TraceContext

if TYPE_CHECKING:
    from trimtab.gateway.batch import Timing
    from trimtab.gateway.call import Call
    from trimtab.gateway.record import Ended

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of spans, as OTLP numbers them."""
CLIENT_LEFT = 499
"""What is told of a request whose client did not wait; nginx calls it so."""

Attributes = Mapping[str, str | int | float | bool]


class Span(msgspec.Struct, frozen=True, gc=False):
    """A piece of a request's way. Ids are 8 bytes, `parent` also none; times are monotonic.

    `error` is None where nothing went wrong.
    """

    id: bytes
    parent: bytes
    name: str
    kind: int
    start: float
    end: float
    attributes: Attributes = {}
    error: str | None = None


class Spans(msgspec.Struct, frozen=True, gc=False):
    """All spans of one request. Its times and `epoch` make seconds since 1970."""

    trace_id: bytes
    state: str
    epoch: float
    spans: list[Span]


Take = Callable[[Spans], None]
"""Who gets the spans of requests that are over; returns at once."""


class Trace:
    """The trace that a call belongs to, and what of it is recorded here, if anything is."""

    __slots__ = ("_context", "recording")

    def __init__(self, context: TraceContext, recording: "Recording | None" = None) -> None:
        self._context = context
        self.recording = recording

    @property
    def id(self) -> str:
        """The trace id, 32 hex digits."""
        return self._context.trace_id

    @property
    def answered_by(self) -> str | None:
        """The value of `traceresponse`: which span here answered, where one is recorded."""
        if self.recording is None:
            return None
        return self._context.traceparent

    def handed_on(self, call: "Call") -> dict[str, str]:
        """The headers that tell a worker of the trace; the attempt at it begins."""
        if self.recording is None:
            return self._context.headers
        attempt = self.recording.sent(call)
        return msgspec.structs.replace(self._context, parent_id=attempt.hex()).headers

    def for_shadow(self) -> "Trace":
        """The same for a copy that nobody waits for."""
        recording = self.recording
        return Trace(self._context, None if recording is None else recording.for_shadow())


class Tracer:
    """Decides what is recorded. `take` is None where no spans are wanted."""

    def __init__(
        self, take: Take | None = None, ratio: float = 1.0, *, parent_based: bool = True
    ) -> None:
        self._take = take
        self._bound = round(ratio * 2**64)
        self._parent_based = parent_based
        self.begins = take is not None
        """Whether a call without a trace may begin one."""

    def begin(self, client: TraceContext | None) -> Trace | None:
        """The part of a call whose client is in this trace, or in none."""
        if self._take is None:
            return None if client is None else Trace(client)
        number = int(client.trace_id, 16) if client is not None else random.getrandbits(128) or 1
        if client is not None and self._parent_based:
            sampled = client.sampled
        else:
            sampled = number & (2**64 - 1) < self._bound
        if not sampled:
            return None if client is None else Trace(_unsampled(client))
        span, trace = new_id(), number.to_bytes(16)
        flags, state = (SAMPLED, "") if client is None else (client.flags | SAMPLED, client.state)
        parent = b"" if client is None else bytes.fromhex(client.parent_id)
        context = TraceContext(trace.hex(), span.hex(), flags, state)
        return Trace(context, Recording(self._take, context, span, parent))


class Recording:
    """Notes what happens to one call, and makes its spans when it is over."""

    __slots__ = ("_attempt", "_context", "_over", "_parent", "_root", "_routed", "_spans", "_take")

    def __init__(self, take: Take, context: TraceContext, root: bytes, parent: bytes) -> None:
        self._take = take
        self._context = context
        self._root = root
        self._parent = parent
        self._spans: list[Span] = []
        self._routed = 0.0
        self._attempt: _Attempt | None = None
        self._over = False

    def for_shadow(self) -> "Recording":
        """The same for a copy, whose span lies below this one."""
        return Recording(self._take, self._context, new_id(), self._root)

    def sent(self, call: "Call") -> bytes:
        """The call, or a part of it, goes to a worker; returns the span of that attempt."""
        attempt = self._attempt
        if attempt is not None and attempt.sent_at == call.sent_at:
            return attempt.id
        if attempt is not None:
            self._close(call, attempt, time.monotonic(), "repeated in less company")
        self._attempt = attempt = _Attempt(call)
        self._routed = self._routed or call.queued_at
        return attempt.id

    def reached(self, call: "Call") -> None:
        """The worker gets to a call that it was sent while it was busy with others."""
        if self._attempt is not None:
            self._attempt.freed_at, self._attempt.sent_at = call.freed_at, call.sent_at

    def failed(self, call: "Call", ended: "Ended") -> None:
        """An attempt did not answer; another may follow."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._close(call, attempt, ended.at, ended.error or ended.outcome)
        elif call.queued_at:
            self._routed = self._routed or call.queued_at
            self._layer("queue", call.queued_at, ended.at)
        if call.shadow:
            self._end(call, ended.at, 0, ended.error)

    def told(self, call: "Call", code: int) -> None:
        """The client is told so. An answer is over only when it is encoded."""
        if code != 200:
            self._end(call, time.monotonic(), code, None if code < 500 else str(code))

    def answered(self, call: "Call", timing: "Timing", now: float, encode: float) -> None:
        """The last attempt answered, and the answer took `encode` seconds."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._close(call, attempt, now, None)
            # Where in the worker's time the work lay is not known; both ways are taken to be alike.
            began = now - (now - attempt.sent_at - timing.features - timing.model) / 2
            began -= timing.features + timing.model
            featured = began + timing.features
            self._layer("features", began, featured, attempt.id)
            self._layer("model", featured, featured + timing.model, attempt.id)
        self._layer("encode", now, now + encode)
        self._end(call, now + encode, 0 if call.shadow else 200, None)

    def _close(self, call: "Call", attempt: "_Attempt", end: float, error: str | None) -> None:
        ready = max(attempt.queued_at, attempt.freed_at)
        self._layer("queue", attempt.queued_at, ready)
        self._layer("batch_wait", ready, max(ready, attempt.sent_at))
        facts: Attributes = {
            "trimtab.release": call.plan.name,
            "trimtab.worker": attempt.worker,
            "trimtab.attempt": call.attempt,
        }
        name = f"attempt {call.plan.name}"
        span = Span(attempt.id, self._root, name, CLIENT, attempt.sent_at, end, facts, error)
        self._spans.append(span)

    def _layer(self, name: str, start: float, end: float, parent: bytes | None = None) -> None:
        span = Span(new_id(), parent or self._root, name, INTERNAL, start, max(start, end))
        self._spans.append(span)

    def _end(self, call: "Call", end: float, code: int, error: str | None) -> None:
        if self._over:
            return
        self._over = True
        if call.parsed_at:
            self._layer("parse", call.started_at, call.parsed_at)
            self._layer("route", call.parsed_at, self._routed or end)
        kind = "shadow" if call.shadow else "infer"
        self._spans.append(
            Span(
                self._root,
                self._parent,
                f"{kind} {call.route.name}",
                INTERNAL if call.shadow else SERVER,
                call.started_at,
                end,
                _facts(call, code),
                error,
            )
        )
        epoch = call.received_at - call.started_at
        if call.shadow:  # it was received with the request that it is a copy of
            epoch = time.time() - time.monotonic()
        trace = bytes.fromhex(self._context.trace_id)
        self._take(Spans(trace, self._context.state, epoch, self._spans))


class _Attempt:
    """When a call went to a worker, before a later attempt overwrites it."""

    __slots__ = ("freed_at", "id", "queued_at", "sent_at", "worker")

    def __init__(self, call: "Call") -> None:
        self.id = new_id()
        self.queued_at = call.queued_at
        self.freed_at = call.freed_at
        self.sent_at = call.sent_at
        self.worker = call.worker or ""


def _facts(call: "Call", code: int) -> Attributes:
    facts: dict[str, str | int | float | bool] = {
        "trimtab.request_id": call.request_id,
        "trimtab.deployment": call.route.name,
        "trimtab.release": call.plan.name,
        "trimtab.mode": call.mode,
        "trimtab.lane": call.lane,
        "trimtab.rows": call.rows,
        "trimtab.attempts": call.attempt + 1,
    }
    return facts | call.caller.told(code) if code else facts


def _unsampled(client: TraceContext) -> TraceContext:
    """What is handed on of a trace that is not recorded here, although its client did that."""
    if not client.sampled:
        return client
    return msgspec.structs.replace(client, parent_id=new_id().hex(), flags=client.flags & ~SAMPLED)


def new_id() -> bytes:
    """A span id."""
    return (random.getrandbits(64) or 1).to_bytes(8)


def traced(call: "Call") -> dict[str, str]:
    """The trace id as a field of a log line; nothing when there is none."""
    return {} if call.trace is None else {"trace_id": call.trace.id}
