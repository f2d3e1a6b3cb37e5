"""A worker for the batch lane alone, of a whole system: who does what, and at which priority."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import Traffic
from tests.support.patient import patient
from tests.support.project import people, request, write_csv
from tests.support.system import CLI, System, killed, until, yields

from trimtab.backends.requestlog import FolderRequestLog

pytestmark = pytest.mark.e2e

CONFIG = """
[deployment.risk]
scale = { min = 1, max = 1, batch = 1 }
"""


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves a model which takes a millisecond a row, by one worker of each kind."""
    folder = tmp_path_factory.mktemp("batch") / "project"
    with patient(built, folder, CONFIG, 0.001) as system:
        until(lambda: len(places(system)) == 2)
        yield system


def places(system: System) -> dict[str, int]:
    """Process ids of the ready workers by lane."""
    ready = [worker for worker in system.node()["workers"] if worker["state"] == "ready"]
    return {worker["slot"]["lane"]: worker["pid"] for worker in ready}


def dealt(system: System) -> dict[str, set[str]]:
    """The workers that answered requests of each lane, by the log."""
    found: dict[str, set[str]] = {}
    asked = "SELECT DISTINCT lane, worker FROM rows WHERE outcome = 'ok'"
    for row in FolderRequestLog(system.home).query("risk", asked).to_pylist():
        found.setdefault(row["lane"], set()).add(row["worker"])
    return found


def test_realtime_requests_are_answered_while_batch_work_fills_its_own_worker(
    system: System,
) -> None:
    workers = places(system)
    assert [yields(workers[lane]) for lane in ("realtime", "batch")] == [{0}, {10}]
    write_csv(system.folder / "people.csv", people(8000, 7))
    command = [*CLI, "score", "risk", "people.csv", "out.parquet"]
    scoring = subprocess.Popen(command, cwd=system.folder, env=system.environment())
    until(lambda: depth(system) > 0)
    with Traffic(system, "risk", clients=2) as traffic:
        traffic.more(50)
        assert scoring.poll() is None, "the batch lane was busy all the time"
    assert not traffic.book.problems
    assert scoring.wait(120) == 0
    until(lambda: {"realtime", "batch"} <= dealt(system).keys())
    found = dealt(system)
    assert {lane: len(names) for lane, names in found.items()} == {"realtime": 1, "batch": 1}
    assert found["realtime"].isdisjoint(found["batch"])


def depth(system: System) -> float:
    """Requests that wait in the batch lane."""
    metrics = system.ask("/metrics").body.decode()
    name = 'trimtab_queue_depth{lane="batch",release="risk@3"} '
    line = next((each for each in metrics.splitlines() if each.startswith(name)), f"{name}0")
    return float(line.removeprefix(name))


def test_status_tells_of_both_kinds_and_batch_work_survives_its_worker(system: System) -> None:
    serving = system.deployment("risk")["stable"]
    assert (serving["workers"], serving["ready_workers"]) == (1, 1)
    assert (serving["batch_workers"], serving["ready_batch_workers"]) == (1, 1)
    assert "1/1 for batch work" in system.verb("status").out
    before = places(system)["batch"]
    killed(before)
    asked: dict[str, Any] = {**request(), "parameters": {"priority": 2}}
    assert system.ask("/v2/models/risk/infer", asked).status == 200
    until(lambda: places(system).get("batch", before) != before)
    assert yields(places(system)["batch"]) == {10}
