"""Load brings a worker, quiet lets it go, and a sleeping deployment wakes for a request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import Traffic
from tests.support.patient import patient
from tests.support.project import request
from tests.support.system import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFIG = """
[deployment.risk]
slo   = { latency_p99 = "500ms" }
scale = { min = 1, max = 2, patience = "2s", idle = "zero", idle_after = "3s" }
"""


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves a model which takes 30 ms a row, by one worker."""
    folder = tmp_path_factory.mktemp("scaling") / "project"
    with patient(built, folder, CONFIG, 0.03) as system:
        yield system


def changes(system: System) -> list[dict[str, Any]]:
    """What the journal says of worker counts, oldest first."""
    return [e for e in system.api("history?limit=1000")["events"] if e["kind"] == "scaled"]


def test_workers_follow_the_load_down_to_none_and_no_request_fails(system: System) -> None:
    assert len(system.workers()) == 1
    with Traffic(system, "risk", clients=8) as traffic:
        until(lambda: len(system.workers()) == 2, 20)
        traffic.more(50)
        scale = system.deployment("risk")["scale"]
        assert (scale["workers"], scale["ready_workers"], scale["max"]) == (2, 2, 2)
        assert " busy" in scale["why"]
        planned = system.json("plan", "risk")
        assert planned["cost"]["row_seconds"] > 0.02
    assert not traffic.book.problems
    until(lambda: system.deployment("risk")["scale"]["asleep"], 40)
    until(lambda: not system.workers())
    assert system.deployment("risk")["state"] == "healthy"
    answer = system.ask("/v2/models/risk/infer", request())
    assert answer.status == 200, answer
    assert len(system.workers()) == 1
    told = [(e["summary"], e["evidence"]) for e in changes(system)]
    assert told[0][0] == "risk@3 grows: 1 to 2 workers"
    assert told[0][1]["rate_per_second"] > 10.0
    assert told[0][1]["cost_seconds"] > 0.02
    assert told[-1][0] == "risk@3 wakes: 0 to 1 worker"
    assert "falls asleep" in told[-2][0]
