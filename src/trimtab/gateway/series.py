"""Counters that are there before anything is counted.

A series that appears with its first event shows Prometheus no increase, so that the first loss, and
often the only one, would alarm nobody.
"""

from collections.abc import Iterable
from itertools import product

from trimtab.domain import telemetry
from trimtab.gateway.metrics import Meter
from trimtab.gateway.schedule import LANES, Shed

_OF_DEPLOYMENT = (
    telemetry.LOG_ROWS,
    telemetry.LOG_DROPPED,
    telemetry.LABELS,
    telemetry.SHADOW_DROPPED,
)
_RETRIES = ("canary", "worker")
_EXPORTS = {
    telemetry.SPANS_DROPPED: ("full", "refused", "unreachable"),
    telemetry.EXPORT_FAILURES: ("metrics", "traces"),
}


def begin_deployments(meter: Meter, names: Iterable[str]) -> None:
    """Count nothing yet of what may be lost of these deployments."""
    for name in names:
        for metric in _OF_DEPLOYMENT:
            meter.count(metric, (name,), 0)
        for reason in _RETRIES:
            meter.count(telemetry.RETRIES, (name, reason), 0)
        for lane, reason in product(LANES, Shed):
            meter.count(telemetry.SHED, (name, lane, reason.value), 0)


def begin_exports(meter: Meter) -> None:
    """The same of what may be lost on the way to a collector."""
    meter.count(telemetry.SPANS, (), 0)
    for metric, reasons in _EXPORTS.items():
        for reason in reasons:
            meter.count(metric, (reason,), 0)
