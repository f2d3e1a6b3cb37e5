"""Where the time of an answered attempt went, layer by layer."""

from collections.abc import Callable

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

Observe = Callable[[float], None]


class Layers:
    """The histograms of every deployment, release and lane, found once."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._found: dict[tuple[str, str, str], tuple[Observe, ...]] = {}

    def observe(self, call: Call, timing: Timing, now: float, encode: float) -> None:
        """Count an attempt that was answered at `now`; `encode` in seconds."""
        lane = "shadow" if call.shadow else call.lane
        labels = (call.route.name, call.plan.name, lane)
        layers = self._found.get(labels) or self._find(labels)
        parse, route, queue, batch_wait, transfer, features, model, encoding, total, rows = layers
        sent_at, queued_at = call.sent_at, call.queued_at
        if not call.attempt and call.parsed_at:
            parse(call.parsed_at - call.started_at)
            route(queued_at - call.parsed_at)
        ready_at = max(queued_at, call.freed_at)
        queue(ready_at - queued_at)
        batch_wait(max(sent_at - ready_at, 0.0))
        transfer(max(now - sent_at - timing.features - timing.model, 0.0))
        features(timing.features)
        model(timing.model)
        encoding(encode)
        total(now - call.started_at)
        rows(call.rows)
        if (recording := call.recording) is not None:
            recording.answered(call, timing, now, encode)

    def _find(self, labels: tuple[str, str, str]) -> tuple[Observe, ...]:
        durations = (
            self._meter.histogram(telemetry.DURATION, (*labels, layer)).observe for layer in LAYERS
        )
        found = (*durations, self._meter.histogram(telemetry.ROWS, labels).observe)
        self._found[labels] = found
        return found
