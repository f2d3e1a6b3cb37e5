"""Where the time of an answered attempt went, layer by layer."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from trimtab.domain import telemetry
from trimtab.gateway.batch import Timing
from trimtab.gateway.call import Call
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

_times = attrgetter("started_at", "parsed_at", "queued_at", "attempt", "rows")


class Layers:
    """The histograms of every deployment, release and lane, found once."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._found: dict[tuple[str, str, str], _Spent] = {}
        meter.settle_first(self.settle)

    def observe(
        self, calls: Sequence[Call], lane: str, timing: Timing, answered: tuple[float, float]
    ) -> None:
        """Count attempts of one deployment that were answered together: when (monotonic), and in
        how many seconds each was then encoded."""
        first = calls[0]
        labels = (first.route.name, first.plan.name, lane)
        spent = self._found.get(labels)
        if spent is None:
            spent = self._found[labels] = _Spent(self._meter, labels)
        for call in calls:
            spent.calls += _times(call)
        spent.batches += (len(calls), first.freed_at, first.sent_at)
        spent.batches += (timing.features, timing.model, *answered)
        if len(spent.calls) >= TOGETHER * _OF_CALL:
            spent.settle()
        for call in calls:
            if call.trace is not None and call.trace.recording is not None:
                call.trace.recording.answered(call, timing, *answered)

    def settle(self) -> None:
        """Bring what was observed into the histograms."""
        for spent in self._found.values():
            spent.settle()


_OF_CALL, _OF_BATCH = 5, 7


class _Spent:
    """The times of attempts that are not in their histograms yet: in `calls` what is of each, in
    `batches` what is of all that were answered together, number by number."""

    __slots__ = ("_layers", "_rows", "batches", "calls")

    def __init__(self, meter: Meter, labels: tuple[str, str, str]) -> None:
        self.calls: list[float] = []
        self.batches: list[float] = []
        self._layers = [meter.histogram(telemetry.DURATION, (*labels, layer)) for layer in LAYERS]
        self._rows = meter.histogram(telemetry.ROWS, labels)

    def settle(self) -> None:
        """Count them."""
        if not self.calls:
            return
        started, parsed, queued, attempt, rows = np.array(self.calls).reshape(-1, _OF_CALL).T
        batches = np.array(self.batches).reshape(-1, _OF_BATCH)
        self.calls.clear()
        self.batches.clear()
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
