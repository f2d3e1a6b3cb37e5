"""What a platform sees of a whole system: metrics of processes, traces, spans."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.collector import Receiver, attributes, receiving
from tests.support.ledger import Traffic
from tests.support.project import people
from tests.support.system import System, copied, killed, running, until

from trimtab.backends.requestlog import FolderRequestLog

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    """A collector of OpenTelemetry."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def system(
    built: Path, collector: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system whose `risk` is served by two workers of risk@1, and that sends what it sees."""
    folder = copied(built, tmp_path_factory.mktemp("telemetry") / "project")
    config = folder / "trimtab.toml"
    table = f'[telemetry]\nendpoint = "{collector.url}"\nmetrics_every = "1s"\nsample = 0\n'
    config.write_text(table + config.read_text(encoding="utf-8"), encoding="utf-8")
    with running(folder) as started:
        started.json("deploy", "risk", "--release", "risk@1", "--wait")
        yield started


Samples = dict[tuple[str, ...], float]


def samples(system: System, name: str) -> Samples:
    """The series of a metric by the values of their labels."""
    text = system.ask("/metrics").body.decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_what_each_worker_uses_is_shown_by_release(system: System) -> None:
    until(lambda: len(samples(system, "trimtab_worker_private_memory_bytes")) == 2)
    workers = {("risk@1", name): pid for name, pid in by_slot(system).items()}
    for name in ("resident_memory_bytes", "threads", "open_files", "start_time_seconds"):
        found = samples(system, f"trimtab_worker_{name}")
        assert found.keys() == workers.keys()
        assert all(value > 0 for value in found.values())
    assert set(samples(system, "trimtab_worker_processes").values()) == {1.0}
    resident = samples(system, "trimtab_worker_resident_memory_bytes")
    for labels, private in samples(system, "trimtab_worker_private_memory_bytes").items():
        assert 0 < private < resident[labels]
    assert not samples(system, "trimtab_gpu_utilization_ratio") or Path("/dev/nvidia0").exists()


def test_trimtabs_own_processes_are_shown(system: System) -> None:
    until(lambda: ("controller",) in samples(system, "trimtab_process_cpu_seconds_total"))
    found = {name for (name,) in samples(system, "trimtab_process_resident_memory_bytes")}
    assert {"agent", "controller", "gateway-0"} < found
    assert [name for name in found if name.startswith("zygote-")]


def test_a_restart_is_counted_and_processor_time_goes_on(system: System) -> None:
    slot, pid = next(iter(by_slot(system).items()))
    labels = ("risk@1", slot)
    with Traffic(system, "risk"):
        until(lambda: samples(system, "trimtab_worker_cpu_seconds_total").get(labels, 0.0) > 0.0)
    before = samples(system, "trimtab_worker_cpu_seconds_total")[labels]
    began = samples(system, "trimtab_worker_start_time_seconds")[labels]
    killed(pid)
    until(lambda: samples(system, "trimtab_worker_restarts_total")[labels] == 1.0)
    until(lambda: samples(system, "trimtab_worker_start_time_seconds").get(labels, 0.0) > began)
    assert samples(system, "trimtab_worker_cpu_seconds_total")[labels] >= before


def test_a_traced_request_is_found_in_the_log_and_at_the_collector(
    system: System, collector: Receiver
) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    (row,) = people(1)
    with system.client() as client:
        columns = client.metadata("risk")["inputs"]
    inputs = [{**column, "shape": [1], "data": [row[column["name"]]]} for column in columns]
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    answer = system.ask("/v2/models/risk/infer", {"id": "q-traced", "inputs": inputs}, **headers)
    assert answer.status == 200, answer
    until(lambda: collector.named("infer risk"))
    (root,) = collector.named("infer risk")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (trace, parent)
    assert answer.headers["traceresponse"] == f"00-{trace}-{root.span_id.hex()}-01"
    (attempt,) = collector.named("attempt risk@1")
    assert attributes(attempt)["trimtab.worker"] in by_slot(system)
    log = FolderRequestLog(system.home)
    asked = f"SELECT request_id FROM rows WHERE trace_id = '{trace}'"
    until(lambda: log.query("risk", asked).column("request_id").to_pylist() == ["q-traced"])


def test_the_metrics_of_all_processes_are_sent(system: System, collector: Receiver) -> None:
    until(lambda: collector.points("trimtab_worker_cpu_seconds_total"))
    found = collector.points("trimtab_worker_cpu_seconds_total")
    assert {release for release, _ in found} == {"risk@1"}
    assert ("controller",) in collector.points("trimtab_process_resident_memory_bytes")


def by_slot(system: System) -> dict[str, int]:
    """Process ids of the ready workers by slot id."""
    release_of_slot = system.workers()
    return {
        f"{release.removeprefix('sha256:')[:12]}-{index}": pid
        for name, pid in release_of_slot.items()
        for release, _, index in [name.rpartition("-")]
    }
