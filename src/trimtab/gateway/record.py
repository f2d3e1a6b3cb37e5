"""The request log of one gateway: attempts are spooled before their answers leave."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import sub
from typing import Any, TypeVar, cast

import msgspec

from trimtab.domain import telemetry
from trimtab.domain.records import Outcome
from trimtab.gateway.arrears import Arrears
from trimtab.gateway.batch import Timing, Together
from trimtab.gateway.call import Call
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.plan import Plan
from trimtab.gateway.values import Inputs, OutputValues, packed, packer
from trimtab.ports.logsink import (
    Answered,
    Attempts,
    Bytes,
    Entry,
    LabelBlock,
    LogSchema,
    LogSink,
    Texts,
)

T = TypeVar("T")


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended that was not answered. `at` is monotonic; `sent` whether a worker had
    it."""

    outcome: str
    final: bool
    at: float
    error: str | None = None
    sent: bool = True


class Recorder:
    """Collects attempts with `add`, and runs `then` callbacks once they are in the spool.

    What one turn of the event loop adds is spooled with one write, at its end or with `commit`.
    `arrears` is how late the log is read.
    """

    def __init__(self, sink: LogSink, disk: Disk, meter: Meter, log: Log) -> None:
        self._sink = sink
        self._disk = disk
        self._meter = meter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._attempts: dict[LogSchema, list[Attempts]] = {}
        self._answers: list[Callable[[], None]] = []
        self._scheduled = False
        self._waits = True
        self.arrears = Arrears(time.monotonic())

    def add(self, call: Call, ended: Ended) -> None:
        """Log one attempt that was not answered."""
        self._keep(call.route.schema(call.plan), _entry(call, ended))

    def add_answered(
        self, together: Together, values: Sequence[OutputValues], timing: Timing, now: float
    ) -> None:
        """Log attempts that were answered together at `now`."""
        first = together.calls[0]
        schema = first.route.schema(first.plan)
        self._keep(schema, _answered(together, schema, values, timing, now))

    def _keep(self, schema: LogSchema, attempts: Attempts) -> None:
        kept = self._attempts.get(schema)
        if kept is None:
            kept = self._attempts[schema] = []
        kept.append(attempts)
        self._schedule()

    def then(self, *answers: Callable[[], None]) -> None:
        """Call each after everything added so far was given to the spool."""
        self._answers += answers
        self._schedule()

    async def add_labels(self, block: LabelBlock) -> None:
        """Log labels; returns when they are durable. Raises `OSError`."""
        self._waits = True
        descriptor = self._sink.spool_labels(block)
        await asyncio.to_thread(self._sink.sync, descriptor)
        self._meter.count(telemetry.LABELS, (block.deployment,), len(block))

    async def flush(self) -> None:
        """Hand over what is spooled; meanwhile the next spool is appended to."""
        self.commit()
        if not self._waits and not self.arrears.age:
            return
        try:
            self.arrears.look(await self._disk.do(self._sink.behind), time.monotonic())
            if self._waits and await self._disk.do(self._sink.prepare):
                self._waits = False
                self._sink.turn()
                await self._disk.do(self._sink.seal)
        except OSError as error:
            self._waits = True
            self._log.error("log.seal_failed", error=str(error))

    async def close(self) -> None:
        """Spool and hand over what is left; nothing is added any more."""
        self.commit()
        try:
            await self._disk.do(self._sink.close)
        except OSError as error:
            self._log.error("log.seal_failed", error=str(error))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.commit)

    def commit(self) -> None:
        """One write for all new attempts, then the answers that waited for it."""
        self._scheduled = False
        attempts, self._attempts = self._attempts, {}
        spooled = not attempts or self._spool(attempts)
        answers, self._answers = self._answers, []
        for answer in answers:
            try:
                answer()
            except Exception as error:  # one client's connection must not cost the others' answers
                self._log.error("answer.failed", error=repr(error))
        for schema, some in attempts.items():
            metric = telemetry.LOG_ROWS if spooled else telemetry.LOG_DROPPED
            self._meter.count(metric, (schema.deployment,), sum([_rows(each) for each in some]))

    def _spool(self, attempts: Mapping[LogSchema, Sequence[Attempts]]) -> bool:
        """What a disk refuses or no record holds costs rows, which are counted, and no answer."""
        self._waits = True
        try:
            self._sink.spool(list(attempts.items()))
        except (OSError, TypeError, ValueError) as error:
            self._log.error("log.spool_failed", error=str(error))
            return False
        return True


def _rows(attempts: Attempts) -> int:
    return attempts.rows if isinstance(attempts, Entry) else sum(attempts.rows)


def _entry(call: Call, ended: Ended) -> Entry:
    inputs = call.inputs
    queue_end = call.sent_at if ended.sent else ended.at
    return Entry(
        call.request_id,
        call.rows or 1,
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
        None,
        ended.at - call.started_at,
        None if inputs is None else inputs.logged,
        None if inputs is None else inputs.key,
        None,
        None if call.trace is None else call.trace.id,
    )


def _answered(
    together: Together,
    schema: LogSchema,
    values: Sequence[OutputValues],
    timing: Timing,
    now: float,
) -> Answered:
    of, first = together.columns, together.calls[0]
    pack = packer(len(of.rows))
    return Answered(
        list(of.request_id),
        list(of.rows),
        pack(*of.event_time),
        pack(*of.received_at),
        _once(of.mode),
        _once(of.lane),
        first.route.rollout,
        _once(of.weight),
        _once(of.unit),
        _once(of.attempt),
        _once([not shadow for shadow in of.shadow]) if any(of.shadow) else True,
        Outcome.OK,
        first.worker,
        pack(*map(sub, of.sent_at, of.queued_at)),
        timing.model,
        pack(*[now - started for started in of.started_at]),
        together.matrix or _inputs(first.plan, schema, [i for i in of.inputs if i is not None]),
        _keys(together.calls) if first.route.key is not None else None,
        [_output(each, together) for each in values],
        _once([None if trace is None else trace.id for trace in of.trace])
        if any(of.trace)
        else None,
    )


def _once(values: Sequence[T]) -> T | list[T]:
    """One value where all are the same."""
    first = values[0]
    return first if values.count(first) == len(values) else list(values)


def _inputs(
    plan: Plan, schema: LogSchema, inputs: Sequence[Inputs]
) -> Bytes | list[list[Any] | Bytes]:
    if plan.matrix:
        return b"".join([each.matrix or b"" for each in inputs])
    columns = [cast(list[Any], each.logged) for each in inputs]
    chained = map(_chained, zip(*columns, strict=True))
    return [
        packed(values) if kind == "number" and isinstance(values, list) else values
        for values, (_, kind) in zip(chained, schema.inputs, strict=True)
    ]


def _chained(parts: Sequence[list[Any] | bytes]) -> list[Any] | bytes:
    """Values of several calls as those of one: all lists, or all bytes of numbers."""
    if isinstance(parts[0], bytes):
        return b"".join(cast(Sequence[bytes], parts))
    return list(chain.from_iterable(cast(Sequence[list[Any]], parts)))


def _keys(calls: Sequence[Call]) -> Texts:
    """The business key of each row, None where none came."""
    parts = (
        c.inputs.key if c.inputs is not None and c.inputs.key else [None] * c.rows for c in calls
    )
    return list(chain.from_iterable(parts))


def _output(values: OutputValues, together: Together) -> bytes | Texts:
    """One output of these calls, whose rows need not be all of the batch's."""
    if sum(together.columns.rows) == values.rows:
        return values.logged(0, values.rows)
    each = zip(together.calls, together.starts, strict=True)
    return _chained([values.logged(start, call.rows) for call, start in each])
