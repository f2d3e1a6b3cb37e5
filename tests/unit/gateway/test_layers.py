"""Times of attempts, which are counted many at once, and are there when somebody reads them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from trimtab.domain import telemetry
from trimtab.gateway.batch import Columns, Timing, Together
from trimtab.gateway.call import Call
from trimtab.gateway.layers import LAYERS, TOGETHER, Layers
from trimtab.gateway.metrics import Meter

TIMING = Timing(0.001, 0.002)


def call(started: float, rows: int = 1, attempt: int = 0) -> Call:
    """A call that was read in 1 ms, queued after 2, sent after 5 to a worker free since 4."""
    made = Call(cast(Any, None), cast(Any, SimpleNamespace(name="d")), cast(Any, None))
    made.plan = cast(Any, SimpleNamespace(name="m@1"))
    made.rows, made.attempt, made.started_at = rows, attempt, started
    made.parsed_at, made.queued_at = started + 0.001, started + 0.002
    made.freed_at, made.sent_at = started + 0.004, started + 0.005
    return made


def together(*calls: Call) -> Together:
    """Calls that were answered in one batch."""
    return Together(list(calls), list(range(len(calls))), Columns.of(calls))


def seen(meter: Meter, lane: str = "realtime") -> dict[str, tuple[int, float]]:
    """How often each layer was counted, and for how many seconds."""
    observed = meter.observed(telemetry.DURATION)
    found = {layer: observed["d", "m@1", lane, layer].buckets for layer in LAYERS}
    return {layer: (sum(counts), round(total, 6)) for layer, (counts, total) in found.items()}


def test_what_is_read_is_all_that_was_observed() -> None:
    meter = Meter()
    layers = Layers(meter)
    layers.observe(together(call(1.0), call(1.0, rows=3)), "realtime", TIMING, (1.010, 0.0005))
    assert seen(meter) == {
        "parse": (2, 0.002),
        "route": (2, 0.002),
        "queue": (2, 0.004),
        "batch_wait": (2, 0.002),
        "transfer": (2, 0.004),
        "features": (2, 0.002),
        "model": (2, 0.004),
        "encode": (2, 0.001),
        "total": (2, 0.020),
    }
    rows = meter.observed(telemetry.ROWS)["d", "m@1", "realtime"]
    assert rows.buckets[1] == 4


def test_a_later_attempt_is_neither_read_nor_routed_again() -> None:
    meter = Meter()
    layers = Layers(meter)
    layers.observe(together(call(1.0), call(1.0, attempt=1)), "batch", TIMING, (1.010, 0.0))
    counted = seen(meter, "batch")
    assert (counted["parse"][0], counted["route"][0], counted["total"][0]) == (1, 1, 2)


def test_a_worker_that_was_free_before_a_call_came_made_nobody_wait() -> None:
    meter = Meter()
    layers = Layers(meter)
    made = call(1.0)
    made.freed_at = 0.5
    layers.observe(together(made), "realtime", TIMING, (1.010, 0.0))
    counted = seen(meter)
    assert (counted["queue"], counted["batch_wait"]) == ((1, 0.0), (1, 0.003))


@pytest.mark.parametrize("company", [1, 64])
def test_many_attempts_are_counted_without_being_read(company: int) -> None:
    meter = Meter()
    layers = Layers(meter)
    kept = meter.histogram(telemetry.DURATION, ("d", "m@1", "realtime", "total"))
    for _ in range(TOGETHER // company):
        layers.observe(together(*[call(1.0)] * company), "realtime", TIMING, (1.010, 0.0))
    assert sum(kept.buckets[0]) == TOGETHER
