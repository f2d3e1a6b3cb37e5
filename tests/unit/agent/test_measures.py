"""What processes use is measured as the kernel tells it, and left for the gateways."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from trimtab.agent.measures import Measures, Spent
from trimtab.agent.usage import Privates, boot_time, resources
from trimtab.domain import layout, telemetry
from trimtab.domain.counts import Count
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerSlot, WorkerStatus

SLOT = WorkerSlot(Digest("sha256:aaaaaaaaaaaabb"), 0)
LABELS = (str(SLOT.release), SLOT.id)
BUSY = """
import os, subprocess, sys, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
kept, handles = bytearray(os.urandom(40_000_000)), [open(os.devnull) for _ in range(30)]
end = time.process_time() + 0.3
while time.process_time() < end: pass
other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print("ready", flush=True)
input()
"""
OVER = """
import subprocess, sys, time
spend = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", spend], check=True)
print(time.process_time(), flush=True)
input()
"""


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that has used 0.3 s and 40 MB, with 30 files, a thread more and a child."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


def test_all_that_a_process_and_its_children_use_is_counted(busy: int) -> None:
    found = resources(busy, boot_time(), Privates())
    assert found is not None
    assert found.cpu_seconds >= 0.3
    assert found.resident_bytes >= 40_000_000
    assert found.private_bytes is not None
    assert 40_000_000 <= found.private_bytes <= found.resident_bytes
    assert found.processes == 2
    assert found.threads >= 3
    assert found.open_files >= 36
    # The kernel counts the start of the system in whole seconds and its hundredths.
    assert time.time() - 600 < found.started_at < time.time() + 2


def test_alone_it_is_counted_without_them(busy: int) -> None:
    found = resources(busy, 0.0, Privates(), alone=True)
    assert found is not None
    assert found.processes == 1


def test_what_children_used_stays_counted_when_they_have_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        own = float(process.stdout.readline())
        found = resources(process.pid, 0.0, Privates())
        process.kill()
    assert found is not None
    assert found.processes == 1
    assert found.cpu_seconds >= own + 0.25


def test_a_process_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resources(process.pid, 0.0, Privates()) is None


def test_processor_time_goes_on_when_a_worker_restarts() -> None:
    spent = Spent()
    for pid, seconds in ((1, 1.0), (1, 2.5), (2, 0.25), (2, 0.5)):
        spent.take(LABELS, pid, seconds)
    assert spent.total([LABELS]) == [(LABELS, 3.0)]


def test_processor_time_never_falls_when_a_child_is_lost_sight_of() -> None:
    spent = Spent()
    spent.take(LABELS, 1, 5.0)
    spent.take(LABELS, 1, 1.0)
    assert spent.total([LABELS]) == [(LABELS, 6.0)]


def test_what_is_gone_is_forgotten() -> None:
    spent = Spent()
    spent.take(LABELS, 1, 5.0)
    assert spent.total([]) == []
    spent.take(LABELS, 1, 1.0)
    assert spent.total([LABELS]) == [(LABELS, 1.0)]


def test_a_measurement_lies_where_gateways_read_it(
    busy: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    workers = [WorkerStatus(SLOT, "ready", pid=busy, restarts=3)]
    Measures(5.0).leave(workers, {"agent": os.getpid()})
    count = msgspec.msgpack.decode(Path(layout.AGENT_COUNT).read_bytes(), type=Count)
    assert count.lasts == 15.0
    assert count.counters[telemetry.WORKER_RESTARTS.name] == [(LABELS, 3)]
    ((labels, seconds),) = count.counters[telemetry.WORKER_CPU.name]
    assert labels == LABELS
    assert seconds >= 0.3
    assert dict(count.gauges[telemetry.WORKER_PROCESSES.name]) == {LABELS: 2}
    assert dict(count.gauges[telemetry.PROCESS_RESIDENT.name])[("agent",)] > 1_000_000
    ((_, free),) = count.gauges[telemetry.DISK_FREE.name]
    assert 0 < free <= shutil.disk_usage(tmp_path).total


def test_a_worker_that_does_not_run_has_its_restarts_and_nothing_else() -> None:
    count = Measures(5.0).count([WorkerStatus(SLOT, "failed", restarts=3)], {})
    assert count.counters[telemetry.WORKER_RESTARTS.name] == [(LABELS, 3)]
    assert count.gauges.keys() == {telemetry.DISK_FREE.name}


def test_a_disk_that_refuses_costs_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Measures(5.0).leave([], {})
    assert list(tmp_path.iterdir()) == []
