"""Sending spans and metrics to a collector, beside the requests and never in their way.

Spans wait in a queue that is bounded, and what does not fit is dropped and counted. They are
encoded a few at a time between requests. A collector that does not answer is asked again, ever more
rarely.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Protocol

from trimtab.domain import telemetry
from trimtab.domain.otel import Destination, Export
from trimtab.gateway.collector import Collector, Reply
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.otlp import (
    encoded_spans,
    metrics_request,
    refused,
    resource_of,
    span_request,
)
from trimtab.gateway.peers import Look
from trimtab.gateway.protobuf import ProtobufError
from trimtab.gateway.series import begin_exports
from trimtab.gateway.tracing import Spans, Tracer

MOST_WAITING = 20_000
"""Spans that may wait; about 10 MB."""
BATCH = 4_096
"""Spans that are sent at once."""
AT_A_TIME = 8
"""Requests whose spans are encoded in one turn of the event loop: about a quarter of a millisecond.
"""
DELAY_SECONDS = 1.0
"""How long spans wait for company."""
TRIES = 5
FIRST_PAUSE, LAST_PAUSE = 1.0, 30.0
FAREWELL_SECONDS = 3.0
"""How long a gateway that ends tries to get rid of its last spans and numbers."""


class Sender(Protocol):
    """Something that is sent for as long as the gateway runs."""

    async def run(self) -> None:
        """Send again and again; ends only when it is cancelled."""

    async def finish(self) -> None:
        """Send what is left, once."""


class Exports:
    """What of a gateway is exported. Metrics are those of all processes, so one gateway sends them.

    `look` makes the counts of `meter` those of all. `instance` tells this machine's service from
    others of the same name.
    """

    def __init__(
        self, export: Export, meter: Meter, look: Look, log: Log, *, index: int, instance: str
    ) -> None:
        resource = resource_of({"service.instance.id": instance, **export.attributes})
        self._senders: list[Sender] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.tracer = Tracer()
        if export != Export():
            begin_exports(meter)
        if export.traces is not None:
            spans = SpanSender(_Line("traces", export.traces, meter, log), resource, meter)
            self.tracer = Tracer(spans.take, export.ratio, parent_based=export.parent_based)
            self._senders.append(spans)
        if export.metrics is not None and index == 0:
            line = _Line("metrics", export.metrics, meter, log)
            self._senders.append(MetricSender(line, resource, meter, look, export.metrics_seconds))

    def start(self) -> None:
        """Begin to send."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(sender.run()) for sender in self._senders]

    async def finish(self) -> None:
        """Send what is left, within a bounded time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await asyncio.gather(*(sender.finish() for sender in self._senders))
        except TimeoutError:
            return


class _Line:
    """Posts to one destination, counts failures, and logs when they begin and end."""

    def __init__(self, signal: str, to: Destination, meter: Meter, log: Log) -> None:
        self._signal = signal
        self._collector = Collector(to)
        self._meter = meter
        self._log = log
        self._works = True

    async def post(self, message: bytes) -> Reply:
        """What became of a message; status 0 when nobody answered."""
        problem = ""
        try:
            reply = await self._collector.post(message)
            if not reply.taken:
                problem = f"it answered {reply.status}"
        except (OSError, ValueError) as error:  # a certificate that is none is a ValueError
            reply, problem = Reply(), str(error) or type(error).__name__
        if problem:
            self._meter.count(telemetry.EXPORT_FAILURES, (self._signal,))
        if problem and self._works:
            facts = {"signal": self._signal, "url": self._collector.shown, "error": problem}
            self._log.error("export.failed", **facts)
        elif not problem and not self._works:
            self._log.info("export.works", signal=self._signal, url=self._collector.shown)
        self._works = not problem
        return reply

    def complain(self, count: int, why: str) -> None:
        """The collector refused some of what it took."""
        self._log.error("export.refused", signal=self._signal, count=count, error=why)


class SpanSender:
    """Spans of sampled requests. `take` is what the tracer gives them to."""

    def __init__(self, line: _Line, resource: bytes, meter: Meter) -> None:
        self._line = line
        self._resource = resource
        self._meter = meter
        self._waiting: deque[Spans] = deque()
        self._count = 0
        self._many = asyncio.Event()
        self._sending: asyncio.Future[None] | None = None

    def take(self, request: Spans) -> None:
        """Let the spans of a request wait, or drop them when there is no room."""
        if self._count + len(request.spans) > MOST_WAITING:
            self._drop("full", len(request.spans))
            return
        self._waiting.append(request)
        self._count += len(request.spans)
        if self._count >= BATCH:
            self._many.set()

    async def run(self) -> None:
        """Send when there are many, or when some have waited."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._many.wait(), DELAY_SECONDS)
            self._many.clear()
            while self._waiting:
                self._sending = asyncio.ensure_future(self._send(TRIES))
                await asyncio.shield(self._sending)

    async def finish(self) -> None:
        """Let what is on its way arrive and send what is left; what is not taken at once is
        dropped."""
        if self._sending is not None:
            await self._sending
        while self._waiting:
            await self._send(1)

    async def _send(self, tries: int) -> None:
        count, message = await self._next()
        pause = FIRST_PAUSE
        for number in range(1, tries + 1):
            reply = await self._line.post(message)
            if reply.taken:
                self._taken(count, reply)
                return
            if reply.status and not reply.try_again:
                self._drop("refused", count)
                return
            if number < tries:
                await asyncio.sleep(max(pause, min(reply.pause, LAST_PAUSE)))
                pause = min(2 * pause, LAST_PAUSE)
        self._drop("unreachable", count)

    async def _next(self) -> tuple[int, bytes]:
        """Some spans of those that wait the longest."""
        parts: list[bytes] = []
        count = 0
        while self._waiting and count < BATCH:
            for _ in range(min(AT_A_TIME, len(self._waiting))):
                request = self._waiting.popleft()
                count += len(request.spans)
                self._count -= len(request.spans)
                parts.append(encoded_spans(request))
            await asyncio.sleep(0)
        return count, span_request(self._resource, parts)

    def _taken(self, count: int, reply: Reply) -> None:
        try:
            lost, why = refused(reply.body)
        except ProtobufError:
            lost, why = 0, ""
        self._meter.count(telemetry.SPANS, (), count - min(lost, count))
        if lost:
            self._drop("refused", min(lost, count))
            self._line.complain(lost, why)

    def _drop(self, reason: str, count: int) -> None:
        self._meter.count(telemetry.SPANS_DROPPED, (reason,), count)


class MetricSender:
    """All that the processes of this machine have counted, every so many seconds.

    Sums and histograms are cumulative, so one that did not arrive is made good by the next.
    """

    def __init__(
        self, line: _Line, resource: bytes, meter: Meter, look: Look, every: float
    ) -> None:
        self._line = line
        self._resource = resource
        self._meter = meter
        self._look = look
        self._every = max(every, 1.0)

    async def run(self) -> None:
        """Send again and again."""
        while True:
            await asyncio.sleep(self._every)
            await self.finish()

    async def finish(self) -> None:
        """Send what was counted so far."""
        await self._look()
        await self._line.post(metrics_request(self._resource, self._meter.totals(), time.time()))
