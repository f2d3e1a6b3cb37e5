"""What several gateways counted is shown as one service."""

import asyncio
import functools
import io
import itertools
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from trimtab.domain import telemetry
from trimtab.domain.counts import Count
from trimtab.domain.layout import AGENT_COUNT, CONTROLLER_COUNT, gateway_count
from trimtab.domain.telemetry import METRICS
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import SAMPLES, Histogram, Meter
from trimtab.gateway.peers import KEPT_SECONDS, Peers

SHED = ("d", "realtime", "full")
TIMES = ("d", "m@1", "realtime", "total")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways run in the state folder."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Gateways count on their event loop."""

    @functools.wraps(test)
    def ran() -> None:
        asyncio.run(test())

    return ran


def gateway(index: int, workers: int = 2) -> tuple[Meter, Peers]:
    """A gateway's meter; it is connected to some workers and routes by snapshot 10 + index."""
    meter = Meter()
    meter.gauge(telemetry.WORKERS, lambda: [(("m@1",), workers)])
    meter.gauge(telemetry.QUEUE_DEPTH, lambda: [(("m@1", "realtime"), 3)])
    meter.gauge(telemetry.ROUTING_VERSION, lambda: [((), 10 + index)])
    return meter, peers(index, meter)


def peers(index: int, meter: Meter, names: Callable[[], dict[str, str]] = dict) -> Peers:
    log = Log(io.StringIO())
    return Peers(index, meter, Disk(log), log, names)


async def shown(meter: Meter, its: Peers) -> dict[str, float]:
    """The lines of the exposition."""
    await its.look()
    lines = [line for line in b"".join(meter.exposition()).decode().splitlines() if line[0] != "#"]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@in_loop
async def test_any_gateway_shows_what_all_of_them_did() -> None:
    one, one_peers = gateway(0)
    two, two_peers = gateway(1)
    one.count(telemetry.SHED, SHED, 3)
    two.count(telemetry.SHED, SHED, 4)
    one.histogram(telemetry.DURATION, TIMES).observe(0.002)
    two.histogram(telemetry.DURATION, TIMES).observe(0.2)
    await one_peers.leave()
    await two_peers.leave()
    for meter, its in ((one, one_peers), (two, two_peers)):
        lines = await shown(meter, its)
        shed = 'trimtab_shed_total{deployment="d",lane="realtime",reason="full"}'
        times = '{deployment="d",lane="realtime",layer="total",release="m@1"}'
        assert lines[shed] == 7
        assert lines[f"trimtab_request_duration_seconds_count{times}"] == 2
        assert lines[f"trimtab_request_duration_seconds_sum{times}"] == pytest.approx(0.202)
        assert lines['trimtab_queue_depth{lane="realtime",release="m@1"}'] == 6
        assert lines['trimtab_workers_connected{release="m@1"}'] == 2
        assert lines["trimtab_routing_version"] == 10


@in_loop
async def test_no_counter_falls_when_a_gateway_is_started_again() -> None:
    one, one_peers = gateway(0)
    one.count(telemetry.SHED, SHED, 3)
    one.histogram(telemetry.DURATION, TIMES).observe(0.002)
    await one_peers.leave()
    again, its = gateway(0)
    await its.go_on()
    again.count(telemetry.SHED, SHED)
    assert again.counted(telemetry.SHED) == {SHED: 4}
    assert sum(again.histogram(telemetry.DURATION, TIMES).buckets[0]) == 1


@in_loop
async def test_of_a_gateway_that_is_gone_its_counters_stay_and_its_gauges_go() -> None:
    one, one_peers = gateway(0)
    two, two_peers = gateway(1)
    two.count(telemetry.SHED, SHED, 4)
    await two_peers.leave()
    long_ago = time.time() - 2 * Count().lasts
    os.utime(gateway_count(1), (long_ago, long_ago))
    lines = await shown(one, one_peers)
    assert lines['trimtab_shed_total{deployment="d",lane="realtime",reason="full"}'] == 4
    assert lines['trimtab_queue_depth{lane="realtime",release="m@1"}'] == 3
    earlier_run = time.time() - 2 * KEPT_SECONDS
    os.utime(gateway_count(1), (earlier_run, earlier_run))
    assert not any("shed" in line for line in await shown(one, one_peers))


@in_loop
async def test_a_count_that_cannot_be_read_costs_nothing_else() -> None:
    one, its = gateway(0)
    Path(gateway_count(0)).write_bytes(b"\x81\xa8counters\x81\xa1\xff\x90")
    Path(gateway_count(1)).write_bytes(b"?")
    await its.go_on()
    one.count(telemetry.SHED, SHED)
    assert (await shown(one, its))[
        'trimtab_shed_total{deployment="d",lane="realtime",reason="full"}'
    ] == 1


@in_loop
async def test_what_the_agent_measured_is_shown_by_the_names_of_the_releases() -> None:
    meter = Meter()
    its = peers(0, meter, lambda: {"sha256:a": "m@1"})
    count = Count(
        {telemetry.WORKER_CPU.name: [(("sha256:a", "a-0"), 1.5)]},
        {},
        {telemetry.WORKER_THREADS.name: [(("sha256:a", "a-0"), 3)]},
        15.0,
    )
    Path(AGENT_COUNT).write_bytes(msgspec.msgpack.encode(count))
    of_worker = '{release="m@1",worker="a-0"}'
    assert (await shown(meter, its))[f"trimtab_worker_cpu_seconds_total{of_worker}"] == 1.5
    assert (await shown(meter, its))[f"trimtab_worker_threads{of_worker}"] == 3
    past = time.time() - 2 * count.lasts
    os.utime(AGENT_COUNT, (past, past))
    assert (await shown(meter, its))[f"trimtab_worker_cpu_seconds_total{of_worker}"] == 1.5
    assert f"trimtab_worker_threads{of_worker}" not in await shown(meter, its)


@in_loop
async def test_incidents_are_shown_until_the_controller_says_nothing_any_more() -> None:
    meter = Meter()
    its = peers(0, meter)
    count = Count({}, {}, {telemetry.INCIDENTS.name: [(("d", "page"), 2.0)]}, 30.0)
    Path(CONTROLLER_COUNT).write_bytes(msgspec.msgpack.encode(count))
    name = 'trimtab_incidents_open{deployment="d",tier="page"}'
    assert (await shown(meter, its))[name] == 2
    past = time.time() - 31.0
    os.utime(CONTROLLER_COUNT, (past, past))
    assert name not in await shown(meter, its)


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(0, 50))
def test_a_histogram_counts_every_value_below_its_bound(values: list[float], cut: int) -> None:
    bounds = (0.5, 1.0, 10.0)
    whole, first, second = Histogram(bounds), Histogram(bounds), Histogram(bounds)
    for number, value in enumerate(values):
        whole.observe(value)
        (first if number < cut else second).observe(value)
    counts, total = whole.buckets
    edges = (-1.0, *bounds, float("inf"))
    expected = [
        sum(low < value <= high for value in values) for low, high in itertools.pairwise(edges)
    ]
    assert counts == expected
    assert total == pytest.approx(sum(values))
    first.add(second.buckets)
    assert first.buckets[0] == counts
    assert first.buckets[1] == pytest.approx(total)


def test_the_text_comes_in_pieces_and_names_each_family_once() -> None:
    meter = Meter()
    for number in range(3 * SAMPLES):
        meter.count(telemetry.SHED, (f"d{number}", "realtime", "full"))
    meter.histogram(telemetry.DURATION, TIMES).observe(0.002)
    pieces = list(meter.exposition())
    assert max(piece.count(b"\n") for piece in pieces) <= SAMPLES + 2
    families = {family.name: family for family in text_string_to_metric_families(_text(pieces))}
    assert len(families["trimtab_shed"].samples) == 3 * SAMPLES
    assert families["trimtab_request_duration_seconds"].type == "histogram"
    assert _text(pieces).count("# TYPE") == len(METRICS)


def _text(pieces: list[bytes]) -> str:
    return b"".join(pieces).decode()
