"""The request log of one gateway: rows and labels buffered, spooled before the answer leaves,
sealed into segments by a thread of their own."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trimtab.domain import telemetry
from trimtab.domain.records import FIXED_COLUMNS
from trimtab.gateway.call import Call
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.wire import OutputValues
from trimtab.ports.logsink import Block, LabelBlock, LogSchema, LogSink, Sealed

SEAL_ROWS = 5_000
MAX_BUFFERED_ROWS = 200_000
"""Rows kept in memory while the disk is slow; what comes on top is dropped and counted."""

MAX_UNPUBLISHED = 16
"""Sealed spools that may wait for a disk that fails, before the oldest is given up."""

_FIXED = len(FIXED_COLUMNS)


class Buffer:
    """Rows of one schema that are not sealed yet; `spooled` of them are in the spool."""

    __slots__ = ("fixed", "inputs", "outputs", "rows", "schema", "spooled")

    def __init__(self, schema: LogSchema) -> None:
        self.schema = schema
        self.fixed: list[list[Any]] = [[] for _ in range(_FIXED)]
        self.inputs: list[list[Any]] = [[] for _ in schema.inputs]
        self.outputs: list[list[Any]] = [[] for _ in schema.outputs]
        self.rows = 0
        self.spooled = 0

    def block(self, start: int = 0) -> Block:
        """The rows from `start`."""
        if start == 0:
            return Block(self.schema, self.fixed, self.inputs, self.outputs)
        return Block(
            self.schema,
            [column[start:] for column in self.fixed],
            [column[start:] for column in self.inputs],
            [column[start:] for column in self.outputs],
        )

    def drop_unspooled(self) -> int:
        """Forget the rows the spool refused; returns how many."""
        dropped = self.rows - self.spooled
        for column in (*self.fixed, *self.inputs, *self.outputs):
            del column[self.spooled :]
        self.rows = self.spooled
        return dropped


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended. `at` is of the loop's clock; `sent` whether a worker had it."""

    outcome: str
    final: bool
    at: float
    error: str | None = None
    sent: bool = True
    model_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Unpublished:
    sealed: Sealed
    blocks: Sequence[Block]
    labels: Sequence[LabelBlock]


class Recorder:
    """Collects rows with `add`, and runs `then` callbacks once the rows are in the spool.

    What one turn of the event loop adds is spooled with one write.
    """

    def __init__(self, sink: LogSink, meter: Meter, log: Log) -> None:
        self._sink = sink
        self._meter = meter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._buffers: dict[LogSchema, Buffer] = {}
        self._labels: list[LabelBlock] = []
        self._rows = 0
        self._answers: list[Callable[[], None]] = []
        self._scheduled = False
        self._unpublished: deque[_Unpublished] = deque()
        self._publishing: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segments")

    def add(
        self, call: Call, ended: Ended, values: list[OutputValues] | None = None, start: int = 0
    ) -> None:
        """Log one attempt; `values` from row `start` on are its outputs."""
        schema = call.route.schema(call.plan)
        buffer = self._buffers.get(schema)
        if buffer is None:
            buffer = self._buffers[schema] = Buffer(schema)
        rows = call.rows or 1
        _add_fixed(buffer.fixed, call, ended, rows)
        _add_inputs(buffer.inputs, call, rows)
        for position, column in enumerate(buffer.outputs):
            if values is None:
                column.extend([None] * rows)
            else:
                column.extend(values[position].logged[start : start + rows])
        buffer.rows += rows
        self._rows += rows
        self._schedule()

    def then(self, answer: Callable[[], None]) -> None:
        """Call `answer` after everything added so far was given to the spool."""
        self._answers.append(answer)
        self._schedule()

    async def add_labels(self, block: LabelBlock) -> None:
        """Log labels; returns when they are durable. Raises `OSError`."""
        descriptor = self._sink.spool_labels(block)
        self._labels.append(block)
        await self._loop.run_in_executor(self._thread, self._sink.sync, descriptor)
        self._meter.count(telemetry.LABELS, (block.deployment,), len(block))

    async def flush(self) -> None:
        """Seal what is buffered and publish it, with all that waited before."""
        self._commit()
        self._seal()
        if self._publishing is None and self._unpublished:
            self._publishing = asyncio.ensure_future(self._publish_all())
        if self._publishing is not None:
            await asyncio.shield(self._publishing)

    async def close(self) -> None:
        """Flush and end the thread."""
        await self.flush()
        self._thread.shutdown()
        self._sink.close()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        """One write for all new rows, then the answers that waited for it."""
        self._scheduled = False
        self._spool()
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()
        if self._rows >= SEAL_ROWS and self._publishing is None:
            self._seal()
            self._publishing = asyncio.ensure_future(self._publish_all())

    def _spool(self) -> None:
        fresh = [buffer for buffer in self._buffers.values() if buffer.rows > buffer.spooled]
        if not fresh:
            return
        try:
            if self._rows > MAX_BUFFERED_ROWS:
                raise OSError("too many rows wait to be sealed")
            self._sink.spool([buffer.block(buffer.spooled) for buffer in fresh])
        except OSError as error:
            self._log.error("log.spool_failed", error=str(error))
            for buffer in fresh:
                self._drop(buffer.schema.deployment, buffer.drop_unspooled())
            return
        for buffer in fresh:
            new = buffer.rows - buffer.spooled
            self._meter.count(telemetry.LOG_ROWS, (buffer.schema.deployment,), new)
            buffer.spooled = buffer.rows

    def _drop(self, deployment: str, rows: int) -> None:
        self._rows -= rows
        self._meter.count(telemetry.LOG_DROPPED, (deployment,), rows)

    def _seal(self) -> None:
        blocks = [buffer.block() for buffer in self._buffers.values() if buffer.rows]
        if not blocks and not self._labels:
            return
        try:
            sealed = self._sink.seal(blocks, self._labels)
        except OSError as error:
            self._log.error("log.seal_failed", error=str(error))
            return
        self._unpublished.append(_Unpublished(sealed, blocks, self._labels))
        self._buffers, self._labels, self._rows = {}, [], 0

    async def _publish_all(self) -> None:
        """Publish in order; what fails stays first and is tried again at the next flush."""
        try:
            while self._unpublished:
                first = self._unpublished[0]
                await self._loop.run_in_executor(
                    self._thread, self._sink.publish, first.sealed, first.blocks, first.labels
                )
                self._unpublished.popleft()
        except OSError as error:
            self._log.error("log.publish_failed", error=str(error))
            self._give_up_oldest(MAX_UNPUBLISHED)
        except Exception as error:  # such rows would fail again: they must not hold up the others
            self._log.error("log.publish_failed", error=repr(error))
            self._give_up_oldest(len(self._unpublished) - 1)
        finally:
            self._publishing = None

    def _give_up_oldest(self, keep: int) -> None:
        """The sealed file stays on disk, and the next process with this index recovers it."""
        while len(self._unpublished) > keep:
            oldest = self._unpublished.popleft()
            self._log.error("log.left_in_spool", path=oldest.sealed.path)


def _add_fixed(fixed: list[list[Any]], call: Call, ended: Ended, rows: int) -> None:
    queue_end = call.sent_at if ended.sent else ended.at
    values = (
        call.request_id,
        None,
        call.event_time,
        call.received_at,
        call.plan.release,
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
    )
    if rows == 1:
        for column, value in zip(fixed, values, strict=True):
            column.append(value)
        fixed[1][-1] = 0
        return
    for column, value in zip(fixed, values, strict=True):
        column.extend([value] * rows)
    fixed[1][-rows:] = range(rows)


def _add_inputs(inputs: list[list[Any]], call: Call, rows: int) -> None:
    """A request that was refused has no values; a key that was not sent has none either."""
    if not call.rows:
        for column in inputs:
            column.append(None)
        return
    for column, values in zip(inputs, call.columns, strict=False):
        column.extend(values)
    if len(inputs) > len(call.columns):
        inputs[-1].extend(call.key or [None] * rows)
