"""What processes use, by the minute."""

import pytest
from msgspec.structs import replace

from trimtab.backends.memory import MemoryHost
from trimtab.domain.names import Digest
from trimtab.domain.processes import HostStatus, NodeStatus, WorkerSlot, WorkerStatus
from trimtab.loop.machine import Machine

A = Digest("sha256:aa")
STATUS = HostStatus(4.0, 2**33, 2**32)


def node(*pids: int) -> NodeStatus:
    """Workers of one release with these processes, and a gateway."""
    workers = tuple(
        WorkerStatus(WorkerSlot(A, i), "ready", pid=pid, rss_bytes=100 + i, started_seconds=2.0 + i)
        for i, pid in enumerate(pids)
    )
    return NodeStatus(workers, gateways=(7,))


def watched(host: MemoryHost, seconds: int, pids: tuple[int, ...] = (1, 2)) -> Machine:
    """Each process computes half of every second."""
    machine = Machine(host)
    for second in range(seconds):
        host.used = dict.fromkeys((*pids, 7), second * 0.5)
        machine.look(node(*pids), float(second))
    return machine


def test_the_share_that_workers_compute_is_known_after_a_minute() -> None:
    machine = watched(MemoryHost(STATUS), 62)
    assert machine.busy(A, 120.0) == pytest.approx(0.5)
    assert machine.busy(A, 10.0) == 1.0
    assert machine.gateway_seconds(30_000.0) == pytest.approx(0.001)
    assert (machine.host and machine.host.cores, machine.rss(A), machine.starts(A)) == (
        4.0,
        101,
        3.0,
    )


def test_workers_of_the_batch_lane_wait_for_processors_without_being_short_of_them() -> None:
    machine = Machine(MemoryHost(STATUS))
    batch = WorkerStatus(
        WorkerSlot(A, 0, "batch"), "ready", pid=9, rss_bytes=500, started_seconds=60.0
    )
    served = node(1)
    both = NodeStatus((*served.workers, batch), gateways=served.gateways)
    for second in range(62):
        used = {1: second * 0.5, 9: second * 0.01, 7: 0.0}
        waited = {1: 0.0, 9: second * 0.9}
        machine._host = MemoryHost(replace(STATUS, waited_seconds=waited), used)
        machine.look(both, float(second))
    assert machine.busy(A, 60.0) == pytest.approx(0.5, abs=0.02)
    assert machine.strain(A) == ()
    assert (machine.rss(A), machine.starts(A)) == (500, 2.0)


def test_before_a_minute_and_with_hardly_any_work_nothing_is_told() -> None:
    machine = watched(MemoryHost(STATUS), 30)
    assert (machine.busy(A, 60.0), machine.gateway_seconds(30_000.0)) == (None, None)
    machine = watched(MemoryHost(STATUS), 62)
    assert (machine.busy(A, 1.0), machine.gateway_seconds(100.0)) == (None, None)
    assert machine.busy(Digest("sha256:bb"), 60.0) is None


def test_a_worker_that_was_replaced_counts_from_its_beginning() -> None:
    host = MemoryHost(STATUS)
    machine = watched(host, 62)
    host.used = {3: 900.0, 7: 31.0}
    machine.look(node(3), 62.0)
    assert machine.busy(A, 120.0) == pytest.approx(0.5, abs=0.02)
    machine.look(NodeStatus(()), 64.0)
    assert machine.busy(A, 120.0) is None


def test_a_host_that_says_nothing_is_not_known() -> None:
    machine = watched(MemoryHost(), 62)
    assert (machine.host, machine.gateway_seconds(30_000.0)) == (None, None)


def test_what_the_machine_lacked_is_told_for_a_while() -> None:
    host = MemoryHost(STATUS)
    machine = watched(host, 2)
    assert machine.pressure is not None
    assert not machine.pressure
    host.status = HostStatus(4.0, 2**33, 2**32, waiting={"cpu": 0.9})
    machine.look(node(1), 2.0)
    host.status = STATUS
    machine.look(node(1), 100.0)
    assert "waited for a processor 90%" in " ".join(machine.pressure or ())
    machine.look(node(1), 5000.0)
    assert not machine.pressure
    assert watched(MemoryHost(), 2).pressure is None


def test_workers_that_wait_for_processors_are_told() -> None:
    host, machine = MemoryHost(STATUS), Machine(MemoryHost(STATUS))
    assert machine.strain(A) == ()
    machine = Machine(host)
    for second in range(62):
        host.used = dict.fromkeys((1, 7), second * 0.5)
        waited = {1: second * 0.5, 9: 0.0}
        host.status = HostStatus(4.0, 2**33, 2**32, waited_seconds=waited)
        machine.look(node(1), float(second))
    assert "50%" in machine.strain(A)[0]


def test_what_workers_use_is_kept_by_the_minute() -> None:
    host, machine = MemoryHost(STATUS), Machine(MemoryHost())
    unknown = machine.resources(A, 5)
    assert (unknown.sizes, unknown.waits, unknown.limit, unknown.free) == ((), (), 5, None)
    machine = Machine(host)
    for second in range(182):
        host.used = dict.fromkeys((1, 7), second * 0.5)
        host.status = HostStatus(4.0, 2**33, 2**32, waited_seconds={1: second * 0.5})
        machine.look(node(1, 2), float(second))
    used = machine.resources(A, None)
    assert used.sizes == (101,) * 4
    assert used.waits == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
    assert used.free == 2**31
    machine.look(NodeStatus(()), 184.0)
    assert machine.resources(A, None).sizes == ()
