"""From rows of the log to demand and work."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.control import release, spec
from tests.support.traffic import column

from trimtab.domain.deployment import Objective
from trimtab.domain.names import Digest
from trimtab.domain.records import Rows
from trimtab.domain.state import DeploymentState
from trimtab.loop.demand import Demands, SavedDemand

NOW = 1_700_000_000.0
A, B = Digest("sha256:aa"), Digest("sha256:bb")
SPEC = msgspec.structs.replace(spec(), objective=Objective(0.99, 0.1))


def rows(n: int, **changes: Any) -> Rows:
    """Requests of one row, each answered alone in 8 ms after 1 ms in the queue."""
    base: dict[str, Any] = {
        "request_id": [f"r{i}" for i in range(n)],
        "row": 0,
        "mode": "stable",
        "lane": "realtime",
        "received_at": NOW - 1.0 + np.arange(n) / max(1, n),
        "release": str(A),
        "attempt": 0,
        "final": True,
        "outcome": "ok",
        "error": np.full(n, None, dtype=object),
        "worker": "aa-0",
        "queue_seconds": 0.001,
        "model_seconds": 0.007 + np.arange(n) * 1e-9,
        "total_seconds": 0.009,
    }
    made = {name: column(value, n) for name, value in {**base, **changes}.items()}
    return Rows(made, {}, {})


def told(given: Rows, release: Digest = A) -> tuple[Any, Any]:
    """Demand of the deployment and work of a release after one segment."""
    demands = Demands()
    demands.arrivals("d", NOW - 10.0)
    demands.observe(SPEC, given, NOW)
    return demands.demand(("d",), NOW, 10.0, 300.0), demands.work(release, NOW, 0.99, 300.0)


def test_calls_and_the_seconds_of_workers_are_counted() -> None:
    demand, work = told(rows(100))
    assert demand.last == NOW
    assert work.calls == 100
    assert work.seconds == pytest.approx(0.008)
    assert work.cost.row == pytest.approx(0.008)


def test_calls_that_shared_a_batch_share_its_time() -> None:
    model = np.repeat(0.007 + np.arange(25) * 1e-9, 4)
    _, work = told(rows(100, model_seconds=model))
    assert work.seconds == pytest.approx(0.002)


def test_rows_of_one_request_are_one_call() -> None:
    row = np.tile([0, 1, 2, 3], 25)
    model = np.repeat(0.007 + np.arange(25) * 1e-9, 4)
    _, work = told(rows(100, row=row, model_seconds=model))
    assert (work.calls, work.cost.rows) == (25, 4.0)


def test_what_the_caller_did_wrong_asks_for_nothing() -> None:
    demand, work = told(rows(10, outcome="rejected", worker=np.full(10, None, dtype=object)))
    assert (demand.last, work.calls) == (0.0, 0)


def test_copies_are_work_and_no_demand() -> None:
    demand, work = told(rows(10, release=str(B), final=False, mode="shadow"), B)
    assert (demand.last, work.calls) == (0.0, 10)
    assert work.cost.row == pytest.approx(0.007, rel=1e-3)


def test_batch_work_keeps_a_deployment_awake_and_asks_for_nothing_else() -> None:
    demand, work = told(rows(100, lane="batch", queue_seconds=5.0, total_seconds=9.0))
    assert (demand.last, demand.level, demand.peak) == (NOW, 0.0, 0.0)
    assert (work.calls, work.cost, work.pressed) == (0, None, False)


@pytest.mark.parametrize(
    ("changes", "late"),
    [
        ({}, False),
        ({"outcome": "shed", "model_seconds": np.nan, "queue_seconds": np.nan}, True),
        ({"outcome": "failed", "error": "deadline", "model_seconds": np.nan}, True),
        ({"outcome": "failed", "error": "model: it broke", "model_seconds": np.nan}, False),
        ({"total_seconds": 0.2, "queue_seconds": 0.15}, True),
        ({"total_seconds": 0.2, "queue_seconds": 0.01}, False),
    ],
)
def test_a_call_is_late_when_it_waited_too_long_or_was_given_up(
    changes: dict[str, Any], late: bool
) -> None:
    _, work = told(rows(10, **changes))
    assert work.pressed is late


def test_it_goes_on_from_a_dump() -> None:
    demands = Demands()
    demands.observe(SPEC, rows(100), NOW)
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(demands.dump()), type=SavedDemand)
    again = Demands.load(saved, NOW + 60.0)
    assert again.work(A, NOW + 60.0, 0.99, 300.0).cost is not None
    assert again.demand(("d",), NOW + 70.0, 10.0, 300.0).busiest is not None


def test_it_forgets_what_is_gone() -> None:
    demands = Demands()
    served = str(release(1).digest)
    demands.observe(SPEC, rows(20, release=served), NOW)
    demands.observe(SPEC, rows(20), NOW)
    demands.keep({"d": DeploymentState(spec=SPEC, stable=release(1))})
    assert demands.work(A, NOW, 0.99, 300.0).calls == 0
    assert demands.work(release(1).digest, NOW, 0.99, 300.0).calls == 20
    demands.keep({})
    assert demands.dump() == SavedDemand()
