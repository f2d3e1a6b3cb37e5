"""The request log of one gateway: attempts are spooled before their answers leave."""

import asyncio
from collections.abc import Callable

import msgspec

from trimtab.domain import telemetry
from trimtab.gateway.call import Call
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.values import OutputValues
from trimtab.ports.logsink import Entry, LabelBlock, LogSchema, LogSink


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended. `at` is monotonic; `sent` whether a worker had it."""

    outcome: str
    final: bool
    at: float
    error: str | None = None
    sent: bool = True
    model_seconds: float | None = None


class Recorder:
    """Collects attempts with `add`, and runs `then` callbacks once they are in the spool.

    What one turn of the event loop adds is spooled with one write.
    """

    def __init__(self, sink: LogSink, meter: Meter, log: Log) -> None:
        self._sink = sink
        self._meter = meter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._entries: dict[LogSchema, list[Entry]] = {}
        self._answers: list[Callable[[], None]] = []
        self._scheduled = False

    def add(
        self, call: Call, ended: Ended, values: list[OutputValues] | None = None, start: int = 0
    ) -> None:
        """Log one attempt; `values` from row `start` on are its outputs."""
        schema = call.route.schema(call.plan)
        entries = self._entries.get(schema)
        if entries is None:
            entries = self._entries[schema] = []
        entries.append(_entry(call, ended, values, start))
        self._schedule()

    def then(self, answer: Callable[[], None]) -> None:
        """Call `answer` after everything added so far was given to the spool."""
        self._answers.append(answer)
        self._schedule()

    async def add_labels(self, block: LabelBlock) -> None:
        """Log labels; returns when they are durable. Raises `OSError`."""
        descriptor = self._sink.spool_labels(block)
        await asyncio.to_thread(self._sink.sync, descriptor)
        self._meter.count(telemetry.LABELS, (block.deployment,), len(block))

    async def flush(self) -> None:
        """Hand over what is spooled."""
        self._commit()
        try:
            self._sink.seal()
        except OSError as error:
            self._log.error("log.seal_failed", error=str(error))

    def close(self) -> None:
        """Spool and hand over what is left."""
        self._commit()
        try:
            self._sink.close()
        except OSError as error:
            self._log.error("log.seal_failed", error=str(error))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        """One write for all new attempts, then the answers that waited for it."""
        self._scheduled = False
        if self._entries:
            self._spool()
        answers, self._answers = self._answers, []
        for answer in answers:
            try:
                answer()
            except Exception as error:  # one client's connection must not cost the others' answers
                self._log.error("answer.failed", error=repr(error))

    def _spool(self) -> None:
        """A disk that refuses costs rows, which are counted, and no answers."""
        entries, self._entries = self._entries, {}
        metric = telemetry.LOG_ROWS
        try:
            self._sink.spool(list(entries.items()))
        except OSError as error:
            self._log.error("log.spool_failed", error=str(error))
            metric = telemetry.LOG_DROPPED
        for schema, attempts in entries.items():
            rows = sum(entry.rows for entry in attempts)
            self._meter.count(metric, (schema.deployment,), rows)


def _entry(call: Call, ended: Ended, values: list[OutputValues] | None, start: int) -> Entry:
    rows, inputs = call.rows, call.inputs
    queue_end = call.sent_at if ended.sent else ended.at
    return Entry(
        call.request_id,
        rows or 1,
        call.event_time,
        call.received_at,
        call.mode,
        call.lane,
        call.route.rollout,
        call.weight,
        call.unit,
        call.attempt,
        ended.final,
        ended.outcome,
        ended.error,
        call.worker if ended.sent else None,
        queue_end - call.queued_at if call.queued_at else None,
        ended.model_seconds,
        ended.at - call.started_at,
        None if inputs is None else inputs.logged,
        None if inputs is None else inputs.key,
        None if values is None else [each.logged(start, rows) for each in values],
    )
