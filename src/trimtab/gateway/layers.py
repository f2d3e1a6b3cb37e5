"""Where the time of an answered attempt went, layer by layer."""

import numpy as np

from trimtab.domain import telemetry
from trimtab.gateway.batch import Timing, Together
from trimtab.gateway.metrics import Meter

LAYERS = (
    *("parse", "route", "queue", "batch_wait", "transfer"),
    *("features", "model", "encode", "total"),
)
"""`queue` is spent until a worker is free, `batch_wait` from then until the batch is sent, and
`transfer` between gateway and worker and back; the parts of a call that is cut wait for each other
in `transfer`. `encode` is a call's share of making and logging the answers of its batch."""

TOGETHER = 1024
"""Attempts that are counted at once: arrays cost about as much for a single one."""


class Layers:
    """The histograms of every deployment, release and lane, found once."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._found: dict[tuple[str, str, str], _Spent] = {}
        meter.settle_first(self.settle)

    def observe(
        self, together: Together, lane: str, timing: Timing, answered: tuple[float, float]
    ) -> None:
        """Count attempts that were answered together: when (monotonic), and in how many seconds
        each was then encoded."""
        calls, of, first = together.calls, together.columns, together.calls[0]
        labels = (first.route.name, first.plan.name, lane)
        spent = self._found.get(labels)
        if spent is None:
            spent = self._found[labels] = _Spent(self._meter, labels)
        spent.started += of.started_at
        spent.parsed += of.parsed_at
        spent.queued += of.queued_at
        spent.attempt += of.attempt
        spent.rows += of.rows
        spent.batches += (len(calls), first.freed_at, first.sent_at)
        spent.batches += (timing.features, timing.model, *answered)
        if len(spent.started) >= TOGETHER:
            spent.settle()
        for call, trace in zip(calls, of.trace, strict=True) if any(of.trace) else ():
            if trace is not None and trace.recording is not None:
                trace.recording.answered(call, timing, *answered)

    def settle(self) -> None:
        """Bring what was observed into the histograms."""
        for spent in self._found.values():
            spent.settle()


_OF_BATCH = 7


class _Spent:
    """The times of attempts that are not in their histograms yet: in lists with an entry for each,
    and in `batches`, number by number, what is of all that were answered together."""

    __slots__ = (
        *("_layers", "_rows", "batches"),
        *("attempt", "parsed", "queued", "rows", "started"),
    )

    def __init__(self, meter: Meter, labels: tuple[str, str, str]) -> None:
        self.started: list[float] = []
        self.parsed: list[float] = []
        self.queued: list[float] = []
        self.attempt: list[int] = []
        self.rows: list[int] = []
        self.batches: list[float] = []
        self._layers = [meter.histogram(telemetry.DURATION, (*labels, layer)) for layer in LAYERS]
        self._rows = meter.histogram(telemetry.ROWS, labels)

    def settle(self) -> None:
        """Count them."""
        if not self.started:
            return
        kept: tuple[list[float] | list[int], ...]
        kept = (self.started, self.parsed, self.queued, self.attempt, self.rows)
        started, parsed, queued, attempt, rows = [np.array(each, np.float64) for each in kept]
        batches = np.array(self.batches).reshape(-1, _OF_BATCH)
        self.batches.clear()
        for times in kept:
            times.clear()
        each = np.repeat(batches[:, 1:], batches[:, 0].astype(np.intp), axis=0).T
        freed, sent, features, model, now, encode = each
        first = (attempt == 0) & (parsed > 0)
        ready = np.maximum(queued, freed)
        spent = (
            (parsed - started)[first],
            (queued - parsed)[first],
            ready - queued,
            np.maximum(sent - ready, 0.0),
            np.maximum(now - sent - features - model, 0.0),
            *(features, model, encode, now - started),
        )
        for layer, seconds in zip(self._layers, spent, strict=True):
            layer.take(seconds)
        self._rows.take(rows)
